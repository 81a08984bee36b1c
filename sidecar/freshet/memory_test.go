package main

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// In a container Go's runtime uses nine tenths of its memory, unless the environment says
// otherwise; without a limit nothing is set, and nothing said.
func TestMemoryIsBoundByTheContainer(t *testing.T) {
	was := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(was) })
	const unbound = math.MaxInt64
	for name, c := range map[string]struct {
		environment string
		limit       memlimit.Provider
		bound       int64
		logged      bool
	}{
		"a limit":           {"", memlimit.Limit(1000 << 20), 900 << 20, false},
		"the environment":   {"512MiB", memlimit.Limit(1000 << 20), unbound, false},
		"no limit":          {"", func() (uint64, error) { return 0, memlimit.ErrNoLimit }, unbound, false},
		"no control groups": {"", func() (uint64, error) { return 0, memlimit.ErrNoCgroup }, unbound, false},
		"unreadable":        {"", func() (uint64, error) { return 0, errors.New("no") }, unbound, true},
	} {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(unbound)
			t.Setenv("GOMEMLIMIT", c.environment) // which is undone
			if c.environment == "" {
				if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			boundMemory(slog.New(slog.NewTextHandler(&log, nil)), c.limit)
			if got := debug.SetMemoryLimit(-1); got != c.bound || (log.Len() > 0) != c.logged {
				t.Errorf("bound to %d, want %d; logged %q", got, c.bound, log.String())
			}
		})
	}
}
