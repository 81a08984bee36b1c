package redis

import (
	"context"
	"sync"
	"time"
)

// bound is the context of one exchange after another, each of which ends a time after it
// began. Its timer is not set and stopped for each, as one of context.WithTimeout is, which
// takes as long as to tell Redis the question: it rings once in a while, sees whether the
// exchange under way is late, and sets itself again if not.
//
// What the exchange's own reader's context says is heard at its beginning. That it ends later
// shortens no exchange: what is sent is to be read before another may use the connection.
type bound struct {
	timeout time.Duration
	done    chan struct{}

	mu sync.Mutex
	// parent, until and under way are those of the exchange; they are written by begin and
	// end.
	parent   context.Context
	until    time.Time
	underWay bool
	// timer is set while armed. It is made by the first begin.
	timer *time.Timer
	armed bool
	// late is set when an exchange took too long: the bound ends with that.
	late bool
}

func newBound(timeout time.Duration) *bound {
	return &bound{timeout: timeout, done: make(chan struct{}), parent: context.Background()}
}

// begin begins an exchange of a reader.
func (b *bound) begin(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parent, b.until, b.underWay = ctx, time.Now().Add(b.timeout), true
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(b.until) {
		b.until = earlier
	}
	switch {
	case b.armed:
	case b.timer == nil:
		b.timer, b.armed = time.AfterFunc(b.timeout, b.ring), true
	default:
		b.armed = true
		b.timer.Reset(b.timeout)
	}
}

// end ends it, and reports whether there may be another.
func (b *bound) end() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parent, b.underWay = context.Background(), false
	return !b.late
}

// ring looks whether the exchange is late.
func (b *bound) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := time.Until(b.until)
	switch {
	case !b.underWay:
		b.armed = false
	case left > 0:
		b.timer.Reset(left)
	default:
		b.armed, b.late = false, true
		close(b.done)
	}
}

// Deadline implements context.Context.
func (b *bound) Deadline() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.until, true
}

// Done implements context.Context.
func (b *bound) Done() <-chan struct{} { return b.done }

// Err implements context.Context.
func (b *bound) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context.
func (b *bound) Value(key any) any {
	b.mu.Lock()
	parent := b.parent
	b.mu.Unlock()
	return parent.Value(key)
}
