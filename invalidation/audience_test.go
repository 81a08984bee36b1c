package invalidation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

func TestWaitersShareTheNextLook(t *testing.T) {
	t.Parallel()
	a := newAudience()
	a.open()
	wish := fence.Now()
	first, err := a.join(wish)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := a.join(fence.Now()); again != first {
		t.Error("two who wait before the look wait for different looks")
	}
	began := a.begin()
	if began < wish {
		t.Error("the look began before the wish that it answers")
	}
	late, err := a.join(began + 1)
	if err != nil || late == first {
		t.Fatalf("whose wish is younger than the look waits for it (%v)", err)
	}
	if old, _ := a.join(began); old != first {
		t.Error("whose wish is older than the look under way waits for another one")
	}
	a.finish(nil)
	<-first.done
	select {
	case <-late.done:
		t.Error("whose wish is younger than the look was answered by it")
	default:
	}
	if next, _ := a.join(began); next != late {
		t.Error("a look that has ended is waited for")
	}
	failure := errors.New("no connection")
	a.shut(failure)
	<-late.done
	if !errors.Is(late.err, failure) {
		t.Errorf("who waited got %v, want the reason", late.err)
	}
	if _, err := a.join(fence.Now()); !errors.Is(err, failure) {
		t.Errorf("who comes later gets %v, want the reason at once", err)
	}
}

// Forced on a real follower:
//
//  1. a look is under way and cannot complete;
//  2. a write commits, then somebody asks to confirm it;
//  3. the look completes, and its head lacks the write: it must not answer.
func TestConfirmDoesNotTakeALookUnderWay(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	entered, leave := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	f := db.follow(func(o *FollowerOptions) {
		o.OnSchema = func() {
			if armed.CompareAndSwap(true, false) {
				close(entered)
				<-leave
			}
		}
	})
	f.confirmNow()
	entry := f.load(db.spell("users/id=1", "users/*")...)
	armed.Store(true)
	db.run("COMMENT ON TABLE users IS 'looked at'")
	<-entered
	db.run("UPDATE users SET name = 'x' WHERE id = 1")
	looks := f.Stats().Looks
	var group sync.WaitGroup
	for range 50 {
		at := fence.Now()
		group.Go(func() {
			if err := f.Confirm(t.Context(), at); err != nil {
				t.Error(err)
			}
			if f.fence.LookBegan() < at {
				t.Error("confirmed by the look under way")
			}
			if f.fence.Admits(entry) {
				t.Error("confirmed, and the entry lacks the write and is admitted")
			}
		})
	}
	began := time.Now()
	close(leave)
	group.Wait()
	own := uint64(time.Since(began) / awakePause) // those of a follower that is awake
	if n := f.Stats().Looks - looks; n > 25+own {
		t.Errorf("50 waiters cost %d looks, beside %d at most without them", n, own)
	}
}

func TestConfirmOfThePastIsFree(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Confirm(canceled, f.fence.LookBegan()); err != nil {
		t.Errorf("what a completed look covers: %v", err)
	}
	if err := f.Confirm(canceled, fence.Now().Add(1e12)); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
