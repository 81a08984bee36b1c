package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet/cache/internal/world"
)

var errBusy = errors.New("timeout: the database is overloaded")

// A database that is overloaded answers with errors, and many want the same. It
// must not be asked by all of them.
func TestErrorStampede(t *testing.T) {
	t.Parallel()
	const many = 200
	w := world.New()
	c := open(t, w, nil)
	var loads atomic.Int64
	var atOnce peak
	f := Wrap(c.DB(), "failing", func(context.Context, int) (number, error) {
		loads.Add(1)
		atOnce.enter()
		defer atOnce.leave()
		world.Until(t, "everybody looked", func() bool { return c.Stats().Misses >= many })
		return number{}, errBusy
	}, Policy[int, number]{DependsOn: numberOf[number]})
	var readers sync.WaitGroup
	for range many {
		readers.Go(func() {
			if _, err := f(t.Context(), 1); !errors.Is(err, errBusy) {
				t.Errorf("got %v", err)
			}
		})
	}
	readers.Wait()
	// The first began before most came. Of them some may have looked and not yet
	// waited when the second ended.
	if loads.Load() > many/4 || atOnce.most.Load() > 1 {
		t.Fatalf("%d loads, %d at once; want %d at most, one after the other", loads.Load(), atOnce.most.Load(), many/4)
	}
}

// The loader holds on to the context of the caller who leads. That this caller
// leaves is no error for the one who waits.
func TestLeaderWhoseContextEndedIsNoErrorForOthers(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	leading, leave := context.WithCancel(t.Context())
	began := make(chan struct{})
	var loads atomic.Int64
	f := Wrap(c.DB(), "held", func(context.Context, int) (number, error) {
		if loads.Add(1) > 1 {
			return number{Value: 7}, nil
		}
		close(began)
		<-leading.Done()
		return number{}, leading.Err()
	}, Policy[int, number]{DependsOn: numberOf[number]})
	var readers sync.WaitGroup
	readers.Go(func() {
		if _, err := f(leading, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("the leader got %v", err)
		}
	})
	<-began
	readers.Go(func() {
		if got, err := f(t.Context(), 1); err != nil || got.Value != 7 {
			t.Errorf("who waited got %v, %v", got, err)
		}
	})
	world.Until(t, "the other looked", func() bool { return c.Stats().Misses == 2 })
	leave()
	readers.Wait()
}
