package wire

import (
	"flag"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// slowRead keeps Postgres busy for a while and depends on table item. Sidecars wait for another's load for
// five seconds at most, so it takes a hundredth of that.
const slowRead = `SELECT count(*) FROM item, generate_series(1, 6000) g WHERE item.version + g > 0`

// slowSibling has the shape of slowRead and takes as long, so that the sidecars can learn the shape
// while slowRead itself stays cold.
var slowSibling = strings.Replace(slowRead, "6000", "5999", 1)

// crowd multiplies the clients of tests that run with dozens in make test.
var crowd = flag.Int("crowd", 1, "how many times as many clients ask at once, and drop their connections, as in make test")

// TestColdStampedeReachesPostgresOnce has many clients ask at once for an answer that is in no cache.
// It runs alone, because it takes the whole machine.
func TestColdStampedeReachesPostgresOnce(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	stampede(t, 100**crowd, bed.sidecar())
}

// TestColdStampedeOverAFleetReachesPostgresOnce does the same with three sidecars that share Redis.
func TestColdStampedeOverAFleetReachesPostgresOnce(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	rd := servers.SharedRedis(t)
	stampede(t, 60**crowd, bed.sidecar(withRedis(rd.URL())), bed.sidecar(withRedis(rd.URL())), bed.sidecar(withRedis(rd.URL())))
}

// stampede has clients, dealt out to sidecars, send the same read at once, and checks that one query
// reaches Postgres and that all other clients share its answer.
func stampede(t *testing.T, clients int, sides ...*side) {
	conns := make([]*pgx.Conn, clients)
	var connecting sync.WaitGroup
	gate := make(chan struct{}, 16)
	for i := range conns {
		connecting.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			conns[i], _ = pgx.Connect(t.Context(), sides[i%len(sides)].dsn())
		})
	}
	connecting.Wait()
	before := make([]Report, len(sides))
	for i, s := range sides {
		s.learn(slowSibling)
		before[i] = s.Report()
	}
	start := make(chan struct{})
	var asking sync.WaitGroup
	for _, conn := range conns {
		if conn == nil {
			t.Fatal("a client could not connect")
		}
		asking.Go(func() {
			<-start
			var n int
			if err := conn.QueryRow(t.Context(), slowRead, pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil || n != 600000 {
				t.Errorf("a client is answered %d, %v, want 600000", n, err)
			}
		})
	}
	close(start)
	asking.Wait()
	var upstream, shared uint64
	for i, s := range sides {
		r := s.Report()
		upstream += r.UpstreamQueries - before[i].UpstreamQueries
		for _, how := range []Outcome{HitL1, HitL2, Coalesced} {
			shared += r.Queries[how.String()] - before[i].Queries[how.String()]
		}
	}
	if upstream != 1 {
		t.Errorf("%d queries reached Postgres, want 1", upstream)
	}
	if shared != uint64(clients-1) {
		t.Errorf("%d clients shared the answer, want %d", shared, clients-1)
	}
	for _, conn := range conns {
		conn.Close(t.Context())
	}
}
