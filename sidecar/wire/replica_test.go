package wire

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

const replicaSchema = "CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'old'), (2, 'other')"

// replicaBed is a primary with a standby, and a sidecar before the standby.
type replicaBed struct {
	*testbed
	standby *servers.Postgres
	side    *side
}

func newReplicaBed(t *testing.T, settings map[string]string) *replicaBed {
	t.Helper()
	b := &replicaBed{testbed: newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{}), replicaSchema)}
	b.standby = servers.StartStandby(t, b.postgres, servers.PostgresOptions{Settings: settings})
	b.side = b.replicaSidecar(b.standby, b.standby)
	return b
}

// replicaSidecar starts a sidecar whose clients are connected to reached, while it knows of vouched
// how far that has replayed. The two differ where clients are led to another standby.
func (b *replicaBed) replicaSidecar(reached, vouched *servers.Postgres) *side {
	b.t.Helper()
	s := b.sidecar()
	config, err := pgx.ParseConfig(vouched.DSN(b.database))
	if err != nil {
		b.t.Fatal(err)
	}
	upstream, err := pgx.ParseConfig(reached.DSN(b.database))
	if err != nil {
		b.t.Fatal(err)
	}
	config.User = servers.Follower
	standby, err := invalidation.NewStandby(invalidation.StandbyOptions{ConnConfig: config, Follower: s.follower, OnReload: s.SchemaChanged})
	if err != nil {
		b.t.Fatal(err)
	}
	s.Server.upstream, s.Server.replica = transport.NewUpstream(&upstream.Config), standby
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- standby.Run(ctx) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	servers.Eventually(b.t, "the standby to be vouched for", func() bool { _, ok := standby.Begin(); return ok })
	return s
}

// bounded opens a session through the sidecar with bounded consistency, the only level that is
// served before a replica.
func (s *side) bounded() *pgx.Conn {
	s.bed.t.Helper()
	return s.bed.connect(s.dsn() + " options='-c freshet.consistency=bounded'")
}

// nameOf reads the name of an item.
func nameOf(t *testing.T, conn *pgx.Conn, id int) (name string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT name FROM items WHERE id = $1", id).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// hit reads the name of an item until the answer is a hit, and returns it.
func (b *replicaBed) hit(conn *pgx.Conn, id int) (text string) {
	b.t.Helper()
	servers.Eventually(b.t, "a hit", func() bool {
		before := b.side.count(HitL1)
		text = nameOf(b.t.(*testing.T), conn, id)
		return b.side.count(HitL1) > before
	})
	return text
}

// While a standby has not replayed a change, an entry that the change concerns is no hit, and the
// standby's old row is not kept. Other entries go on being hits.
func TestChangedEntryIsNoHitUntilTheStandbyHasReplayed(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	conn := b.side.bounded()
	if got := b.hit(conn, 1); got != "old" {
		t.Fatalf("before the change a hit shows %q, want %q", got, "old")
	}
	b.hit(conn, 2)
	if err := b.standby.PauseReplay(); err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE items SET name = 'new' WHERE id = 1")
	if _, err := b.side.cache.Token(t.Context()); err != nil { // waits until the event is received
		t.Fatal(err)
	}
	before := b.side.count(HitL1)
	for range 50 {
		if got := nameOf(t, conn, 1); got != "old" {
			t.Fatalf("a standby that replays nothing shows %q, want %q", got, "old")
		}
	}
	if hits := b.side.count(HitL1) - before; hits != 0 {
		t.Errorf("%d hits on an entry that lacks a commit, want none", hits)
	}
	if got := b.hit(conn, 2); got != "other" {
		t.Errorf("a hit on the other item shows %q, want %q", got, "other")
	}
	if err := b.standby.ResumeReplay(); err != nil {
		t.Fatal(err)
	}
	if got := b.hit(conn, 1); got != "new" {
		t.Errorf("when the standby has replayed the change, a hit shows %q, want %q", got, "new")
	}
}

func TestCase41ReplicaPassesThroughWhatIsNotBounded(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	var notices []string
	config, err := pgx.ParseConfig(b.side.dsn())
	if err != nil {
		t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	b.hit(b.side.bounded(), 1)
	hits := b.side.count(HitL1)
	for _, level := range []string{"session", "strong"} {
		if _, err := conn.Exec(t.Context(), "SET freshet.consistency = '"+level+"'"); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			nameOf(t, conn, 1)
		}
	}
	if got := b.side.count(HitL1); got != hits {
		t.Errorf("%d hits of sessions that are not bounded, want none", got-hits)
	}
	if n := b.side.Report().Bypasses[reasons.ReplicaLevel]; n < 10 {
		t.Errorf("%d reads passed through for %s, want at least 10", n, reasons.ReplicaLevel)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "strong") {
		t.Errorf("the notices are %q, want one, of the level strong", notices)
	}
}

func TestConnectionToAnotherStandbyIsNotServed(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	second := servers.StartStandby(t, b.postgres, servers.PostgresOptions{})
	s := b.replicaSidecar(second, b.standby)
	conn := s.bounded()
	servers.Eventually(t, "reads to pass through", func() bool {
		nameOf(t, conn, 1)
		return s.Report().Bypasses[reasons.ReplicaBehind] > 5
	})
	if s.count(HitL1)+s.count(Miss) != 0 {
		t.Errorf("%d reads were hits and %d loads, want none: the answers are another standby's", s.count(HitL1), s.count(Miss))
	}
}

func TestPromotedStandbyIsPassedThrough(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	conn := b.side.bounded()
	b.hit(conn, 1)
	if err := b.standby.Promote(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "UPDATE items SET name = 'of the new timeline' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got := nameOf(t, conn, 1); got != "of the new timeline" {
			t.Fatalf("behind the promotion and a write the session reads %q, want its own write", got)
		}
	}
}

