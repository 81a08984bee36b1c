package wire

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// TestBigResultStreamsToASlowReader reads a result of 100 MB slowly. The sidecar does not gather the
// result in memory, and goes on serving another client.
func TestBigResultStreamsToASlowReader(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	bystander := watch(t, s)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	slow := dialRaw(t, s.dsn())
	before := heap()
	var grown uint64
	slow.send(msgQuery("SELECT i, repeat('x', 1000000) FROM generate_series(1, 100) i, item WHERE item.id = 1"))
	bystander.mustGoOn(t) // while the slow client has read nothing yet
	received := 0
	for kind := byte(0); kind != 'Z'; {
		m := slow.message()
		kind = m[0]
		if received += len(m); kind == 'D' && received%7 == 0 {
			bystander.mustGoOn(t)
		}
		if now := heap(); now > before {
			grown = max(grown, now-before)
		}
	}
	if received < 100e6 {
		t.Errorf("%d bytes came, want 100 MB at least", received)
	}
	const grownMax = 12 << 20 // the buffers of both directions, one message in this client, and a capture up to the largest entry
	if grown > grownMax {
		t.Errorf("the heap grew by %d bytes for a result that streams, want at most %d", grown, grownMax)
	}
}

// stuckClient connects a client that asks for many wide answers and reads none of them, until the
// sidecar can write nothing more to it, not even a notification of Postgres.
func stuckClient(t *testing.T, s *side) *rawClient {
	t.Helper()
	ask := msgQuery("SELECT * FROM wide")
	c := dialRaw(t, s.dsn())
	c.ask(msgQuery("LISTEN news"))
	// Only hits are counted below: answers that pass through would fill the socket uncounted.
	servers.Eventually(t, "hits", func() bool {
		before := s.count(HitL1)
		c.ask(ask)
		return s.count(HitL1) > before
	})
	before := s.count(HitL1)
	c.send(bytes.Repeat(ask, 100)) // which the sidecar's buffer takes
	last := before
	servers.Eventually(t, "no more answers to fit into the socket", func() bool {
		time.Sleep(100 * time.Millisecond)
		then := last
		last = s.count(HitL1)
		return last > before && last == then
	})
	s.bed.exec("NOTIFY news")
	return c
}

const wideSchema = itemSchema + `
CREATE TABLE wide (id int PRIMARY KEY, body text NOT NULL);
INSERT INTO wide SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 8000) i;`

// TestStuckClientHoldsUpNobody: a change of the schema has to reach all sessions, and the client of
// one session does not read. The others are served again all the same.
func TestStuckClientHoldsUpNobody(t *testing.T) {
	bed := newTestbed(t, wideSchema)
	s := bed.sidecar()
	stuckClient(t, s)
	for round := range 3 {
		bed.exec("ALTER TABLE item ADD COLUMN IF NOT EXISTS extra int DEFAULT 1")
		bed.exec("ALTER TABLE item DROP COLUMN extra")
		bed.exec("UPDATE item SET version = $1 WHERE id = 7", round)
		servers.Eventually(t, "hits beside a stuck client", func() bool {
			before := s.count(HitL1)
			for range 2 {
				s.psql("SELECT version FROM item WHERE id = 7")
			}
			return s.count(HitL1) > before
		})
	}
}

// A sidecar with a client that does not read ends within its limit.
func TestStuckClientDoesNotHoldUpTheEnd(t *testing.T) {
	bed := newTestbed(t, wideSchema)
	first := bed.sidecar()
	config, err := pgx.ParseConfig(bed.postgres.DSN(bed.database))
	if err != nil {
		t.Fatal(err)
	}
	s := &side{bed: bed, dir: socketDir(t)}
	s.Server, err = New(Options{
		Upstream: &config.Config, SocketDir: s.dir, Port: testPort, Drain: time.Second,
		Cache: first.Server.cache, Fence: first.fence, Follower: first.follower, Analyzer: first.analyzer,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stuckClient(t, s)
	began := time.Now()
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > bystanderWaitMax {
			t.Errorf("the end of the sidecar took %v, want %v at most, of which %v to drain", took, bystanderWaitMax, time.Second)
		}
	case <-time.After(servers.EventuallyMax):
		t.Fatalf("the sidecar has not ended after %v", servers.EventuallyMax)
	}
}

// TestSilentPostgresDoesNotHoldUpTheEnd: the sidecar ends while a session still waits for Postgres to
// answer its start-up. stop fails the test if it does not.
func TestSilentPostgresDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	s, silent, stop := scripted(t)
	c := dialOnly(t, s.dsn())
	if _, err := c.Write(startupMessage(s.bed.database)); err != nil {
		t.Fatal(err)
	}
	up, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	stop()
}
