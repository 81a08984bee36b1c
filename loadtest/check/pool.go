package check

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// guarded is a counter that is only changed by who holds a lock, which PostgreSQL
// does not know of: read, computed with, and written.
type guarded struct {
	mu sync.Mutex
	// id is that of the counter's row, 0 if one has to be made: when it is not known
	// whether a write was committed, or may yet be, another row is taken.
	id int
	// epoch is the one in which the row was made.
	epoch *epoch
}

const (
	makeCounterSQL = `INSERT INTO counters (id, value) VALUES ($1, 0)`
	readCounterSQL = `SELECT value FROM counters WHERE id = $1`
	// A write of who was shown an old value would take back what others wrote. It
	// changes nothing instead, and so can be counted.
	writeCounterSQL = `UPDATE counters SET value = $2 WHERE id = $1 AND value = $3 RETURNING value`
)

// pooled is a caller of a pool: what it reads and what it writes goes over different
// connections of one sidecar.
type pooled struct {
	reads, writes *session
	counter       *guarded
	made          *atomic.Int64
}

// increment reads the counter and writes what comes next, while it holds the lock.
func (p *pooled) increment() {
	g := p.counter
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.reads.epoch != p.writes.epoch {
		return // one of them connects anew
	}
	if g.id == 0 || g.epoch != p.writes.epoch {
		id := int(p.made.Add(1))
		if p.writes.exec(makeCounterSQL, id) != nil {
			return
		}
		g.id, g.epoch = id, p.writes.epoch
	}
	id := g.id
	g.id = 0 // until all is known to have gone well
	label := p.reads.world.label()
	writes := p.writes
	if p.reads.random.IntN(2) == 0 { // in a transaction, which is one connection's
		writes = p.reads
		if writes.exec("BEGIN") != nil {
			return
		}
	}
	var value, written int64
	if p.reads.one(readCounterSQL, []any{id}, &value) != nil {
		return
	}
	err := writes.one(writeCounterSQL, []any{id, value + 1, value}, &written)
	broken := ""
	if errors.Is(err, pgx.ErrNoRows) {
		broken = "an update is lost: who held the lock read another value than the last holder had written"
	} else if err != nil {
		return
	}
	if writes == p.reads && writes.exec("COMMIT") != nil {
		return
	}
	g.id = id
	p.count(label, broken)
}

func (p *pooled) count(label, broken string) {
	w := p.reads.world
	label = w.labelOf(label)
	if w.epoch.Load() != p.reads.epoch {
		w.tally.exclude(label)
		return
	}
	w.tally.read(label)
	w.tally.count(Guarded, label, 0, broken, p.reads.name)
}

// run increments until ctx ends.
func (p *pooled) run(ctx context.Context, pace time.Duration) {
	defer p.writes.close()
	w := p.reads.world
	p.reads.turns(ctx, pace, 20, sessionWritesMax, func() {
		w.hold.RLock()
		defer w.hold.RUnlock()
		if p.reads.ready(ctx) && p.writes.ready(ctx) {
			p.increment()
		}
	})
}

// pooledEach is how many callers share the lock of a sidecar's counter, and
// pooledPace how often each increments it.
const (
	pooledEach = 2
	pooledPace = 20 * time.Millisecond
)

// newPooled makes a caller at a sidecar.
func (w *world) newPooled(number, door int, counter *guarded, made *atomic.Int64) *pooled {
	p := protocol(number/2) % protocols
	return &pooled{
		reads:   w.newSession("pooled reader", number, door, levelSession, p),
		writes:  w.newSession("pooled writer", number+1, door, levelSession, p),
		counter: counter, made: made,
	}
}

// startPooled starts callers at every sidecar.
func (w *world) startPooled(ctx context.Context, start func(func())) {
	made, number := new(atomic.Int64), firstPooled
	for door := range w.options.Sidecars {
		counter := new(guarded)
		for range pooledEach {
			p := w.newPooled(number, door, counter, made)
			number += 2
			start(func() { p.run(ctx, pooledPace) })
		}
	}
}
