package check

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// examplesMax bounds the violations that are kept in words.
	examplesMax = 40
	// ageMax is the longest age that is told apart from longer ones.
	ageMax = time.Hour
	// calm is the label of reads that no fault was near to.
	calm = "none"
)

// What is noted beside the promises.
const (
	noteReused    = "transaction ids given out twice"
	noteLost      = "acknowledged versions that the database lost"
	noteRestored  = "entries of Redis brought back"
	noteInGo      = "reads that programs in Go answered from memory"
	noteWrapped   = "reads that wrapped functions in Go answered from memory"
	noteHistories = "histories judged by porcupine"
	noteUndecided = "histories that porcupine did not decide in time"
)

// cell counts the reads of one promise near one fault.
type cell struct {
	checked    int64
	violations int64
	ages       *hdrhistogram.Histogram // microseconds
}

func newCell() *cell { return &cell{ages: hdrhistogram.New(1, ageMax.Microseconds(), 2)} }

type place struct {
	promise Promise
	label   string
}

// tally counts what was judged. Its methods may be called concurrently.
type tally struct {
	began time.Time
	// broken is closed at the first violation.
	broken chan struct{}

	mu       sync.Mutex
	cells    map[place]*cell
	reads    map[string]int64 // by label
	excluded map[string]int64
	failed   map[string]int64
	writes   int64
	examples []string
	notes    map[string]int64
}

func newTally() *tally {
	return &tally{
		began: time.Now(), broken: make(chan struct{}), cells: map[place]*cell{},
		reads: map[string]int64{}, excluded: map[string]int64{}, failed: map[string]int64{}, notes: map[string]int64{},
	}
}

// read counts a read that was judged.
func (t *tally) read(label string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads[label]++
}

// exclude counts a read that was not judged, because the database lost commits
// while it was under way.
func (t *tally) exclude(label string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.excluded[label]++
}

// fail counts a call that brought no answer.
func (t *tally) fail(label string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed[label]++
}

// wrote counts a commit that was acknowledged.
func (t *tally) wrote() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes++
}

// note counts an event worth knowing of.
func (t *tally) note(what string, count int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes[what] += count
}

// count adds a judged read to a promise. broken says how it was violated, ""
// that it was not.
func (t *tally) count(p Promise, label string, age time.Duration, broken, session string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.cells[place{p, label}]
	if c == nil {
		c = newCell()
		t.cells[place{p, label}] = c
	}
	c.checked++
	// The only error is a value beyond the range, which is cut to it.
	_ = c.ages.RecordValue(min(age, ageMax).Microseconds())
	if broken == "" {
		return
	}
	c.violations++
	if len(t.examples) < examplesMax {
		t.examples = append(t.examples, fmt.Sprintf("%s: %s (out of date for %v; at %.3f s, fault %s, %s)",
			p, broken, age.Round(10*time.Microsecond), time.Since(t.began).Seconds(), label, session))
	}
	select {
	case <-t.broken:
	default:
		close(t.broken)
	}
}

// checked is how many reads were judged so far.
func (t *tally) checked() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sum(t.reads)
}

// judged reports whether a promise was judged near a fault.
func (t *tally) judged(p Promise, label string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cells[place{p, label}] != nil
}

func sum(counts map[string]int64) (all int64) {
	for n := range maps.Values(counts) {
		all += n
	}
	return all
}

// labels are the faults that reads were near to, calm first.
func (t *tally) labelsLocked() []string {
	found := map[string]bool{}
	for at := range t.cells {
		found[at.label] = true
	}
	delete(found, calm)
	return append([]string{calm}, slices.Sorted(maps.Keys(found))...)
}
