package wire

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// playTransactions has a session read a row and then change it, in each of many rounds, with so many
// reads before each write, and returns how many reads were spared. asking is how long the sidecar
// believes that it takes to answer a read behind a write by itself.
func playTransactions(t *testing.T, s *side, conn *pgx.Conn, inBlock bool, rounds, reads int, asking time.Duration) (spared uint64) {
	t.Helper()
	before := s.Report()
	version := versionOf7(t, s.bed.direct)
	for range rounds {
		s.asking.Begin(asking)
		if inBlock {
			mustExec(t, conn, "BEGIN")
		}
		for range reads {
			if got := versionOf7(t, conn); got != version {
				t.Fatalf("read version %d, want %d", got, version)
			}
		}
		mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 7")
		version++
		if inBlock {
			mustExec(t, conn, "COMMIT")
		}
	}
	after := s.Report()
	return after.Bypasses[reasons.Spared] - before.Bypasses[reasons.Spared]
}

// A session that writes after each single read has these reads passed through, where Postgres answers
// sooner than the sidecar could: all but one in sparedMax+1, and none where two reads follow.
func TestOneReadBetweenWritesIsSpared(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	for name, inBlock := range map[string]bool{"in transactions": true, "outside of transactions": false} {
		t.Run(name, func(t *testing.T) {
			s := bed.sidecar()
			s.shortRuns.Store(shortRunsMin)
			const rounds = 2 * (sparedMax + 1)
			conn := s.connect()
			s.warm(conn)
			if spared := playTransactions(t, s, conn, inBlock, shortRunsMin, 1, time.Hour); spared > 0 {
				t.Errorf("%d reads were spared in the first %d rounds, want none before the session's habit is known", spared, shortRunsMin)
			}
			before := s.Report()
			spared := playTransactions(t, s, conn, inBlock, rounds, 1, time.Hour)
			if spared != rounds-2 {
				t.Errorf("%d of %d reads were spared, want %d: behind each %d that are spared one is not", spared, rounds, rounds-2, sparedMax)
			}
			after := s.Report()
			if n := after.UpstreamProbes - before.UpstreamProbes; n > rounds-spared+1 { // and one before the first round
				t.Errorf("%d probes for %d reads that were not spared, want at most one more", n, rounds-spared)
			}
			if spared := playTransactions(t, s, conn, inBlock, rounds, 1, time.Nanosecond); spared > 0 {
				t.Errorf("%d reads were spared that take Postgres longer than the sidecar, want none", spared)
			}
			if spared := playTransactions(t, s, conn, inBlock, rounds, 2, time.Hour); spared > 2 {
				t.Errorf("%d reads were spared though another read follows each, want at most 2", spared)
			}
		})
	}
}

// TestSparedReadsAreAnsweredAsPostgresDoes plays the scripts of other differential tests with a sidecar
// that spares each read it may. Without the race detector: the other tests play the same scripts
// under it.
func TestSparedReadsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	bed := newTestbed(t, differentialSchema)
	s := bed.sidecar()
	s.shortRuns.Store(0)
	s.asking.Begin(math.MaxInt64)
	for _, d := range slices.Concat(blockDifferentials, differentials) {
		d.hits = 0
		t.Run(d.name, func(t *testing.T) { d.compareRuns(t, bed, s, superuser, coldRuns) })
	}
	if n := s.Report().Bypasses[reasons.Spared]; n < 100 {
		t.Errorf("%d reads were spared, want at least 100: this test shows little", n)
	}
}

// A run of at most one read between two changes counts as short, and a longer run begins the count
// anew.
func TestShortReadRunsInARowAreCounted(t *testing.T) {
	t.Parallel()
	var r readRun
	for i, step := range []struct {
		changes uint64 // all so far
		reads   int    // behind these changes
		short   int64  // short runs in a row that are wanted before these reads
	}{
		{1, 1, 1}, {2, 1, 2}, {2, 1, 2}, {3, 0, 0}, {4, 0, 1}, {9, 1, 2}, {10, 5, 3}, {11, 1, 0}, {12, 0, 1},
	} {
		r.follow(step.changes)
		if r.short != step.short {
			t.Errorf("step %d: %d short runs, want %d", i, r.short, step.short)
		}
		r.reads += step.reads
	}
}
