package check

import (
	"iter"
	"time"
)

// Sizes of the tables. Few rows, so that reads and writes meet.
const (
	rowCount     = 64
	pairCount    = 12
	flickerCount = 8
	accountCount = 24
	branchCount  = 4
	// balanceEach is what an account holds at first; transfers keep the sum.
	balanceEach = 1000

	// The last rows are kept for the histories that porcupine judges, and those
	// before them for transactions that stay open long.
	linearRows = 2
	longRows   = 4
	sharedRows = rowCount - linearRows - longRows
)

// epoch is a stretch of the database's life in which it lost no acknowledged
// commit, and the registers of what was acknowledged in it.
//
// When the database itself loses commits, because a standby that lacks them is
// promoted or because of a crash under synchronous_commit = off, the registers
// speak of what does not exist any more. This is how that is accounted for:
//
//  1. Before the blow, the epoch ends. Writers and readers begin nothing new.
//  2. The blow falls. What is still under way fails, or returns after the
//     epoch's end and is excluded: a read is judged only if the epoch in which
//     it began is still the one when it returns, a commit is acknowledged only
//     then.
//  3. All connections of the epoch are given up. So whatever is committed from
//     here on was sent in the next epoch.
//  4. The new database is asked, on a connection of its own, which version of
//     everything it has. With these the registers of the next epoch begin: what
//     was acknowledged and is not there is forgotten, what is there counts.
//  5. A version above that, with the mark of an earlier epoch, is one that the
//     database lost. To serve it is a violation from here on.
type epoch struct {
	number   int64
	rows     [rowCount]register
	lefts    [pairCount]register
	rights   [pairCount]register
	flickers [flickerCount]register
	total    register
	meant    [meantCount]register
}

// register finds the register of a key.
func (e *epoch) register(k key) *register {
	switch k.kind {
	case row:
		return &e.rows[k.id]
	case left:
		return &e.lefts[k.id]
	case right:
		return &e.rights[k.id]
	case flicker:
		return &e.flickers[k.id]
	case meant:
		return &e.meant[k.id]
	default:
		return &e.total
	}
}

// keys lists all registers.
func (e *epoch) keys() iter.Seq[key] {
	return func(yield func(key) bool) {
		for k, count := range []int{row: rowCount, left: pairCount, right: pairCount, flicker: flickerCount, total: 1, meant: meantCount} {
			for id := range count {
				if !yield(key{kind(k), id}) {
					return
				}
			}
		}
	}
}

// newEpoch begins an epoch with what the database has.
func newEpoch(number int64, truth []reading, at time.Time) *epoch {
	e := &epoch{number: number}
	for _, r := range truth {
		e.register(r.key).begin(r.version, at)
	}
	return e
}

// markEpochShift leaves room for a million million writes in an epoch.
const markEpochShift = 40

// epochOf is the number of the epoch in which a mark was given.
func epochOf(mark int64) int64 { return mark >> markEpochShift }