// Where replay conflicts with a query, the client gets the error by which Postgres ends the query,
// and its connection can be used on.
func TestRecoveryConflictReachesTheClient(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, map[string]string{"max_standby_streaming_delay": "0"})
	conn := b.side.bounded()
	nameOf(t, conn, 1)
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT name, pg_sleep(30) FROM items")
		failed <- err
	}()
	servers.Eventually(t, "the query to run", func() bool {
		var n int
		direct := b.connect(b.standby.DSN(b.database))
		defer direct.Close(context.Background())
		err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").Scan(&n)
		return err == nil && n == 1
	})
	b.exec("ALTER TABLE items ADD COLUMN more int")
	err := <-failed
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "40001" {
		t.Fatalf("the query ended with %v, want the error 40001", err)
	}
	if got := nameOf(t, conn, 2); got != "other" {
		t.Errorf("behind the conflict the session reads %q, want %q", got, "other")
	}
}

// The sidecar knows roles as they are on the primary, and a replica may not have replayed a change
// of them yet. So reads of tables with row security pass through, whichever role sends them.
func TestRowSecurityPassesThroughOnAReplica(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	conn := b.side.bounded()
	b.hit(conn, 1)
	b.exec("ALTER TABLE items ENABLE ROW LEVEL SECURITY")
	b.side.received()
	passed := func() uint64 { return b.side.Report().Bypasses["row_security"] }
	servers.Eventually(t, "a read to pass through for row_security", func() bool { nameOf(t, conn, 1); return passed() > 0 })
	hits, misses, before := b.side.count(HitL1), b.side.count(Miss), passed()
	const reads = 5
	for range reads {
		if got := nameOf(t, conn, 1); got != "old" {
			t.Errorf("the read shows %q, want %q", got, "old")
		}
	}
	if b.side.count(HitL1) != hits || b.side.count(Miss) != misses || passed() != before+reads {
		t.Errorf("%d of %d reads passed through for row_security, want all; there are %d hits and %d misses more, want none",
			passed()-before, reads, b.side.count(HitL1)-hits, b.side.count(Miss)-misses)
	}
}
