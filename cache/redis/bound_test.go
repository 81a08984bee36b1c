package redis

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A bound ends when an exchange is late, and not because an earlier one began long ago.
func TestBoundEndsWithALateExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 50 * time.Millisecond
		b := newBound(timeout)
		for range 10 {
			b.begin(t.Context())
			until, _ := b.Deadline()
			if left := time.Until(until); left != timeout {
				t.Fatalf("%v are left, want %v", left, timeout)
			}
			time.Sleep(timeout - time.Millisecond)
			if b.Err() != nil || !b.end() {
				t.Fatal("an exchange in time was late")
			}
		}
		time.Sleep(time.Hour) // the timer rings, and is not set again
		b.begin(t.Context())
		<-b.Done()
		if !errors.Is(b.Err(), context.DeadlineExceeded) || b.end() {
			t.Errorf("%v, and there may be another exchange", b.Err())
		}
	})
}

// An exchange ends no later than its reader's context says, whose values it has.
func TestBoundOfAReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Millisecond)
		defer cancel()
		b := newBound(time.Minute)
		b.begin(ctx)
		if until, _ := b.Deadline(); time.Until(until) != time.Millisecond || b.Value(key{}) != "value" {
			t.Errorf("until %v, value %v", until, b.Value(key{}))
		}
		if !b.end() || b.Value(key{}) != nil {
			t.Error("something is left of the exchange")
		}
		time.Sleep(time.Hour)
	})
}
