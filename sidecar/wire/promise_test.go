package wire

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// promises is what readers are held to while something else goes on: a writer
// goes to Postgres directly, readers go through sidecars, and a read that began
// at t must show every version that was acknowledged before t - staleness. A
// reader's own writes must show at once, and no reader may see a row go back.
type promises struct {
	t         *testing.T
	staleness time.Duration
	stop      chan struct{}
	done      sync.WaitGroup
	// excused says of an error that it may reach a client; the reader then connects
	// again. nil excuses nothing.
	excused func(error) bool

	mu      sync.Mutex
	history map[int][]acknowledged
	reads   int
	errors  int
}

// acknowledged is one version and when its commit was acknowledged.
type acknowledged struct {
	version int
	at      time.Time
}

const (
	promisedItems   = 12 // written directly
	readersPerSide  = 2
	writeEvery      = 2 * time.Millisecond
	readEvery       = time.Millisecond
	reconnectAfter  = 5 * time.Millisecond
	promiseInterval = 300 * time.Millisecond
)

// hold starts one writer, and readers on each sidecar. They end with the test.
func hold(t *testing.T, bed *testbed, excused func(error) bool, sides ...*side) *promises {
	t.Helper()
	p := &promises{
		t: t, staleness: sides[0].cache.Staleness(), stop: make(chan struct{}), excused: excused,
		history: map[int][]acknowledged{},
	}
	p.done.Go(func() { p.write(bed.postgres.DSN(bed.database)) })
	for i, s := range sides {
		for j := range readersPerSide {
			own := 50 + i*readersPerSide + j // a row that only this reader writes
			p.done.Go(func() { p.read(s.dsn(), own) })
		}
	}
	t.Cleanup(p.end)
	return p
}

func (p *promises) end() {
	select {
	case <-p.stop:
		return
	default:
	}
	close(p.stop)
	p.done.Wait()
	if p.reads == 0 {
		p.t.Error("nothing was read")
	}
}

func (p *promises) ended() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// goOn waits until readers have read for a while.
func (p *promises) goOn() {
	p.t.Helper()
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.reads
	}
	before, began := count(), time.Now()
	servers.Eventually(p.t, "reads to go on", func() bool { return count() > before+100 && time.Since(began) > promiseInterval })
}

// connected calls use with a connection until the test ends, connecting again
// after an error that is excused.
func (p *promises) connected(dsn string, use func(*pgx.Conn) error) {
	for !p.ended() {
		conn, err := pgx.Connect(context.Background(), dsn)
		for err == nil && !p.ended() {
			err = use(conn)
		}
		if conn != nil {
			conn.Close(context.Background())
		}
		if err == nil {
			return
		}
		if p.excused == nil || !p.excused(err) {
			p.t.Errorf("an error reached a client: %v", err)
			return
		}
		p.mu.Lock()
		p.errors++
		p.mu.Unlock()
		time.Sleep(reconnectAfter)
	}
}

func (p *promises) write(dsn string) {
	random := rand.New(rand.NewPCG(1, 0))
	p.connected(dsn, func(conn *pgx.Conn) error {
		id := 1 + random.IntN(promisedItems)
		version, err := bump(conn, id)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.history[id] = append(p.history[id], acknowledged{version, time.Now()})
		p.mu.Unlock()
		time.Sleep(writeEvery)
		return nil
	})
}

func bump(conn *pgx.Conn, id int) (version int, err error) {
	err = conn.QueryRow(context.Background(), "UPDATE item SET version = version + 1 WHERE id = $1 RETURNING version", id).Scan(&version)
	return version, err
}

// least returns the version that a read of a row which begins now must show.
func (p *promises) least(id int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := time.Now().Add(-p.staleness)
	h := p.history[id]
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].at.Before(limit) {
			return h[i].version
		}
	}
	return 0
}

func (p *promises) read(dsn string, own int) {
	random := rand.New(rand.NewPCG(1, uint64(own)))
	p.connected(dsn, func(conn *pgx.Conn) error {
		seen := map[int]int{} // by this connection
		for round := 0; !p.ended(); round++ {
			id := 1 + random.IntN(promisedItems)
			if round%7 == 0 {
				id = own
			}
			least := max(p.least(id), seen[id])
			if round%21 == 0 {
				version, err := bump(conn, own)
				if err != nil {
					return err
				}
				least = version
			}
			var got int
			if err := conn.QueryRow(context.Background(), "SELECT version FROM item WHERE id = $1", id).Scan(&got); err != nil {
				return err
			}
			if got < least {
				p.t.Errorf("row %d: version %d was read, %d was promised (%d seen by this client)", id, got, least, seen[id])
			}
			seen[id] = got
			p.mu.Lock()
			p.reads++
			p.mu.Unlock()
			time.Sleep(readEvery)
		}
		return nil
	})
}
