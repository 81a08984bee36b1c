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

// replicaSidecar starts a sidecar whose clients reach one server while another is
// vouched for.
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

// bounded opens a session through the sidecar that accepts what a replica shows.
func (s *side) bounded() *pgx.Conn {
	s.bed.t.Helper()
	return s.bed.connect(s.dsn() + " options='-c freshet.consistency=bounded'")
}

func name(t *testing.T, conn *pgx.Conn, id int) (name string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT name FROM items WHERE id = $1", id).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// hit reads until an answer came from the cache, and returns it.
func (b *replicaBed) hit(conn *pgx.Conn, id int) (text string) {
	b.t.Helper()
	servers.Eventually(b.t, "a hit", func() bool {
		before := b.side.count(HitL1)
		text = name(b.t.(*testing.T), conn, id)
		return b.side.count(HitL1) > before
	})
	return text
}

func TestSidecarBeforeALaggingStandby(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	conn := b.side.bounded()
	if got := b.hit(conn, 1); got != "old" {
		t.Fatalf("got %q", got)
	}
	b.hit(conn, 2)
	if err := b.standby.PauseReplay(); err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE items SET name = 'new' WHERE id = 1")
	if _, err := b.side.cache.Token(t.Context()); err != nil { // the event was received
		t.Fatal(err)
	}
	before := b.side.count(HitL1)
	for range 50 {
		if got := name(t, conn, 1); got != "old" {
			t.Fatalf("a paused standby shows %q", got)
		}
	}
	if hits := b.side.count(HitL1) - before; hits != 0 {
		t.Errorf("%d hits on what lacks a commit", hits)
	}
	if got := b.hit(conn, 2); got != "other" {
		t.Errorf("got %q", got)
	}
	if err := b.standby.ResumeReplay(); err != nil {
		t.Fatal(err)
	}
	if got := b.hit(conn, 1); got != "new" {
		t.Errorf("a hit shows %q", got)
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
			name(t, conn, 1)
		}
	}
	if got := b.side.count(HitL1); got != hits {
		t.Errorf("%d hits", got-hits)
	}
	if n := b.side.Report().Bypasses[reasons.ReplicaLevel]; n < 10 {
		t.Errorf("%d reads passed for that reason", n)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "strong") {
		t.Errorf("notices %q", notices)
	}
}

func TestConnectionToAnotherStandbyIsNotServed(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	second := servers.StartStandby(t, b.postgres, servers.PostgresOptions{})
	s := b.replicaSidecar(second, b.standby)
	conn := s.bounded()
	servers.Eventually(t, "reads to pass through", func() bool {
		name(t, conn, 1)
		return s.Report().Bypasses[reasons.ReplicaBehind] > 5
	})
	if s.count(HitL1)+s.count(Miss) != 0 {
		t.Error("another standby's answers were kept")
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
		if got := name(t, conn, 1); got != "of the new timeline" {
			t.Fatalf("got %q", got)
		}
	}
}

// The client gets the conflict that Postgres reports, and the connection goes on.
func TestRecoveryConflictReachesTheClient(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, map[string]string{"max_standby_streaming_delay": "0"})
	conn := b.side.bounded()
	name(t, conn, 1)
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
		t.Fatalf("got %v", err)
	}
	if got := name(t, conn, 2); got != "other" {
		t.Errorf("got %q", got)
	}
}

// Roles are judged as they are on the primary, and a replica may not know of a
// change of theirs: what has row security passes through, whoever reads it.
func TestRowSecurityPassesThroughOnAReplica(t *testing.T) {
	t.Parallel()
	b := newReplicaBed(t, nil)
	conn := b.side.bounded()
	b.hit(conn, 1)
	b.exec("ALTER TABLE items ENABLE ROW LEVEL SECURITY")
	b.side.received()
	passed := func() uint64 { return b.side.Report().Bypasses["row_security"] }
	servers.Eventually(t, "the reason to be told", func() bool { name(t, conn, 1); return passed() > 0 })
	hits, misses, before := b.side.count(HitL1), b.side.count(Miss), passed()
	const reads = 5
	for range reads {
		if got := name(t, conn, 1); got != "old" {
			t.Errorf("got %q", got)
		}
	}
	if b.side.count(HitL1) != hits || b.side.count(Miss) != misses || passed() != before+reads {
		t.Errorf("%d passed through of %d: %v", passed()-before, reads, b.side.Report())
	}
}
