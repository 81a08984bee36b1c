package wire

import (
	"flag"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// slowRead keeps Postgres busy for a while and depends on table item.
const slowRead = `SELECT count(*) FROM item, generate_series(1, 60000) g WHERE item.version + g > 0`

// slowSibling has the shape of slowRead, and takes as long.
var slowSibling = strings.Replace(slowRead, "60000", "59999", 1)

// crowd makes hundreds of clients of what are dozens in make test.
var crowd = flag.Int("crowd", 1, "how many times as many clients ask at once, and drop their connections, as in make test")

// TestColdStampede lets clients ask at once for what nobody asked before. It
// runs alone, because it takes the whole machine.
func TestColdStampede(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	stampede(t, 100**crowd, bed.sidecar())
}

// TestColdStampedeOverAFleet does the same at three sidecars that share Redis.
func TestColdStampedeOverAFleet(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	rd := servers.SharedRedis(t)
	stampede(t, 60**crowd, bed.sidecar(withRedis(rd.URL())), bed.sidecar(withRedis(rd.URL())), bed.sidecar(withRedis(rd.URL())))
}

// stampede lets clients, dealt out to sidecars, ask the same at once, and checks
// that one query reaches Postgres.
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
			if err := conn.QueryRow(t.Context(), slowRead, pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil || n != 6000000 {
				t.Errorf("answer %d, error %v", n, err)
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
