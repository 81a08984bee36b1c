package check

import (
	"fmt"
	"sync"
	"time"
)

// kind is what a register stands for.
type kind uint8

const (
	// row is a row of table registers.
	row kind = iota
	// left and right are the halves of a pair: rows of tables lefts and rights
	// that change together and always have one version.
	left
	right
	// flicker is a row that is deleted and inserted again. It is absent at odd
	// versions.
	flicker
	// total is the whole of table accounts. Its version is the number of transfers
	// made.
	total
	// meant is a row of table constants, which a constant means under one value of a
	// setting.
	meant
)

var kindNames = [...]string{"row", "left", "right", "flicker", "total", "meant"}

// key names a register.
type key struct {
	kind kind
	id   int
}

// String writes it as kind/id.
func (k key) String() string { return fmt.Sprintf("%s/%d", kindNames[k.kind], k.id) }

// other is the other half of a pair.
func (k key) other() (key, bool) {
	switch k.kind {
	case left:
		return key{right, k.id}, true
	case right:
		return key{left, k.id}, true
	}
	return key{}, false
}

// reading is what a read returned for one register.
type reading struct {
	key     key
	version int64
	// mark names the write that made the version; 0 where none is stored.
	mark int64
	// absent is set for a flicker without a row: its version is some odd one.
	absent bool
}

// String describes it for the example of a violation.
func (r reading) String() string {
	if r.absent {
		return r.key.String() + " absent"
	}
	return fmt.Sprintf("%v at %d", r.key, r.version)
}

// atLeast reports whether the reading can be of a version of least or higher,
// where started is the highest that any writer may have made. An absent row is
// given the benefit of the doubt.
func (r reading) atLeast(least, started int64) bool {
	if r.absent {
		return least|1 <= started
	}
	return r.version >= least
}

// lowest is the lowest version that the reading can be of, if it is of least or
// higher.
func (r reading) lowest(least int64) int64 {
	if r.absent {
		return least | 1
	}
	return r.version
}

// highest is the highest version that the reading can be of.
func (r reading) highest(started int64) int64 {
	if r.absent {
		return (started+1)/2*2 - 1
	}
	return r.version
}

// register holds what is known of one versioned thing. Versions only grow, one
// by one, in the order of commits. The zero value is at version 0.
type register struct {
	mu      sync.Mutex
	history history
	// floor is the highest version acknowledged or returned by a finished read
	// that promised to be linearizable.
	floor int64
	// byDoor are the highest versions acknowledged through each sidecar.
	byDoor map[int]int64
	// started is the highest version that a writer may have made.
	started int64
	// base is the version at the beginning of the epoch.
	base int64
}

// begin sets what was there at the beginning of an epoch.
func (r *register) begin(version int64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base = version
	r.startedLocked(version)
	r.history.add(version, 0, at)
	r.floor = max(r.floor, version)
}

// start notes that a version is about to be written.
func (r *register) start(version int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startedLocked(version)
}

func (r *register) startedLocked(version int64) { r.started = max(r.started, version) }

// acknowledge notes that a version was known to be committed at a moment, and
// the mark of its write, 0 if that is not known.
func (r *register) acknowledge(version, mark int64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startedLocked(version)
	r.history.add(version, mark, at)
	r.floor = max(r.floor, version)
}

// acknowledgeThrough notes that a version was acknowledged through a sidecar.
func (r *register) acknowledgeThrough(door int, version int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byDoor == nil {
		r.byDoor = map[int]int64{}
	}
	r.byDoor[door] = max(r.byDoor[door], version)
}

// through is the highest version acknowledged through a sidecar until now.
func (r *register) through(door int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byDoor[door]
}

// acknowledgeOne notes that one more change was known to be committed, where
// changes are counted and not numbered.
func (r *register) acknowledgeOne(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.history.newest() + 1
	r.startedLocked(count)
	r.history.add(count, 0, at)
	r.floor = max(r.floor, count)
}

// acknowledged is the highest version known to be committed.
func (r *register) acknowledged() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.newest()
}

// observe notes that a linearizable read returned a version, and has finished.
func (r *register) observe(version int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.floor = max(r.floor, version)
}

// linear is what a linearizable read that begins now must return at least.
func (r *register) linear() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.floor
}

// facts are what a register knows about a reading.
type facts struct {
	required int64 // what the bound demands
	started  int64
	base     int64
	mark     int64         // of the write that made the version, 0 if unknown
	age      time.Duration // for how long the version had been out of date
}

// facts looks up what concerns a reading of a read that began at a moment.
func (r *register) facts(got reading, began time.Time, bound time.Duration) facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return facts{
		required: r.history.requiredAt(began.Add(-bound)),
		started:  r.started,
		base:     r.base,
		mark:     r.history.markOf(got.version),
		age:      r.history.age(got.highest(r.started), began),
	}
}
