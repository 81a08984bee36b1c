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

// promises checks the promises of freshness while a test does something else, such as stopping a
// server. One writer changes rows at Postgres directly, and readers read them through sidecars. A
// read that began at t must show each version that was acknowledged before t - staleness; a
// reader's own write must show in its next read, and no reader may see a row go back to an older
// version.
type promises struct {
	t         *testing.T
	staleness time.Duration
	stop      chan struct{}
	done      sync.WaitGroup
	// excused reports whether an error may reach a client, which then connects again. nil
	// excuses no error.
	excused func(error) bool

	mu      sync.Mutex
	history map[int][]acknowledged
	reads   int
	errors  int // that were excused
}

// acknowledged is one version and when its commit was acknowledged.
type acknowledged struct {
	version int
	at      time.Time
}

const (
	promisedItems   = 12 // rows 1 to 12, which the writer changes
	readersPerSide  = 2
	writeEvery      = 2 * time.Millisecond
	readEvery       = time.Millisecond
	reconnectAfter  = 5 * time.Millisecond
	promiseInterval = 300 * time.Millisecond
)

// hold starts the writer, and readersPerSide readers through each sidecar. They end with the test.
func hold(t *testing.T, bed *testbed, excused func(error) bool, sides ...*side) *promises {
	t.Helper()
	p := &promises{
		t: t, staleness: sides[0].cache.Staleness(), stop: make(chan struct{}), excused: excused,
		history: map[int][]acknowledged{},
	}
	p.done.Go(func() { p.write(bed.postgres.DSN(bed.database)) })
	for i, s := range sides {
		for j := range readersPerSide {
			own := 50 + i*readersPerSide + j // the id of a row that only this reader writes
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
		p.t.Error("the readers read nothing: this shows nothing")
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

// goOn waits until the readers have made 100 more reads, and for promiseInterval at least.
func (p *promises) goOn() {
	p.t.Helper()
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.reads
	}
	before, began := count(), time.Now()
	servers.Eventually(p.t, "100 more reads", func() bool { return count() > before+100 && time.Since(began) > promiseInterval })
}

// connected calls use with a connection, again and again until the test ends. After an error that
// is excused it connects anew; any other error fails the test and ends the calls.
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

// bump adds one to a row's version, and returns the new version.
func bump(conn *pgx.Conn, id int) (version int, err error) {
	err = conn.QueryRow(context.Background(), "UPDATE item SET version = version + 1 WHERE id = $1 RETURNING version", id).Scan(&version)
	return version, err
}

// least returns the oldest version of a row that a read which begins now may show.
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
		seen := map[int]int{} // the newest version of each row that this connection was shown
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
				p.t.Errorf("row %d: read version %d, want %d or later; this client had been shown %d", id, got, least, seen[id])
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
