// Package stale counts reads that show an older state than they had to.
//
// Every row under load carries a version, which each write of the row sets to the next
// number. The judge notes when the commit of each version was acknowledged to its writer. A
// read that shows an older version than one that had been acknowledged before the read was
// sent is behind: the target has answered from its past. How long before the read that
// acknowledgement was is the read's age, and a target breaks its promise where ages exceed
// it. That holds for any target, whatever it consists of: the judge knows nothing of caches.
//
// A Judge may be used by all clients at once; a Reading belongs to one of them.
package stale

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// locksMax is how many writers may write at once; keys share locks.
const locksMax = 1024

// Judge knows the versions of all rows of one target.
type Judge struct {
	began time.Time
	// rows are all that there can be; the first count are there.
	rows  []row
	count atomic.Int64
	locks [locksMax]sync.Mutex
}

// row is what is known of one row. Its version is 1 from the beginning on, or 0 while it is
// not there.
type row struct {
	newest atomic.Int64 // newest acknowledged version
	past   atomic.Pointer[history]
}

// history is when each version of a row was acknowledged.
type history struct {
	mu sync.Mutex
	// issued is the last version that a writer got; some may never be acknowledged.
	issued int64
	// times[v-1] is when a commit was first acknowledged that shows v or more, in
	// nanoseconds since the judge began.
	times []int64
}

// New returns a judge of count rows of version 1, to which room may be added.
func New(count, room int64) *Judge {
	j := &Judge{began: time.Now(), rows: make([]row, count+room)}
	j.count.Store(count)
	for i := range j.rows[:count] {
		j.rows[i].newest.Store(1)
	}
	return j
}

// Count is how many rows there are whose insertion was acknowledged, and no gap before them.
func (j *Judge) Count() int64 { return j.count.Load() }

func (j *Judge) clock() int64 { return int64(time.Since(j.began)) }

// Write writes a row: write is called with the version to set, and says whether the commit
// was acknowledged. Who writes the same row meanwhile waits, so that versions are committed
// in their order.
func (j *Judge) Write(key int64, write func(version int64) error) error {
	lock := &j.locks[key%locksMax]
	lock.Lock()
	defer lock.Unlock()
	h := j.history(key)
	h.mu.Lock()
	h.issued++
	version := h.issued
	h.mu.Unlock()
	if err := write(version); err != nil {
		return err // it may have been committed: whoever sees it sees more than he must
	}
	j.acknowledge(key, h, version)
	return nil
}

// Insert adds the next row. There must be room.
func (j *Judge) Insert(write func(key, version int64) error) error {
	lock := &j.locks[0]
	lock.Lock()
	defer lock.Unlock()
	key := j.count.Load()
	if err := write(key, 1); err != nil {
		return err
	}
	j.acknowledge(key, j.history(key), 1)
	j.count.Store(key + 1)
	return nil
}

// Room is how many rows can be added.
func (j *Judge) Room() int64 { return int64(len(j.rows)) - j.count.Load() }

func (j *Judge) history(key int64) *history {
	row := &j.rows[key]
	if h := row.past.Load(); h != nil {
		return h
	}
	h := &history{issued: row.newest.Load()}
	for range h.issued {
		h.times = append(h.times, 0)
	}
	row.past.CompareAndSwap(nil, h)
	return row.past.Load()
}

// acknowledge notes that the writer of a version has been told of its commit.
func (j *Judge) acknowledge(key int64, h *history, version int64) {
	h.mu.Lock()
	now := j.clock()
	for int64(len(h.times)) < version {
		h.times = append(h.times, now)
	}
	h.mu.Unlock()
	j.rows[key].newest.Store(version)
}

// at returns the newest version of a row that had been acknowledged at a time.
func (j *Judge) at(key, time int64) int64 {
	h := j.rows[key].past.Load()
	if h == nil {
		return j.rows[key].newest.Load()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	after, _ := slices.BinarySearch(h.times, time+1)
	return int64(after)
}

// succeeded returns when a version was followed by another: how old a state is that shows it.
func (j *Judge) succeeded(key, version int64) int64 {
	h := j.history(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	if version < 0 || version >= int64(len(h.times)) {
		return j.clock()
	}
	return h.times[version]
}

// Written returns rows that were written, at most about so many, from everywhere.
func (j *Judge) Written(most int) []int64 {
	var all []int64
	for key := range j.Count() {
		if j.rows[key].past.Load() != nil {
			all = append(all, key)
		}
	}
	step := max(1, len(all)/most)
	var some []int64
	for i := 0; i < len(all); i += step {
		some = append(some, all[i])
	}
	return some
}
