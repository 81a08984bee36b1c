// Package otlp pushes what a registry of Prometheus' tells to a collector of OpenTelemetry's.
//
// It guarantees that what is pushed has the names, labels and values of /metrics, and that a
// collector that is slow, away or refuses costs a line in the log and nothing else. It
// measures nothing itself: the registry is read for each push, and nobody else meets this
// package.
package otlp
