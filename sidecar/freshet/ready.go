package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/run"
)

// readyCheckPause is the time between two questions whether a sidecar that serves
// is ready by now.
const readyCheckPause = 50 * time.Millisecond

// announce tells whoever started the sidecar that clients can connect, and whether
// anything is answered from memory: what it prints, the service manager and /readyz
// say the same. One that serves and cannot follow is up all the same, for the sake
// of its clients, whom it gives Postgres' own answers; a service manager that waited
// for more would restart it for ever. It returns when it has said ready, or when ctx
// ends.
func announce(ctx context.Context, s *run.Sidecar, logger *slog.Logger, stdout io.Writer) {
	if ctx.Err() != nil {
		return
	}
	say := func(line, state string) {
		if _, err := fmt.Fprintln(stdout, "freshet: "+line); err != nil {
			logger.Warn("cannot write the line that says ready", "error", err)
		}
		notifySystemd(logger, state)
	}
	problem := notReady(s)
	if problem == "" {
		say("ready: "+psqlCommand(s), "READY=1")
		return
	}
	say("serving, but not ready: "+problem+": "+psqlCommand(s), "READY=1\nSTATUS=not ready: "+problem)
	ticker := time.NewTicker(readyCheckPause)
	defer ticker.Stop()
	for notReady(s) != "" {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	say("ready: "+psqlCommand(s), "STATUS=ready")
}

// notReady is why something is not answered from memory: what /readyz says, or that one of
// several databases is not ready.
func notReady(s *run.Sidecar) string {
	stats := s.Report()
	problem := dashboard.NotReady(&stats)
	for _, d := range stats.Databases {
		if d.NotReady != "" {
			problem = "database " + d.Name + ": " + d.NotReady
			break
		}
	}
	return oneLine(problem)
}

// oneLine joins the lines of a message.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
