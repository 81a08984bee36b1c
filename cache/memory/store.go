package memory

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/freshet/freshet/cache/internal/stripe"
)

const (
	// ItemOverhead is what Ristretto and this package hold for each item, in
	// bytes: a slot in the map of values and one in the map of costs, at the
	// usual load of Go's maps, and the item.
	ItemOverhead = 192

	// Ristretto holds whatever the residents are: this much, and more than they can
	// have, and it counts for nobody.
	ristrettoCost     = 1
	ristrettoMax      = 1 << 62
	ristrettoCounters = 1 << 10
	// accessBufferItems is how many reads a buffer collects before they are dropped.
	accessBufferItems = 64

	// orders is how many locks share the keys: a bit of a word for each.
	orders = 64
)

// Options configure a Store. None of its functions may wait, or call the Store.
type Options[T any] struct {
	// MaxBytes bounds the sum of the costs of all items, their bookkeeping
	// included. It must be positive.
	MaxBytes int64
	// Evicted, unless nil, is told each value that gives way to others, and, with held unset,
	// each that is refused for them.
	Evicted func(hash uint64, value *T, held bool)
	// Entered and Left, unless nil, are told each value that is held from now on, and that is
	// not any more, with its cost, the bookkeeping included: one call after the other.
	// replaced says that another value of its hash has taken its place.
	Entered func(value *T, cost int64)
	Left    func(value *T, cost int64, replaced bool)
}

// Store holds pointers to values that nobody changes. The zero value is not
// usable, New makes one.
type Store[T any] struct {
	// front has the most popular of items.
	front     *front[T]
	items     *ristretto.Cache[uint64, *item[T]]
	residents residents[T]
	// gates are for the goroutines, orders for the keys.
	gates  [stripe.Count]gate
	orders [orders]order[T]

	evicted   func(hash uint64, value *T, held bool) // nil: nobody is told
	evictions atomic.Uint64
	rejected  atomic.Uint64

	// beforeForget, unless nil, is called before an item that has to go is forgotten,
	// for tests that force an interleaving there.
	beforeForget func()
	// beforeOffer, unless nil, is called before an item that was found is offered to the
	// front, for the same.
	beforeOffer func()
}

// gate is held for reading by every method, and for writing by Close, that of its
// goroutine: Ristretto's Close closes channels that its other methods send on.
type gate struct {
	sync.RWMutex
	closed bool
	_      stripe.Padding
}

// enter holds the gate of the calling goroutine, which is to be left with RUnlock.
func (s *Store[T]) enter() *gate {
	g := &s.gates[stripe.OfCaller()]
	g.RLock()
	return g
}

// New returns an empty store. It starts goroutines, which Close ends.
func New[T any](o Options[T]) (*Store[T], error) {
	if o.MaxBytes <= 0 {
		return nil, fmt.Errorf("make memory tier: MaxBytes is %d, give a positive number of bytes", o.MaxBytes)
	}
	s := &Store[T]{front: &front[T]{}, evicted: o.Evicted}
	s.residents = residents[T]{maxBytes: o.MaxBytes, others: newSketch(o.MaxBytes), entered: o.Entered, left: func(it *item[T], replaced bool) {
		s.front.drop(it)
		if o.Left != nil {
			o.Left(it.value, it.cost, replaced)
		}
	}}
	items, err := ristretto.NewCache(&ristretto.Config[uint64, *item[T]]{
		NumCounters:        ristrettoCounters,
		MaxCost:            ristrettoMax,
		BufferItems:        accessBufferItems,
		IgnoreInternalCost: true, // ItemOverhead says it better
		KeyToHash:          func(hash uint64) (uint64, uint64) { return hash, 0 },
	})
	if err != nil {
		return nil, fmt.Errorf("make memory tier of %d bytes: %w", o.MaxBytes, err)
	}
	s.items = items
	return s, nil
}

// Get returns the value last set under hash, if it is still held. It does not
// allocate, but for one buffer in accessBufferItems calls.
func (s *Store[T]) Get(hash uint64) (*T, bool) {
	age := s.residents.age.Load()
	it := s.front.get(hash)
	if it == nil {
		it = s.find(hash, age)
	}
	if it == nil {
		return nil, false
	}
	it.use(age)
	return it.value, true
}

// find looks for an item in Ristretto, and among those that it is to be given. It returns
// nil if there is none.
func (s *Store[T]) find(hash, age uint64) *item[T] {
	g := s.enter()
	defer g.RUnlock()
	if g.closed {
		return nil
	}
	o := s.order(hash)
	arrived := o.arrived.Load()
	it, ok := s.items.Get(hash)
	if !ok {
		it = s.findLate(o, hash, arrived)
	}
	if it == nil {
		return nil
	}
	if s.beforeOffer != nil {
		s.beforeOffer()
	}
	s.front.offer(it, age)
	return it
}

// Setting is what Set is given.
type Setting[T any] struct {
	Hash uint64
	// Value is not nil, and nobody changes it.
	Value *T
	// Cost is its size in bytes, without the store's own bookkeeping.
	Cost int64
	// Worth is the time that a use of it saves.
	Worth time.Duration
}

