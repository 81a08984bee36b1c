package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// repeatAfter is how long a line stays silent after it was logged.
	repeatAfter = 30 * time.Second
	// linesMax bounds the lines remembered; beyond it all are forgotten, and may
	// be logged again.
	linesMax = 512
)

// quietHandler logs a line that repeats itself once in a while only, with the
// number of times it was left out: a Postgres that is down for an hour must not
// fill the disk.
type quietHandler struct {
	next slog.Handler
	// prefix tells handlers with different attributes apart.
	prefix string
	seen   *seenLines
}

type seenLines struct {
	mu    sync.Mutex
	lines map[string]*seenLine
}

type seenLine struct {
	at   time.Time
	left uint64 // repetitions left out since
}

func newQuietHandler(next slog.Handler) *quietHandler {
	return &quietHandler{next: next, seen: &seenLines{lines: map[string]*seenLine{}}}
}

// Enabled implements slog.Handler.
func (h *quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *quietHandler) Handle(ctx context.Context, r slog.Record) error {
	left, wanted := h.seen.admit(h.prefix+lineKey(r), r.Time)
	if !wanted {
		return nil
	}
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64("repeated", left))
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *quietHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return &quietHandler{h.next.WithAttrs(attributes), h.prefix + fmt.Sprint(attributes) + "\n", h.seen}
}

// WithGroup implements slog.Handler.
func (h *quietHandler) WithGroup(name string) slog.Handler {
	return &quietHandler{h.next.WithGroup(name), h.prefix + name + "\n", h.seen}
}

// lineKey is what two records share if they say the same.
func lineKey(r slog.Record) string {
	var key strings.Builder
	key.WriteString(r.Level.String() + " " + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		key.WriteString("\n" + a.String())
		return true
	})
	return key.String()
}

// admit reports whether a line should be logged at now, and how often it was
// left out since it last was.
func (s *seenLines) admit(line string, now time.Time) (left uint64, wanted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.lines[line]
	if known != nil && now.Sub(known.at) < repeatAfter {
		known.left++
		return 0, false
	}
	if known != nil {
		left = known.left
	} else if len(s.lines) >= linesMax {
		clear(s.lines)
	}
	s.lines[line] = &seenLine{at: now}
	return left, true
}
