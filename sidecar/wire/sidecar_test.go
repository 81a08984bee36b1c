package wire

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

const itemSchema = `
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, version int NOT NULL DEFAULT 0);
` + itemRows

const itemRows = `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) i;`

// scans returns how often a table was read, by Postgres' own counter.
func (b *testbed) scans(table string) int64 {
	b.t.Helper()
	// A server process publishes its counters when it has been idle for a moment, or when it ends:
	// the caller waits for the end of the connections whose reads are to count.
	var n int64
	err := b.direct.QueryRow(context.Background(),
		`SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = $1`, table).Scan(&n)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// Postgres' own counter shows that hits do not read the table.
func TestCase43SecondReadDoesNotReachPostgres(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	read := "SELECT name, version FROM item WHERE id = 7"
	var first string
	servers.Eventually(t, "a hit", func() bool {
		before := s.count(HitL1)
		first = s.psql(read)
		return s.count(HitL1) > before
	})
	published := func() {
		t.Helper()
		servers.Eventually(t, "the server processes of psql to end, which publishes their counters", func() (ended bool) {
			err := bed.direct.QueryRow(t.Context(), `SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'psql' AND datname = current_database()`).Scan(&ended)
			return err == nil && ended
		})
	}
	published()
	before, hits := bed.scans("item"), s.count(HitL1)
	if before == 0 {
		t.Fatal("Postgres has counted no read of table item, though the first answer came from there: this shows nothing")
	}
	for range 5 {
		if got := s.psql(read); got != first {
			t.Fatalf("a hit answers %q, want %q as the first hit", got, first)
		}
	}
	published()
	// Counters are published in the order of the sessions' ends: once this read is counted, so are
	// those before it.
	direct := bed.connect(bed.postgres.DSN(bed.database))
	mustExec(t, direct, read)
	direct.Close(t.Context())
	servers.Eventually(t, "Postgres to count a read past the sidecar", func() bool { return bed.scans("item") > before })
	if after := bed.scans("item"); after != before+1 {
		t.Errorf("Postgres read table item %d times while there were hits alone, want 0", after-before-1)
	}
	if n := s.count(HitL1) - hits; n != 5 {
		t.Errorf("%d hits, want 5. So far: %s", n, s.became())
	}
}

// An UPDATE at Postgres directly shows through each of two sidecars, to all reads that begin more than
// a second after its commit.
func TestDirectUpdateIsSeenThroughEverySidecar(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	sides := []*side{bed.sidecar(), bed.sidecar()}
	for version := 1; version <= 20; version++ {
		for _, s := range sides {
			conn := s.connect()
			s.warm(conn) // there is an answer in the cache that the UPDATE has to end
			conn.Close(context.Background())
		}
		bed.exec("UPDATE item SET version = $1 WHERE id = 7", version)
		acknowledged := time.Now()
		for i, s := range sides {
			// The limit of a second is the promise, and the sidecar keeps it on the busiest machine: where
			// no look has begun within it, the answer is no hit.
			servers.Eventually(t, fmt.Sprintf("version %d through sidecar %d", version, i), func() bool {
				asked := time.Now()
				conn := s.connect()
				defer conn.Close(context.Background())
				var got int
				if err := conn.QueryRow(t.Context(), "SELECT version FROM item WHERE id = 7", pgx.QueryExecModeSimpleProtocol).Scan(&got); err != nil {
					t.Fatal(err)
				}
				if got == version {
					return true
				}
				if age := asked.Sub(acknowledged); age > time.Second {
					t.Errorf("sidecar %d shows version %d to a read %v after the commit of version %d", i, got, age, version)
				}
				return false
			})
		}
	}
}
