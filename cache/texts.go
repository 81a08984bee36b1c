package cache

import (
	"maps"
	"sync"
	"sync/atomic"
)

// texts is a map from texts that seldom gets another one. Who finds what he looks for
// takes no lock and allocates nothing.
type texts[V any] struct {
	// settled holds most; it does not change.
	settled atomic.Pointer[map[string]V]

	mu sync.Mutex
	// all holds everything, once there is something that settled lacks. missed counts
	// the looks that settled had nothing for.
	all    map[string]V
	missed int
}

// get returns the value of a text.
func (t *texts[V]) get(text string) (V, bool) {
	if settled := t.settled.Load(); settled != nil {
		if v, ok := (*settled)[text]; ok {
			return v, true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.all[text]
	if t.missed++; ok && t.missed > len(t.all) {
		t.settleLocked()
	}
	return v, ok
}

// getOrMake returns the value of a text, which make makes if there is none; if make
// has none, neither has the map. Beyond most texts it begins anew.
func (t *texts[V]) getOrMake(text string, most int, keeps func(V) bool, make func() (V, bool)) (V, bool) {
	if v, ok := t.get(text); ok && keeps(v) {
		return v, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.all[text]; ok && keeps(v) {
		return v, true
	}
	v, ok := make()
	if !ok {
		return v, false
	}
	if t.all == nil || len(t.all) >= most {
		t.all = map[string]V{}
	}
	_, replaced := t.all[text]
	t.all[text] = v
	if replaced {
		t.settleLocked() // it may hold the value of before
	}
	return v, true
}

func (t *texts[V]) settleLocked() {
	settled := maps.Clone(t.all)
	t.settled.Store(&settled)
	t.missed = 0
}
