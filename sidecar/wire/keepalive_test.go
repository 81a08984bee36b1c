package wire

import (
	"testing"
	"time"
)

// A client reads from the cache for longer than Postgres lets a connection be idle, and its session
// goes on: hits never reach Postgres, so the sidecar keeps the connection alive by itself.
func TestHitsKeepPostgresFromEndingTheSessionAsIdle(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	const limit = 2 * time.Second
	conn := bed.connect(s.dsn() + " options='-c idle_session_timeout=2s'")
	s.warm(conn)
	before := s.Report()
	hits := 0
	for began := time.Now(); time.Since(began) < 2*limit; time.Sleep(limit / 50) {
		versionOf7(t, conn)
		hits++
	}
	after := s.Report()
	if n := after.UpstreamQueries + after.UpstreamProbes - before.UpstreamQueries - before.UpstreamProbes; n > uint64(hits/2) {
		t.Errorf("%d of %d reads reached Postgres, want half of them at most: this test shows nothing", n, hits)
	}
}
