package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// failuresMax is how many calls in a row must fail for the breaker to open.
	failuresMax = 5
	// probeDelay is how long it stays open before the next probe.
	probeDelay = time.Second
	// forgottenAfter is how long an open breaker is remembered that nobody asks.
	forgottenAfter = time.Minute
)

const (
	stateClosed int32 = iota
	stateOpen
	stateProbing
	stateEnded
)

// breaker keeps callers from a server that does not answer. Open, it allows
// nobody; whoever asks first after probeDelay starts a probe in the background,
// so that no caller pays for finding out.
type breaker struct {
	probe    func(ctx context.Context, key string) error
	changed  func() // called when it has opened or closed
	state    atomic.Int32
	failures atomic.Int32
	// retryAt is a time since began: the wall clock may jump, and with it the next
	// probe would be an hour away.
	retryAt atomic.Int64
	began   time.Time
	opened  atomic.Uint64
	// failing is a key that could not be had.
	failing atomic.Pointer[string]

	ctx    context.Context
	cancel context.CancelFunc
	probes sync.WaitGroup

	mu    sync.Mutex
	ended bool
}

func newBreaker(ctx context.Context, probe func(ctx context.Context, key string) error, changed func()) *breaker {
	b := &breaker{probe: probe, changed: changed, began: time.Now()}
	b.ctx, b.cancel = context.WithCancel(ctx)
	return b
}

// allow reports whether a call may be made now.
func (b *breaker) allow() bool {
	state := b.state.Load()
	if state == stateOpen && time.Since(b.began) >= time.Duration(b.retryAt.Load()) && b.state.CompareAndSwap(stateOpen, stateProbing) {
		b.startProbe()
	}
	return state == stateClosed
}

func (b *breaker) startProbe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.probes.Go(func() {
		if b.probe(b.ctx, *b.failing.Load()) != nil {
			b.open(stateProbing)
			return
		}
		b.failures.Store(0)
		if b.state.CompareAndSwap(stateProbing, stateClosed) {
			b.changed()
		}
	})
}

func (b *breaker) succeeded() {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
	}
}

// failed notes that key could not be had.
func (b *breaker) failed(key string) {
	if b.failures.Add(1) >= failuresMax {
		b.failing.Store(&key)
		b.open(stateClosed)
	}
}

// open opens the breaker if it is in the given state: calls that were under way
// when it opened change nothing by failing too.
func (b *breaker) open(from int32) {
	b.retryAt.Store(int64(time.Since(b.began) + probeDelay))
	if b.state.CompareAndSwap(from, stateOpen) && from == stateClosed {
		b.opened.Add(1)
		b.changed()
	}
}

// forgotten reports whether nobody has asked for a while since the breaker
// opened: the first to ask would have started a probe.
func (b *breaker) forgotten() bool {
	return b.state.Load() == stateOpen && time.Since(b.began)-time.Duration(b.retryAt.Load()) > forgottenAfter
}

func (b *breaker) name() string {
	switch b.state.Load() {
	case stateClosed:
		return "closed"
	case stateProbing:
		return "probing"
	default:
		return "open"
	}
}

// close opens the breaker for good and waits for a probe under way.
func (b *breaker) close() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.state.Store(stateEnded)
	b.cancel()
	b.probes.Wait()
}
