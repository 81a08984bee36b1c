package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestRepeatedLinesAreLeftOut(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	logger := slog.New(newQuietHandler(slog.NewTextHandler(&buffer, nil)))
	start := time.Now()
	say := func(l *slog.Logger, after time.Duration, what string) {
		r := slog.NewRecord(start.Add(after), slog.LevelWarn, "down", 0)
		r.AddAttrs(slog.String("error", what))
		if err := l.Handler().Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	follower := logger.With("part", "follower")
	for i := range 10 {
		say(logger, time.Duration(i)*time.Second, "a")
		say(follower, time.Duration(i)*time.Second, "a")
	}
	say(logger, time.Second, "b")
	say(logger, repeatAfter, "a")
	lines := strings.Split(strings.TrimSpace(buffer.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want a, a of the follower, b, and a again:\n%s", len(lines), buffer.String())
	}
	if !strings.HasSuffix(lines[3], "error=a repeated=9") {
		t.Errorf("last line %q", lines[3])
	}
}

func TestRememberedLinesAreBounded(t *testing.T) {
	t.Parallel()
	seen := &seenLines{lines: map[string]*seenLine{}}
	now := time.Now()
	for i := range 3 * linesMax {
		if _, wanted := seen.admit(fmt.Sprint(i), now); !wanted {
			t.Fatalf("line %d was left out though it is new", i)
		}
		if len(seen.lines) > linesMax {
			t.Fatalf("%d lines remembered", len(seen.lines))
		}
	}
}

// The items of a list can be told apart.
func TestListsAreLogged(t *testing.T) {
	var text bytes.Buffer
	newLogger(&text, slog.LevelInfo, "text").Info("watch", "columns", []string{"a b", "c"})
	if !strings.Contains(text.String(), `columns="a b, c"`) {
		t.Errorf("logged %s", text.String())
	}
}
