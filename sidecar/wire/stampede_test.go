package wire

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// slowRead keeps Postgres busy for a while and depends on table item.
const slowRead = `SELECT count(*) FROM item, generate_series(1, 60000) g WHERE item.version + g > 0`

// TestColdStampede lets 500 clients ask at once for what nobody asked before. It
// runs alone, because it takes the whole machine.
func TestColdStampede(t *testing.T) {
	const clients = 500
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	conns := make([]*pgx.Conn, clients)
	var connecting sync.WaitGroup
	gate := make(chan struct{}, 16)
	for i := range conns {
		connecting.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			conns[i], _ = pgx.Connect(t.Context(), s.dsn())
		})
	}
	connecting.Wait()
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
	s.learn("SELECT count(*) FROM item, generate_series(1, 2) g WHERE item.version + g > 0")
	before := s.Report().UpstreamQueries
	close(start)
	asking.Wait()
	r := s.Report()
	if n := r.UpstreamQueries - before; n != 1 {
		t.Errorf("%d queries reached Postgres, want 1: %+v", n, r)
	}
	if shared := r.Queries["coalesced"] + r.Queries["hit_l1"]; shared != clients-1 {
		t.Errorf("%d clients shared the answer, want %d: %+v", shared, clients-1, r)
	}
	for _, conn := range conns {
		conn.Close(t.Context())
	}
}
