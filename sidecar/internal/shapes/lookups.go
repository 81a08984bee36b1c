package shapes

import "sync/atomic"

// LookupLoadsMin is from which load of a shape on the rows joined to are looked
// up: a lookup is a round trip more, and a shape that is loaded once has no use
// for tags that are more precise.
const LookupLoadsMin = 2

// lookupVainMax is after how many failures a shape is looked up no more, until the
// schema changes: each may be an error in Postgres' log. A role may have no right
// to read by itself what a view shows it.
const lookupVainMax = 3

// LookupCrowdedMax is after how many lookups in a row that found more rows than
// tags are made of only each lookupCrowdedEach-th load is looked up: the statement
// may always lead to that many, and reading them costs what the load costs.
const (
	LookupCrowdedMax  = 3
	lookupCrowdedEach = 64
)

// Lookups says whether the rows that a shape's joins lead to are worth asking for, by what
// became of that before. The zero value is that of a shape that was not loaded yet.
type Lookups struct {
	// loads counts those whose joins could be looked up.
	loads atomic.Uint64
	// vain counts lookups that failed, crowded those in a row that found too much.
	vain, crowded atomic.Uint64
}

// Worth counts a load whose joins could be looked up, and reports whether it is to be.
func (l *Lookups) Worth() bool {
	loads := l.loads.Add(1)
	crowded := l.crowded.Load() >= LookupCrowdedMax && loads%lookupCrowdedEach != 0
	return loads >= LookupLoadsMin && l.vain.Load() < lookupVainMax && !crowded
}

// Found notes that one was answered; precise is set if it made the tags so.
func (l *Lookups) Found(precise bool) {
	if precise {
		l.crowded.Store(0)
	} else {
		l.crowded.Add(1)
	}
}

// Failed notes that one failed.
func (l *Lookups) Failed() { l.vain.Add(1) }
