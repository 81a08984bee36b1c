package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/run"
)

const (
	// readyCheckPause is the time between two questions whether a sidecar that serves
	// is ready by now.
	readyCheckPause = 50 * time.Millisecond
	// stateCheckPause is the same for what the service manager shows of one that was.
	stateCheckPause = time.Second
	// stateAnewMin is the time between two reasons why a sidecar stays not ready.
	stateAnewMin = 30 * time.Second
	// notReadyPrefix begins what is told of a sidecar that is not ready.
	notReadyPrefix = "not ready: "
)

// announce tells whoever started the sidecar that clients can connect, and whether
// anything is answered from memory: what it prints, the service manager and /readyz
// say the same. One that serves and cannot follow is up all the same, for the sake
// of its clients, whom it gives Postgres' own answers; a service manager that waited
// for more would restart it for ever. It returns when it has said ready, unless a service
// manager wants to hear of later changes, or when ctx ends.
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
		state := serviceState(s)
		say("ready: "+psqlCommand(s), "READY=1\nSTATUS="+state)
		tellStates(ctx, s, logger, state)
		return
	}
	say("serving, but not ready: "+problem+": "+psqlCommand(s), "READY=1\nSTATUS="+notReadyPrefix+problem)
	ticker := time.NewTicker(readyCheckPause)
	defer ticker.Stop()
	for notReady(s) != "" {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	state := serviceState(s)
	say("ready: "+psqlCommand(s), "STATUS="+state)
	tellStates(ctx, s, logger, state)
}

// tellStates tells the service manager, if there is one, what is other than told, until ctx ends.
func tellStates(ctx context.Context, s *run.Sidecar, logger *slog.Logger, told string) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	ticker := time.NewTicker(stateCheckPause)
	defer ticker.Stop()
	toldAt := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if state := serviceState(s); worthTelling(told, state, time.Since(toldAt)) {
			told, toldAt = state, time.Now()
			notifySystemd(logger, "STATUS="+state)
		}
	}
}

// worthTelling reports whether a state is told that is another than the one told some time ago: a
// sidecar that stays not ready says why anew only now and then, as an age grows every second.
func worthTelling(told, state string, ago time.Duration) bool {
	stays := strings.HasPrefix(told, notReadyPrefix) && strings.HasPrefix(state, notReadyPrefix)
	return state != told && (!stays || ago >= stateAnewMin)
}

// serviceState is what a service manager shows of a sidecar: whether it is ready, and what the page
// says first.
func serviceState(s *run.Sidecar) string {
	if problem := notReady(s); problem != "" {
		return notReadyPrefix + problem
	}
	stats := s.Report()
	stats.JudgeReadiness()
	verdict := stats.Verdict()
	if verdict.State == "fresh" {
		return "ready"
	}
	return oneLine("ready, but: " + verdict.Text)
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
