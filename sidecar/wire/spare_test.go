package wire

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// transactions lets a session read a row and change it, again and again, with so
// many reads before each write, and returns how many of them were spared. asking
// is what the sidecar believes to need for a read behind a write.
func transactions(t *testing.T, s *side, conn *pgx.Conn, inBlock bool, rounds, reads int, asking time.Duration) (spared uint64) {
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
				t.Fatalf("version %d, want %d", got, version)
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

func TestOneReadBetweenWritesIsSpared(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	for name, inBlock := range map[string]bool{"transactions": true, "no transactions": false} {
		t.Run(name, func(t *testing.T) {
			s := bed.sidecar()
			s.shortRuns.Store(shortRunsMin)
			const rounds = 2 * (sparedMax + 1)
			conn := s.connect()
			s.warm(conn)
			if spared := transactions(t, s, conn, inBlock, shortRunsMin, 1, time.Hour); spared > 0 {
				t.Errorf("%d reads were spared before it was known how the session works", spared)
			}
			before := s.Report()
			spared := transactions(t, s, conn, inBlock, rounds, 1, time.Hour)
			if spared != rounds-2 {
				t.Errorf("%d of %d reads were spared; the one after each %d asks", spared, rounds, sparedMax)
			}
			after := s.Report()
			if n := after.UpstreamProbes - before.UpstreamProbes; n > rounds-spared+1 { // and one before the first
				t.Errorf("%d probes for %d reads that were not spared", n, rounds-spared)
			}
			if spared := transactions(t, s, conn, inBlock, rounds, 1, time.Nanosecond); spared > 0 {
				t.Errorf("%d reads were spared that take Postgres longer than the sidecar", spared)
			}
			if spared := transactions(t, s, conn, inBlock, rounds, 2, time.Hour); spared > 2 {
				t.Errorf("%d reads were spared though another one follows", spared)
			}
		})
	}
}

// TestSparedReadsAreAnsweredAsPostgresDoes spares every read that it can. That its scripts race
// with nothing is for the tests to show that spare none.
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
		t.Errorf("%d reads were spared, want many", n)
	}
}

func TestReadRuns(t *testing.T) {
	t.Parallel()
	var r readRun
	for i, step := range []struct {
		changes uint64
		reads   int
		short   int64
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