// Set holds a value and reports whether it is held now: admission refuses what is larger
// than the store, and what saves less than that which would have to go. A value that is
// refused takes an older one of its hash with it.
func (s *Store[T]) Set(hash uint64, value *T, cost int64, worth time.Duration) bool {
	one := [1]Setting[T]{{hash, value, cost, worth}}
	return s.SetAll(one[:]) == 1
}

// settingsAtOnce is how many values are set by one lock.
const settingsAtOnce = 64

// SetAll is Set of many values, which takes little longer than that of one. It returns how
// many are held.
func (s *Store[T]) SetAll(all []Setting[T]) (held int) {
	g := s.enter()
	defer g.RUnlock()
	if g.closed {
		s.rejected.Add(uint64(len(all)))
		return 0
	}
	for len(all) > 0 {
		some := all[:min(len(all), settingsAtOnce)]
		gone, n := s.place(some)
		for _, it := range gone {
			s.forget(it)
		}
		held += n
		all = all[len(some):]
	}
	return held
}

// place holds those values that the residents admit, and returns those who have to go.
//
// Two values of one hash are one after the other: see TestOneHashTwiceAtOnce.
func (s *Store[T]) place(all []Setting[T]) (gone []*item[T], held int) {
	locked := s.lock(all)
	defer s.unlock(locked)
	for _, set := range all {
		went, ok := s.placeLocked(set)
		gone = append(gone, went...)
		if ok {
			held++
		}
	}
	return gone, held
}

// placeLocked holds a value if the residents admit it.
func (s *Store[T]) placeLocked(set Setting[T]) (gone []*item[T], held bool) {
	cost := set.Cost + ItemOverhead
	if cost > s.residents.maxBytes {
		s.reject(set.Hash, set.Value)
		return nil, false
	}
	it := &item[T]{value: set.Value, hash: set.Hash, cost: cost, density: densityOf(set.Worth, cost)}
	o := s.order(it.hash)
	before, waiting := s.heldLocked(o, it.hash)
	gone, ok := s.residents.admit(it, before)
	switch {
	case !ok:
	case waiting >= 0:
		o.waiting.items[waiting] = it
	case before != nil:
		if ok = s.items.Set(it.hash, it, ristrettoCost); !ok {
			s.residents.leave(it)
		}
	default:
		if o.waiting.n == batchMax {
			s.giveLocked(o)
		}
		o.waiting.add(it)
	}
	if !ok {
		s.reject(set.Hash, set.Value)
	}
	return gone, ok
}

// reject counts a value that is not taken in.
func (s *Store[T]) reject(hash uint64, value *T) {
	s.rejected.Add(1)
	s.tell(hash, value, false)
}

// tell says that a value is not held, for the sake of others.
func (s *Store[T]) tell(hash uint64, value *T, held bool) {
	if s.evicted != nil {
		s.evicted(hash, value, held)
	}
}

// lock locks the orders of all hashes, each once and the lower first, so that two who do
// never wait for one another. It returns which those are, a bit for each.
func (s *Store[T]) lock(all []Setting[T]) (locked uint64) {
	for i := range all {
		locked |= 1 << (all[i].Hash % orders)
	}
	for left := locked; left != 0; left &= left - 1 {
		s.orders[bits.TrailingZeros64(left)].Lock()
	}
	return locked
}

func (s *Store[T]) unlock(locked uint64) {
	for left := locked; left != 0; left &= left - 1 {
		s.orders[bits.TrailingZeros64(left)].Unlock()
	}
}

// forget takes out one that is no resident any more:
//
//  1. A's set takes the place of an item, which is none of the residents now;
//  2. B sets the same hash, and its item is admitted;
//  3. A deletes by the hash what B holds. It counts as held, and nobody finds it.
//
// So it is deleted only if it is still what lies there. Forced by
// TestVictimThatComesBack.
func (s *Store[T]) forget(it *item[T]) {
	s.evictions.Add(1)
	s.tell(it.hash, it.value, true)
	if s.beforeForget != nil {
		s.beforeForget()
	}
	o := s.order(it.hash)
	o.Lock()
	defer o.Unlock()
	if there, waiting := s.heldLocked(o, it.hash); there == it {
		s.dropLocked(o, it, waiting)
	}
}

// Del forgets what is held under hash. It may wait for sets under way.
func (s *Store[T]) Del(hash uint64) {
	g := s.enter()
	defer g.RUnlock()
	if g.closed {
		return
	}
	o := s.order(hash)
	o.Lock()
	defer o.Unlock()
	if it, waiting := s.heldLocked(o, hash); it != nil {
		s.residents.leave(it)
		s.dropLocked(o, it, waiting)
	}
}

// Some appends values to dst until its capacity is used: with each call others, until all
// had their turn. Values that come and go meanwhile may be left out, or come twice.
func (s *Store[T]) Some(dst []*T) []*T { return s.residents.some(dst) }

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
	st := Stats{MaxBytes: s.residents.maxBytes, Evictions: s.evictions.Load(), Rejected: s.rejected.Load()}
	g := s.enter()
	defer g.RUnlock()
	if !g.closed {
		st.Items, st.Bytes = s.residents.held()
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
	s.front.clear()
	for i := range s.orders {
		s.orders[i].waiting.clear()
		s.orders[i].given.clear()
	}
	s.items.Close()
}
