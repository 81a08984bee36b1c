package compiling

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// Who waits has the turn when the one before is done, and no sooner; who gives up waits no more.
func TestOneAfterTheOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "caches", "lock")
	done, err := turn(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	given, cancel := context.WithTimeout(t.Context(), 3*turnPause)
	defer cancel()
	if _, err := turn(given, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two have the turn: %v", err)
	}
	next := make(chan error, 1)
	go func() {
		done, err := turn(t.Context(), path)
		if err == nil {
			done()
		}
		next <- err
	}()
	done()
	if err := <-next; err != nil {
		t.Error(err)
	}
}

func TestGoIsRun(t *testing.T) {
	t.Parallel()
	said, err := Go(t.Context(), "", "env", "GOMOD")
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(said)), "go.mod") {
		t.Errorf("%q, %v", said, err)
	}
	if said, err := Go(t.Context(), "", "tool", "there-is-none"); err == nil || !strings.Contains(string(said), "there-is-none") {
		t.Errorf("a failure: %q, %v", said, err)
	}
}
