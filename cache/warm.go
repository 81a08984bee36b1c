package cache

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/engine"
)

const (
	// warmPause is the time between two looks for entries that a change has ended.
	warmPause = 20 * time.Millisecond
	// warmForgets is how many such looks it takes for what was asked to count half.
	warmForgets = 256
)

// warmer loads again what a change has ended, for the most asked keys of a function. It
// is one goroutine, so that at most one of its loads is under way.
type warmer[K comparable, V any] struct {
	of *wrapped[K, V]

	mu   sync.Mutex
	held map[K]*engine.Entry
}

func startWarmer[K comparable, V any](w *wrapped[K, V]) *warmer[K, V] {
	made := &warmer[K, V]{of: w, held: map[K]*engine.Entry{}}
	if w.cache.loads.begin() {
		go func() {
			defer w.cache.loads.running.Done()
			made.run(w.cache.closing)
		}()
	}
	return made
}

func (m *warmer[K, V]) run(ctx context.Context) {
	ticker := time.NewTicker(warmPause)
	defer ticker.Stop()
	for looks := 1; ; looks++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for k, asked := range m.ended() {
			has := m.awaitSpare(ctx, ticker.C)
			if has == noSlot {
				return
			}
			// The error is the next caller's, who meets it himself.
			if m.of.rewarm(ctx, k, has) == nil {
				m.carry(k, asked/2)
			}
		}
		if looks%warmForgets == 0 {
			m.forget()
		}
	}
}

// awaitSpare waits for a slot that no reader waits for. It returns none when ctx ends. It
// does not queue for one: then it would have it before readers who come later.
func (m *warmer[K, V]) awaitSpare(ctx context.Context, tick <-chan time.Time) slot {
	for {
		if m.of.policy.Elsewhere {
			return freeSlot
		}
		if has := m.of.cache.slots.trySpare(); has != noSlot {
			return has
		}
		select {
		case <-ctx.Done():
			return noSlot
		case <-tick:
		}
	}
}

// warms notes the entry of a key.
func (w *wrapped[K, V]) warms(k K, e *engine.Entry) {
	if w.warmer != nil {
		w.warmer.note(k, e)
	}
}

// hit counts a hit of an entry. Now and then, and less often the more there were, it is
// compared with those that are held.
func (m *warmer[K, V]) hit(k K, e *engine.Entry, p *typed[K, V]) {
	if n := p.asked.Add(1); n&(n-1) == 0 {
		m.note(k, e)
	}
}

// note takes an entry in, in place of one that is asked less if there are too many.
func (m *warmer[K, V]) note(k K, e *engine.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch before := m.held[k]; {
	case before == e:
		return
	case before != nil:
		asked[K, V](e).Add(asked[K, V](before).Load() / 2)
	case len(m.held) >= m.of.policy.Warm:
		least, n := m.leastLocked()
		if n >= asked[K, V](e).Load() {
			return
		}
		delete(m.held, least)
	}
	m.held[k] = e
}

// carry gives the entry of a key what the one before it was asked.
func (m *warmer[K, V]) carry(k K, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.held[k]; e != nil {
		asked[K, V](e).Add(n)
	}
}

// leastLocked returns the key that is asked least, and how often that is.
func (m *warmer[K, V]) leastLocked() (least K, n uint64) {
	n = math.MaxUint64
	for k, e := range m.held {
		if asked := asked[K, V](e).Load(); asked < n {
			least, n = k, asked
		}
	}
	return least, n
}

// ended takes out the keys whose entries may not be served any more, and returns those
// that were asked for, and how often. What cannot be loaded or kept stays out, until
// somebody asks for it.
func (m *warmer[K, V]) ended() map[K]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[K]uint64{}
	for k, e := range m.held {
		if m.of.cache.engine.Admits(e) {
			continue
		}
		delete(m.held, k)
		if n := asked[K, V](e).Load(); n > 0 {
			all[k] = n
		}
	}
	return all
}

// forget halves what was asked.
func (m *warmer[K, V]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.held {
		n := asked[K, V](e)
		n.Store(n.Load() / 2)
	}
}

// asked is the count of the hits of an entry.
func asked[K comparable, V any](e *engine.Entry) *atomic.Uint64 {
	return &e.Payload.(*typed[K, V]).asked
}
