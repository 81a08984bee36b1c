package engine

import (
	"container/list"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/freshet/freshet/cache/fence"
)

// lru is a true one, of bytes.
type lru struct {
	max, bytes int64
	order      *list.List // of curveSlot, the latest in front
	places     map[uint64]*list.Element
	misses     int
}

func (l *lru) read(s curveSlot) {
	if at, held := l.places[s.hash]; held {
		l.bytes -= at.Value.(curveSlot).cost
		l.order.Remove(at)
	} else {
		l.misses++
	}
	l.places[s.hash] = l.order.PushFront(s)
	for l.bytes += s.cost; l.bytes > l.max; {
		last := l.order.Back()
		l.bytes -= last.Value.(curveSlot).cost
		delete(l.places, last.Value.(curveSlot).hash)
		l.order.Remove(last)
	}
}

// The estimates are near to what true LRUs of the four sizes miss: of a Zipf distribution, in
// which a few keys are read by everybody, and of one in which all are read alike.
func TestCurveIsNearTrueLRUs(t *testing.T) {
	t.Parallel()
	const keys, reads, maxBytes = 40_000, 120_000, 4 << 20
	for _, c := range []struct {
		name string
		skew float64
	}{{"zipf", 1.05}, {"uniform", 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			zipf := rand.NewZipf(random, max(c.skew, 1.01), 1, keys-1)
			hashes := make([]uint64, keys)
			for i := range hashes {
				hashes[i] = random.Uint64()
			}
			k := newCurve(maxBytes)
			var true4 [len(curveFactors)]*lru
			for i, factor := range curveFactors {
				true4[i] = &lru{max: int64(factor * maxBytes), order: list.New(), places: map[uint64]*list.Element{}}
			}
			for range reads {
				key := zipf.Uint64()
				if c.skew == 0 {
					key = random.Uint64N(keys)
				}
				hash := hashes[key]
				s := curveSlot{hash: hash, cost: 200 + int64(key*7919%800), expires: math.MaxInt64}
				for _, l := range true4 {
					l.read(s)
				}
				if sampled(hash) && k.latest.Load() != hash {
					k.readLocked(s, false, 0)
				}
			}
			if len(k.places) > curveKeysMax || k.bits == curveBits && len(k.places) > keys/50 {
				t.Errorf("%d keys are followed", len(k.places))
			}
			got := k.ratios(reads)
			for i, r := range got {
				want := float64(true4[i].misses) / reads
				t.Logf("%gx: %.3f estimated, %.3f true", r.Factor, r.Estimate, want)
				if math.Abs(r.Estimate-want) > 0.06 {
					t.Errorf("%gx: %.3f estimated, %.3f true", r.Factor, r.Estimate, want)
				}
			}
			if len(got) != len(curveFactors) {
				t.Errorf("%d estimates", len(got))
			}
		})
	}
}

// What has ended would be missed with any memory; what is read first, too.
func TestCurveKnowsWhatHasEnded(t *testing.T) {
	t.Parallel()
	k := newCurve(1 << 20)
	read := func(moves uint64, now, expires fence.Instant) float64 {
		before := k.hits[len(k.hits)-1]
		k.readLocked(curveSlot{hash: 0, cost: 100, moves: moves, expires: expires}, false, now)
		return k.hits[len(k.hits)-1] - before
	}
	for _, step := range []struct {
		what         string
		moves        uint64
		now, expires fence.Instant
		hits         float64
	}{
		{"the first read", 1, 1, 10, 0},
		{"one that memory would have spared", 1, 2, 10, 1},
		{"one behind an event", 2, 3, 10, 0},
		{"one behind the end of its life", 2, 11, 20, 0},
	} {
		if hits := read(step.moves, step.now, step.expires); hits != step.hits {
			t.Errorf("%s: %g hits, want %g", step.what, hits, step.hits)
		}
	}
}

func TestCurveIsSmall(t *testing.T) {
	t.Parallel()
	k := newCurve(1 << 40)
	for i := range uint64(40 * curveKeysMax) {
		k.readLocked(curveSlot{hash: i << 30 * 0x9e3779b97f4a7c15, cost: 1000, expires: math.MaxInt64}, true, 0)
	}
	const perPlace = 2 * 17 // a hash, a place and a byte, in a map that is half full
	if bytes := int(unsafe.Sizeof(*k)) + curveKeysMax*perPlace; bytes > 256<<10 || len(k.places) > curveKeysMax || len(k.places) == 0 {
		t.Errorf("%d keys are followed in %d bytes", len(k.places), bytes)
	}
}
