package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/goccy/go-yaml"
)

const packaging = "../packaging/"

// TestPackagedConfigurationIsValid checks the file that packages bring, as it is and with
// every option that is only suggested in it.
func TestPackagedConfigurationIsValid(t *testing.T) {
	text, err := os.ReadFile(packaging + "freshet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	suggested := regexp.MustCompile(`(?m)^#([a-z-]+:)`).ReplaceAllString(string(text), "$1")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	suggested = strings.ReplaceAll(suggested, "/etc/freshet/password", password)
	if suggested == string(text) {
		t.Error("nothing is suggested")
	}
	for _, content := range []string{string(text), suggested} {
		if code, _, stderr := freshet(t, "config", "check", "--config", writeConfig(t, content)); code != exitOK {
			t.Errorf("exit code %d: %s\n%s", code, stderr, content)
		}
	}
}

// TestUnitsServeThePackagedConfiguration: systemd opens the socket that the configuration
// names, and starts a command that there is.
func TestUnitsServeThePackagedConfiguration(t *testing.T) {
	var config struct {
		SocketDir  string `yaml:"socket-dir"`
		Port       string `yaml:"port"`
		SocketMode string `yaml:"socket-mode"`
	}
	readYAML(t, packaging+"freshet.yaml", &config)
	socket, service := readUnit(t, "freshet.socket"), readUnit(t, "freshet.service")
	if want := config.SocketDir + "/.s.PGSQL." + config.Port; socket["Socket.ListenStream"] != want {
		t.Errorf("systemd listens on %s, the configuration names %s", socket["Socket.ListenStream"], want)
	}
	if socket["Socket.SocketMode"] != config.SocketMode || socket["Socket.FileDescriptorName"] != "client" {
		t.Errorf("the socket is %v", socket)
	}
	arguments := strings.Fields(service["Service.ExecStart"])
	if !slices.Equal(arguments, []string{"/usr/bin/freshet", "serve", "--config", "/etc/freshet/freshet.yaml"}) {
		t.Errorf("the service starts %q", arguments)
	}
	want := map[string]string{"Type": "notify", "ExecReload": "/bin/kill -HUP $MAINPID", "Restart": "always", "NoNewPrivileges": "yes", "ProtectSystem": "strict"}
	for option, value := range want {
		if got := service["Service."+option]; got != value {
			t.Errorf("the service has %s=%s, want %s", option, got, value)
		}
	}
	for _, option := range []string{"LimitNOFILE", "WatchdogSec"} {
		if n, err := strconv.Atoi(service["Service."+option]); err != nil || n <= 0 {
			t.Errorf("the service has %s=%s", option, service["Service."+option])
		}
	}
	for _, directory := range []string{"systemd/sysusers.conf", "systemd/tmpfiles.conf"} {
		if text, err := os.ReadFile(packaging + directory); err != nil || !strings.Contains(string(text), config.SocketDir+" ") && !strings.HasSuffix(string(text), config.SocketDir+"\n") {
			t.Errorf("%s does not name %s: %v", directory, config.SocketDir, err)
		}
	}
}

// TestWhoEndsASidecarWaitsForItsDrain: systemd, Compose and Kubernetes kill later than clients
// may take to finish.
func TestWhoEndsASidecarWaitsForItsDrain(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Grace string `yaml:"stop_grace_period"`
		} `yaml:"services"`
	}
	readYAML(t, packaging+"compose.yaml", &compose)
	var values struct {
		Freshet struct {
			Grace int `yaml:"terminationGracePeriodSeconds"`
		} `yaml:"freshet"`
	}
	readYAML(t, packaging+"helm/freshet/values.yaml", &values)
	c := testConfig(t, "host=/nowhere user=u")
	for name, text := range map[string]string{
		"systemd":    readUnit(t, "freshet.service")["Service.TimeoutStopSec"] + "s",
		"Compose":    compose.Services["freshet"].Grace,
		"Kubernetes": strconv.Itoa(values.Freshet.Grace) + "s",
	} {
		if waits, err := time.ParseDuration(text); err != nil || waits <= c.Drain+c.DrainDelay {
			t.Errorf("%s waits for %s, and clients may take %s", name, text, c.Drain+c.DrainDelay)
		}
	}
}

// TestProgramsWaitForNoCache: where nothing is cached Postgres answers, and so a program that
// waits for its sidecar waits only until it can connect.
func TestProgramsWaitForNoCache(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			HealthCheck struct{ Test []string }               `yaml:"healthcheck"`
			DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		} `yaml:"services"`
	}
	readYAML(t, packaging+"compose.yaml", &compose)
	if compose.Services["shop"].DependsOn["freshet"].Condition != "service_healthy" || !slices.Contains(compose.Services["freshet"].HealthCheck.Test, "--live") {
		t.Errorf("the Compose file has %+v", compose)
	}
	chart, err := os.ReadFile(packaging + "helm/freshet/templates/_sidecar.tpl")
	if err != nil {
		t.Fatal(err)
	}
	probes := regexp.MustCompile(`healthcheck, (\S+), `).FindAllSubmatch(chart, -1)
	for _, probe := range probes {
		if string(probe[1]) != "--live" {
			t.Errorf("the chart probes %s", probe[0])
		}
	}
	if len(probes) != 2 {
		t.Errorf("the chart has %d probes", len(probes))
	}
}

// TestContainersAreConfiguredByOptionsThatExist: what the Compose file and the chart set.
func TestContainersAreConfiguredByOptionsThatExist(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	readYAML(t, packaging+"compose.yaml", &compose)
	parser, err := newParser(&commandLine{}, output{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	environment := compose.Services["freshet"].Environment
	if len(environment) == 0 {
		t.Error("the Compose file configures nothing")
	}
	for name := range maps.Keys(environment) {
		if err := checkEnvironment(parser.Model.Node, []string{name + "=x"}); err != nil || !strings.HasPrefix(name, environmentPrefix) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var values struct {
		Freshet struct {
			Config map[string]any `yaml:"config"`
		} `yaml:"freshet"`
	}
	readYAML(t, packaging+"helm/freshet/values.yaml", &values)
	content, err := yaml.Marshal(values.Freshet.Config)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := freshet(t, "config", "check", "--upstream", "host=/x", "--config", writeConfig(t, string(content))); code != exitOK {
		t.Errorf("exit code %d: %s\n%s", code, stderr, content)
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// readUnit returns the options of a unit as Section.Name.
func readUnit(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(packaging + "systemd/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	options, err := unit.DeserializeOptions(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, option := range options {
		found[option.Section+"."+option.Name] = option.Value
	}
	return found
}
