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
	probe    func(context.Context) error
	state    atomic.Int32
	failures atomic.Int32
	retryAt  atomic.Int64 // UnixNano
	opened   atomic.Uint64

	ctx    context.Context
	cancel context.CancelFunc
	probes sync.WaitGroup

	mu    sync.Mutex
	ended bool
}

func newBreaker(ctx context.Context, probe func(context.Context) error) *breaker {
	b := &breaker{probe: probe}
	b.ctx, b.cancel = context.WithCancel(ctx)
	return b
}

// allow reports whether a call may be made now.
func (b *breaker) allow() bool {
	state := b.state.Load()
	if state == stateOpen && time.Now().UnixNano() >= b.retryAt.Load() && b.state.CompareAndSwap(stateOpen, stateProbing) {
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
		if b.probe(b.ctx) != nil {
			b.open(stateProbing)
			return
		}
		b.failures.Store(0)
		b.state.CompareAndSwap(stateProbing, stateClosed)
	})
}

func (b *breaker) succeeded() {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
	}
}

func (b *breaker) failed() {
	if b.failures.Add(1) >= failuresMax {
		b.open(stateClosed)
	}
}

// open opens the breaker if it is in the given state: calls that were under way
// when it opened change nothing by failing too.
func (b *breaker) open(from int32) {
	b.retryAt.Store(time.Now().Add(probeDelay).UnixNano())
	if b.state.CompareAndSwap(from, stateOpen) && from == stateClosed {
		b.opened.Add(1)
	}
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
