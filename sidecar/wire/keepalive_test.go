package wire

import (
	"context"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// A client reads from the cache for longer than Postgres lets a connection be idle, and its session
// goes on: hits never reach Postgres, so the sidecar keeps the connection alive by itself.
func TestHitsKeepPostgresFromEndingTheSessionAsIdle(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	const limit = 2 * time.Second
	s.warm(s.connect())
	// A pause of the machine may keep the sidecar from its duty, and has the test begin again.
	const pauseMax = limit / 4
	servers.Eventually(t, "reads without a pause", func() bool {
		conn := bed.connect(s.dsn() + " options='-c idle_session_timeout=2s'")
		defer conn.Close(context.Background())
		var inForce string
		var version int
		if err := conn.QueryRow(t.Context(), "SHOW idle_session_timeout").Scan(&inForce); err != nil || inForce != "2s" {
			t.Fatalf("Postgres ends the session when it is idle for %q (%v), want 2s", inForce, err)
		}
		before, reads := s.Report(), uint64(0)
		last := time.Now()
		for began := last; time.Since(began) < 2*limit; time.Sleep(limit / 50) {
			err := conn.QueryRow(t.Context(), "SELECT version FROM item WHERE id = 7").Scan(&version)
			if time.Since(last) > pauseMax {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			last = time.Now()
			reads++
		}
		after := s.Report()
		if n := after.UpstreamQueries + after.UpstreamProbes - before.UpstreamQueries - before.UpstreamProbes; n > reads/2 {
			t.Errorf("%d of %d reads reached Postgres, want half of them at most: this test shows nothing", n, reads)
		}
		return true
	})
}
