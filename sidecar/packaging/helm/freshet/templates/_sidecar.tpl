{{/*
freshet.sidecar is the container, for initContainers of a pod: with restartPolicy Always
it starts before the others, is ready before they start, and ends after them.
*/}}
{{- define "freshet.sidecar" -}}
- name: freshet
  image: "{{ .Values.freshet.image }}:{{ .Values.freshet.tag | default .Chart.AppVersion }}"
  imagePullPolicy: {{ .Values.freshet.pullPolicy }}
  restartPolicy: Always
  args: [serve, --config, /etc/freshet/freshet.yaml]
  env:
    - name: FRESHET_UPSTREAM
      valueFrom: { secretKeyRef: { name: {{ .Values.freshet.upstreamSecret }}, key: upstream } }
  startupProbe:
    exec: { command: [/usr/bin/freshet, healthcheck, --live, --config, /etc/freshet/freshet.yaml] }
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    exec: { command: [/usr/bin/freshet, healthcheck, --live, --config, /etc/freshet/freshet.yaml] }
    periodSeconds: 10
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    runAsNonRoot: true
    capabilities: { drop: [ALL] }
  resources: {{- toYaml .Values.freshet.resources | nindent 4 }}
  volumeMounts:
    - { name: freshet-socket, mountPath: /run/freshet }
    - { name: freshet-config, mountPath: /etc/freshet, readOnly: true }
{{- end }}

{{/* freshet.volumes are the volumes of the pod; its other containers mount freshet-socket. */}}
{{- define "freshet.volumes" -}}
- name: freshet-socket
  emptyDir: {}
- name: freshet-config
  configMap: { name: {{ .Release.Name }}-freshet }
{{- end }}
