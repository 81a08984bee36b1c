package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// The first read behind a write is dear: Postgres is asked what became of the
// session's settings, and the read waits for a look that is newer than the write.
// That pays where several reads follow, or where the read itself takes long. A
// session that keeps writing after each single read, as transactions do that read
// one row and change it, is spared that where Postgres answers sooner than all
// this takes: the read passes through, in the block that was held back if there is
// one. What passes through is never wrong.

const (
	// shortRunsMin is how many runs of at most one read, one behind the other, show
	// how a session works.
	shortRunsMin = 32
	// sparedMax is how often in a row a read is spared. The next one asks, and shows
	// whether others would follow that the cache could answer.
	sparedMax = 31
)

// readRun counts the reads of a session between two statements that may have
// changed something. The zero value is a session that has just begun.
type readRun struct {
	// since is the number of changes before it.
	since uint64
	// reads are those that the cache could answer, or have captured, and those spared.
	reads int
	// short is how many runs in a row before it had at most one.
	short int64
	// spared is how many reads in a row passed through.
	spared int
}

// follow begins a new run if something may have changed since the last one began.
func (r *readRun) follow(changes uint64) {
	if changes == r.since {
		return
	}
	r.short++
	if r.reads > 1 {
		r.short = 0
	}
	r.since, r.reads = changes, 0
}

// spares reports whether what is wanted, one read, is to pass through rather than ask for
// everything that the cache would have to know to answer it.
func (c *cachedReads) spares(u *understanding, p *plan) bool {
	statement := p.wants[0].prepared.Statement
	if len(p.wants) > 1 || statement.KeepsSettings || u.state() == nil || u.known.Holds() && !u.assumption.made {
		return false
	}
	r := &c.reading
	r.follow(c.changesSeen)
	if r.reads > 0 || r.short < u.db.shortRuns.Load() || r.spared >= sparedMax {
		r.spared = 0
		return false
	}
	// The state may be outdated; then only this estimate is wrong, never an answer.
	slot, verdict := u.knownVerdict(statement)
	if verdict == nil || !verdict.Cacheable || slot.Loading.Get() == 0 || slot.Loading.Get() > u.db.asking.Get() {
		return false
	}
	r.reads++
	r.spared++
	u.talk.Time(&slot.Loading)
	return true
}

// withholds reports whether a read may go to Postgres for this reason because one
// before it, which was spared, has opened the block. Behind a write in the block the
// cache could not answer it anyway.
func (c *cachedReads) withholds(u *understanding, reason string) bool {
	if reason != reasons.InTransaction || c.reading.spared == 0 {
		return false
	}
	return !u.talk.ChangedSince(c.reading.since)
}

// noteWithheld counts such a statement if the cache could have answered it.
func (c *cachedReads) noteWithheld(u *understanding, p *plan, reason string) {
	if !c.withholds(u, reason) || len(p.wants) != 1 || p.reason != "" {
		return
	}
	statement := p.wants[0].prepared.Statement
	if _, verdict := u.knownVerdict(statement); verdict != nil && verdict.Cacheable {
		c.reading.reads++
	}
}

// noteObtained notes what became of a read; asks is set if its session's state had
// to be asked for. Who waited for another's load has not waited for what it asked.
func (c *cachedReads) noteObtained(got *obtained, asks bool, db *database, arrived fence.Instant) {
	if got.capture != nil {
		c.reading.reads++
	}
	if asks && (got.capture != nil || got.entry != nil && got.outcome != Coalesced) {
		db.asking.Note(fence.Now().Sub(arrived))
	}
}
