package memory

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/freshet/freshet/cache/internal/stripe"
)

const (
	// itemOverhead is what Ristretto and this package hold for each item, in
	// bytes: a slot in the map of values and one in the map of costs, at the
	// usual load of Go's maps.
	itemOverhead = 128

	// Admission counts how often keys are asked for, with about ten counters for
	// each item of bytesPerCounter*10 bytes. A counter takes 3 bytes, or up to 6
	// where their number is rounded up: 2 to 5 % of MaxBytes.
	bytesPerCounter = 128
	countersMin     = 1 << 10
	countersMax     = 1 << 25

	// accessBufferItems is how many reads a buffer collects before admission is
	// told of them.
	accessBufferItems = 64

	// orders is how many locks share the keys, a power of two.
	orders = 64
)

// Options configure a Store.
type Options struct {
	// MaxBytes bounds the sum of the costs of all items, their bookkeeping
	// included. It must be positive.
	MaxBytes int64
}

// Store holds pointers to values that nobody changes. The zero value is not
// usable, New makes one.
type Store[T any] struct {
	items    *ristretto.Cache[uint64, *T]
	maxBytes int64
	// gates are for the goroutines, orders for the keys.
	gates  [stripe.Count]gate
	orders [orders]order

	live      atomic.Int64
	evictions atomic.Uint64
	rejected  atomic.Uint64
}

// gate is held for reading by every method, and for writing by Close, that of its
// goroutine: Ristretto's Close closes channels that its other methods send on.
type gate struct {
	sync.RWMutex
	closed bool
	_      stripe.Padding
}

// order makes changes of one key take effect one after the other.
type order struct {
	sync.Mutex
	_ stripe.Padding
}

// enter holds the gate of the calling goroutine, which is to be left with RUnlock.
func (s *Store[T]) enter() *gate {
	g := &s.gates[stripe.OfCaller()]
	g.RLock()
	return g
}

// New returns an empty store. It starts goroutines, which Close ends.
func New[T any](o Options) (*Store[T], error) {
	if o.MaxBytes <= 0 {
		return nil, fmt.Errorf("make memory tier: MaxBytes is %d, give a positive number of bytes", o.MaxBytes)
	}
	s := &Store[T]{maxBytes: o.MaxBytes}
	items, err := ristretto.NewCache(&ristretto.Config[uint64, *T]{
		NumCounters:        min(max(o.MaxBytes/bytesPerCounter, countersMin), countersMax),
		MaxCost:            o.MaxBytes,
		BufferItems:        accessBufferItems,
		IgnoreInternalCost: true, // itemOverhead says it better
		KeyToHash:          func(hash uint64) (uint64, uint64) { return hash, 0 },
		OnEvict:            func(*ristretto.Item[*T]) { s.evictions.Add(1) },
		OnReject:           func(*ristretto.Item[*T]) { s.rejected.Add(1) },
		OnExit:             s.left,
	})
	if err != nil {
		return nil, fmt.Errorf("make memory tier of %d bytes: %w", o.MaxBytes, err)
	}
	s.items = items
	return s, nil
}

// left is told of every value that is replaced, evicted, refused or deleted,
// and of nil where there was none.
func (s *Store[T]) left(value *T) {
	if value != nil {
		s.live.Add(-1)
	}
}

// Get returns the value last set under hash, if it is still held. It does not
// allocate, but for one buffer in accessBufferItems calls.
func (s *Store[T]) Get(hash uint64) (*T, bool) {
	g := s.enter()
	defer g.RUnlock()
	if g.closed {
		return nil, false
	}
	return s.items.Get(hash)
}

// Set holds value, which is not nil, under hash. cost is its size in bytes,
// without the store's own bookkeeping. Set reports whether the value is held
// now: admission refuses what is larger than the store, and what is asked for
// less often than that which would have to go. A refused value may leave an
// older one of its hash in place.
func (s *Store[T]) Set(hash uint64, value *T, cost int64) bool {
	g := s.enter()
	defer g.RUnlock()
	if g.closed || cost+itemOverhead > s.maxBytes {
		s.rejected.Add(1)
		return false
	}
	// Without the lock, and without waiting under it:
	//
	//  1. A sets the absent key: Ristretto queues an insertion;
	//  2. B sets the key, still absent: Ristretto queues another;
	//  3. Ristretto inserts A's value, finds the key present at B's, drops it;
	//  4. B's reader is given A's value.
	//
	// Forced by TestSetAfterSetKeepsTheNewer.
	o := &s.orders[hash%orders]
	o.Lock()
	defer o.Unlock()
	s.live.Add(1)
	if !s.items.Set(hash, value, cost+itemOverhead) {
		s.live.Add(-1)
		s.rejected.Add(1)
		return false
	}
	s.items.Wait()
	held, ok := s.items.Get(hash)
	return ok && held == value
}

// Del forgets what is held under hash. It may wait for sets under way.
func (s *Store[T]) Del(hash uint64) {
	g := s.enter()
	defer g.RUnlock()
	if g.closed {
		return
	}
	o := &s.orders[hash%orders]
	o.Lock()
	defer o.Unlock()
	s.items.Del(hash)
}

// Stats are counts since New, and what is held now.
type Stats struct {
	Items     int64  // held now
	Bytes     int64  // their cost, bookkeeping included
	MaxBytes  int64  // the bound
	Evictions uint64 // items that gave way to others
	Rejected  uint64 // sets that admission refused
}

// Stats returns counts that were each right at some moment of the call.
func (s *Store[T]) Stats() Stats {
	st := Stats{MaxBytes: s.maxBytes, Evictions: s.evictions.Load(), Rejected: s.rejected.Load()}
	g := s.enter()
	defer g.RUnlock()
	if !g.closed {
		st.Items = s.live.Load()
		st.Bytes = s.maxBytes - s.items.RemainingCost()
	}
	return st
}

// Close forgets everything and ends the store's goroutines. Afterwards Get
// finds nothing and Set refuses. It may be called more than once.
func (s *Store[T]) Close() {
	for i := range s.gates {
		s.gates[i].Lock()
		defer s.gates[i].Unlock()
	}
	if s.gates[0].closed {
		return
	}
	for i := range s.gates {
		s.gates[i].closed = true
	}
	s.items.Close()
}
