package memory

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/cache/internal/stripe"
)

const (
	// sampleSize is how many items are compared to find the one that goes.
	sampleSize = 8
	// agePerItem is how many sets for each item make an age. After it uses count half:
	// what was popular has to go on being it.
	agePerItem = 5
)

// residents are the items that are held, and decide who becomes one. An item stays for
// what it saves: its uses, times how long its load took, for each of its bytes. One that
// comes takes the places of those that save less, or none if there are too few of them.
type residents[T any] struct {
	maxBytes int64
	// age counts the times that all uses were halved. Readers look at it.
	age atomic.Uint64
	_   stripe.Padding
	// entered, unless nil, is called for each that becomes a resident, and left for each
	// that is one no longer, with the lock held; replaced if one of its hash has its place.
	entered func(value *T, cost int64)
	left    func(it *item[T], replaced bool)

	mu     sync.Mutex
	all    []*item[T]
	turn   int // whose turn it is next in some
	bytes  int64
	sets   int // in this age
	others sketch
}

// admit makes it a resident, in the place of before unless that is nil, or reports
// false. Those who have to go are residents no longer; before is among them if its
// successor is refused.
func (r *residents[T]) admit(it, before *item[T]) (gone []*item[T], ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.growOlderLocked()
	r.sets++
	if before != nil && before.place == nowhere {
		before = nil // it has to go, and nobody has come to forget it yet
	}
	uses, freed := r.others.count(it.hash), int64(0)
	if before != nil {
		uses, freed = before.count(r.age.Load()), before.cost
	}
	uses = min(uses+1, usesMax)
	it.uses.Store(r.age.Load()<<countBits | uint64(uses))
	gone, ok = r.makeRoomLocked(it, before, r.bytes-freed+it.cost-r.maxBytes)
	switch {
	case ok && before != nil:
		r.all[before.place], it.place = it, before.place
		before.place = nowhere
		r.left(before, true)
	case ok:
		it.place = len(r.all)
		r.all = append(r.all, it)
	default:
		return r.refuseLocked(it, before, uses), false
	}
	r.bytes += it.cost - freed
	if r.entered != nil {
		r.entered(it.value, it.cost)
	}
	return gone, true
}

// refuseLocked remembers that one was asked for who does not become a resident.
func (r *residents[T]) refuseLocked(it, before *item[T], uses uint8) (gone []*item[T]) {
	if before != nil {
		r.leaveLocked(before, uses)
		return []*item[T]{before}
	}
	r.others.raise(it.hash, uses)
	return nil
}

// nowhere is the place of an item that is none of the residents.
const nowhere = -1

// growOlderLocked begins a new age when it is time.
func (r *residents[T]) growOlderLocked() {
	if r.sets <= agePerItem*(len(r.all)+1) {
		return
	}
	r.sets = 0
	r.age.Add(1)
	r.others.halve()
}

// makeRoomLocked lets so many bytes go for an item, or none at all. Who may go stands at
// the end of all meanwhile, out of the way of the next sample. before stays: it is
// replaced.
func (r *residents[T]) makeRoomLocked(it, before *item[T], bytes int64) (gone []*item[T], ok bool) {
	age := r.age.Load()
	saves := float64(it.count(age)) * it.density
	left := len(r.all)
	if before != nil && bytes > 0 {
		left--
		r.swapLocked(before.place, left)
	}
	kept := left
	for bytes > 0 {
		if left == 0 {
			return nil, false
		}
		least := r.leastLocked(left, age)
		victim := r.all[least]
		if saves <= float64(victim.count(age))*victim.density {
			return nil, false
		}
		left--
		r.swapLocked(least, left)
		bytes -= victim.cost
	}
	gone = append(gone, r.all[left:kept]...)
	for _, victim := range gone {
		r.leaveLocked(victim, victim.count(age))
	}
	return gone, true
}

// leastLocked returns the place of one of the first n that saves little.
func (r *residents[T]) leastLocked(n int, age uint64) int {
	place, least := 0, math.Inf(1)
	for range sampleSize {
		i := rand.IntN(n)
		if saves := float64(r.all[i].count(age)) * r.all[i].density; saves < least {
			place, least = i, saves
		}
	}
	return place
}

func (r *residents[T]) swapLocked(i, j int) {
	r.all[i], r.all[j] = r.all[j], r.all[i]
	r.all[i].place, r.all[j].place = i, j
}

// leaveLocked takes an item out, and remembers how often it was asked for.
func (r *residents[T]) leaveLocked(it *item[T], uses uint8) {
	last := len(r.all) - 1
	r.swapLocked(it.place, last)
	r.all[last] = nil
	r.all = r.all[:last]
	it.place = nowhere
	r.left(it, false)
	r.bytes -= it.cost
	r.others.raise(it.hash, uses)
}

// leave takes an item out if it is a resident still.
func (r *residents[T]) leave(it *item[T]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if it.place == nowhere {
		return false
	}
	r.leaveLocked(it, it.count(r.age.Load()))
	return true
}

// some is Store.Some.
func (r *residents[T]) some(dst []*T) []*T {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range min(cap(dst)-len(dst), len(r.all)) {
		r.turn = (r.turn + 1) % len(r.all)
		dst = append(dst, r.all[r.turn].value)
	}
	return dst
}

// held returns how many there are, and their bytes.
func (r *residents[T]) held() (items, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.all)), r.bytes
}
