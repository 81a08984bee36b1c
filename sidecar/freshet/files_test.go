package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestTooFewFilesAreWarnedOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clients int
		warned  bool
	}{{1, false}, {1 << 40, true}} {
		var log bytes.Buffer
		warnOfFiles(slog.New(slog.NewTextHandler(&log, nil)), c.clients)
		if got := strings.Contains(log.String(), "raise LimitNOFILE"); got != c.warned {
			t.Errorf("%d clients: %s", c.clients, log.String())
		}
	}
	for _, c := range []struct{ clients, upstream, want int }{{0, 0, clientsUsual}, {5, 0, 5}, {0, 7, 7}, {9, 7, 7}, {5, 7, 5}} {
		of := config{MaxClients: c.clients, MaxUpstream: c.upstream}
		if got := of.clientsExpected(); got != c.want {
			t.Errorf("%+v: %d clients are expected", c, got)
		}
	}
}
