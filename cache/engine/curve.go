package engine

import (
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/memory"
)

const (
	// One key of 1<<curveBits is followed at first, and curveKeysMax at most: where they are
	// more, half of them are left out from then on.
	curveBits    = 7
	curveKeysMax = 2048
	curveSlots   = 2 * curveKeysMax
	// curveReadsMax is after how many reads of such keys earlier ones count half.
	curveReadsMax = 1 << 15
	// Of less nothing is said.
	curveReadsMin, curveKeysMin = 128, 8
)

// curveFactors are the sizes of the first tier about which it is told what they would miss.
var curveFactors = [...]float64{0.5, 1, 2, 4}

// MissRatio estimates what the first tier would miss with another size.
type MissRatio struct {
	// Factor is how many times as large it is, Bytes its size.
	Factor float64
	Bytes  int64
	// Estimate is the share of reads of what is cached that would be loaded.
	Estimate float64
}

// curve estimates what a first tier of another size would miss that keeps what was read
// last. It follows some keys, chosen by their hashes, so that all reads of such a key are
// met. A read would hit if the bytes that were read since the key's last read, and its own,
// have room, and its entry has not ended. All bytes are those of the sample, which stand for
// 1<<bits times as many.
//
// The sample has more or fewer reads than its share where a few keys are read by everybody.
// What is too many or too few counts as reads of keys that any size keeps, which such keys
// are; so it does no harm either to leave one out when two come at once.
type curve struct {
	maxBytes int64
	// latest is the key that was read last: another read of it says nothing new.
	latest atomic.Uint64

	mu   sync.Mutex
	bits int
	// places says where in slots a key is. Those stand in the order of their last reads, with
	// gaps, from oldest to next, and sums are of their costs, as a Fenwick tree.
	places       map[uint64]int
	slots        [curveSlots]curveSlot
	sums         [curveSlots + 1]int64
	oldest, next int
	bytes        int64
	// reads are those of the sample, hits those of them that each size would have answered, all
	// the reads of all keys, of which counted had been when that was added up last.
	reads, all float64
	counted    uint64
	hits       [len(curveFactors)]float64
}

// curveSlot is a key that is followed; without a cost there is none.
type curveSlot struct {
	hash    uint64
	cost    int64
	moves   uint64 // fence.Moves when it was read
	expires fence.Instant
}

func newCurve(maxBytes int64) *curve {
	return &curve{maxBytes: maxBytes, bits: curveBits, places: map[uint64]int{}}
}

// spread mixes hashes, of which other bits choose other things.
const spread = 0x9e3779b97f4a7c15

// sampled reports whether a key may be one of those that are followed.
func sampled(hash uint64) bool { return hash*spread>>(64-curveBits) == 0 }

// noteRead tells the curve of a read of a key that may be followed, which was a hit, or has
// loaded e.
func (c *Cache) noteRead(e *Entry, hit bool) {
	k := c.curve
	if k.latest.Load() == e.hash || !k.mu.TryLock() {
		return
	}
	defer k.mu.Unlock()
	k.readLocked(curveSlot{e.hash, int64(e.size()) + memory.ItemOverhead, c.fence.Moves(e.Ticket), e.Expires}, hit, fence.Now())
	if k.reads >= curveReadsMax {
		k.ageLocked(c.uses.reads())
	}
}

func (k *curve) followsLocked(hash uint64) bool { return hash*spread>>(64-k.bits) == 0 }

func (k *curve) readLocked(s curveSlot, hit bool, now fence.Instant) {
	if !k.followsLocked(s.hash) {
		return
	}
	k.latest.Store(s.hash)
	k.reads++
	if place, known := k.places[s.hash]; known {
		before := k.slots[place]
		if hit || before.moves == s.moves && now < before.expires {
			k.hitLocked(float64((k.bytes - k.sumBelowLocked(place)) << k.bits))
		}
		k.removeLocked(place)
	}
	if k.next == curveSlots {
		k.packLocked()
	}
	k.putLocked(s)
	for k.bytes<<k.bits > int64(curveFactors[len(curveFactors)-1]*float64(k.maxBytes)) {
		k.removeLocked(k.oldestLocked())
	}
	for len(k.places) > curveKeysMax {
		k.thinLocked()
	}
}

// hitLocked counts a read that needs so many bytes to be a hit.
func (k *curve) hitLocked(bytes float64) {
	for i, factor := range curveFactors {
		if bytes <= factor*float64(k.maxBytes) {
			k.hits[i]++
		}
	}
}

func (k *curve) putLocked(s curveSlot) {
	k.slots[k.next], k.places[s.hash] = s, k.next
	k.addLocked(k.next, s.cost)
	k.next++
}

func (k *curve) removeLocked(place int) {
	s := &k.slots[place]
	delete(k.places, s.hash)
	k.addLocked(place, -s.cost)
	*s = curveSlot{}
}

func (k *curve) oldestLocked() int {
	for k.slots[k.oldest].cost == 0 {
		k.oldest++
	}
	return k.oldest
}

// addLocked adds to the costs at a place, sumBelowLocked sums those below it.
func (k *curve) addLocked(place int, cost int64) {
	k.bytes += cost
	for i := place + 1; i <= curveSlots; i += i & -i {
		k.sums[i] += cost
	}
}

func (k *curve) sumBelowLocked(place int) (sum int64) {
	for i := place; i > 0; i -= i & -i {
		sum += k.sums[i]
	}
	return sum
}

// packLocked closes the gaps, and leaves out who is not followed any more.
func (k *curve) packLocked() {
	kept := make([]curveSlot, 0, len(k.places))
	for _, s := range k.slots[:k.next] {
		if s.cost != 0 && k.followsLocked(s.hash) {
			kept = append(kept, s)
		}
	}
	clear(k.places)
	clear(k.slots[:])
	clear(k.sums[:])
	k.oldest, k.next, k.bytes = 0, 0, 0
	for _, s := range kept {
		k.putLocked(s)
	}
}

// thinLocked follows half as many keys, and counts as if it always had.
func (k *curve) thinLocked() {
	k.bits++
	k.packLocked()
	k.reads /= 2
	for i := range k.hits {
		k.hits[i] /= 2
	}
}

// ageLocked has what was read until now count half.
func (k *curve) ageLocked(reads uint64) {
	k.countLocked(reads)
	k.reads /= 2
	k.all /= 2
	for i := range k.hits {
		k.hits[i] /= 2
	}
}

func (k *curve) countLocked(reads uint64) {
	k.all += float64(reads - min(reads, k.counted))
	k.counted = reads
}

// ratios returns the estimates; reads are all that there were, of all keys.
func (k *curve) ratios(reads uint64) (all []MissRatio) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.countLocked(reads)
	if reads == 0 || k.reads < curveReadsMin || len(k.places) < curveKeysMin {
		return nil
	}
	due := k.all / float64(uint64(1)<<k.bits)
	for i, factor := range curveFactors {
		hits := k.hits[i] + due - k.reads
		all = append(all, MissRatio{factor, int64(factor * float64(k.maxBytes)), min(max(1-hits/due, 0), 1)})
	}
	return all
}
