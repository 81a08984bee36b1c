package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// lazy makes a sidecar that looks only when somebody demands it, and that may
// serve what is an hour old: what a level demands is then all that is fresh.
func lazy(c *engine.Options, f *invalidation.FollowerOptions) {
	c.Staleness = time.Hour
	f.Poll, f.Verify = time.Minute, time.Minute
}

// newQuietTestbed is newTestbed for a database whose writers ring no bell: where transactions
// can be prepared, the trigger must not notify.
func newQuietTestbed(t *testing.T, schema string) *testbed {
	t.Helper()
	return newCopiedTestbed(t, servers.SharedPostgresOfPrepared(t), schema, "public.*")
}

func versionOf7(t testing.TB, conn *pgx.Conn) (version int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT version FROM item WHERE id = 7").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// warm reads until the sidecar would serve the answer to anybody, and returns it.
func (s *side) warm(conn *pgx.Conn) (version int) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "a hit", func() bool {
		before := s.count(HitL1)
		if err := conn.QueryRow(context.Background(), "SELECT version FROM item WHERE id = 7").Scan(&version); err != nil {
			s.bed.t.Fatal(err)
		}
		return s.count(HitL1) > before
	})
	// A look that the reads have asked for, and that nobody waited for, must not come
	// later than what the test does next.
	if err := s.follower.Confirm(context.Background(), fence.Now()); err != nil {
		s.bed.t.Fatal(err)
	}
	return version
}

// earshot is what a follower hears Postgres within: nothing while it is closed.
type earshot struct {
	gate   sync.RWMutex // held for writing while it is closed
	closed bool         // belongs to the test
}

// of makes a sidecar's follower hear through it.
func (e *earshot) of(_ *engine.Options, f *invalidation.FollowerOptions) {
	f.ConnConfig = f.ConnConfig.Copy()
	dial := f.ConnConfig.DialFunc
	f.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return heard{conn, e}, nil
	}
}

// close keeps back what Postgres says, from what the follower has not read yet on.
func (e *earshot) close() {
	if !e.closed {
		e.gate.Lock()
		e.closed = true
	}
}

func (e *earshot) open() {
	if e.closed {
		e.gate.Unlock()
		e.closed = false
	}
}

// heard is a follower's connection.
type heard struct {
	net.Conn
	within *earshot
}

func (h heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.within.gate.RLock()
	defer h.within.gate.RUnlock()
	return n, err
}

// overlooked writes to item 7 what no look can come by: the follower hears nothing from
// before the write on, until its earshot is opened. A read that conn may be served from
// memory does not show the write. It returns that version, and what conn reads instead.
func (s *side) overlooked(of *earshot, conn *pgx.Conn, write func(sql string)) (written, shown int) {
	s.bed.t.Helper()
	of.open()
	shown = s.warm(conn)
	of.close()
	s.bed.t.Cleanup(of.open)
	written = shown + 1
	write(fmt.Sprint("UPDATE item SET version = ", written, " WHERE id = 7"))
	if got := versionOf7(s.bed.t, conn); got != shown {
		s.bed.t.Errorf("version %d, which no look has come by, want %d", got, shown)
	}
	return written, shown
}

func TestLevels(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	ear := &earshot{}
	s := bed.sidecar(lazy, ear.of)
	ordinary, strong := s.connect(), bed.connect(s.dsn()+" options='-c freshet.consistency=strong'")

	written, _ := s.overlooked(ear, ordinary, func(sql string) { bed.exec(sql) })
	if got := versionOf7(t, strong); got != written {
		t.Errorf("a strong read shows version %d, and %d was acknowledged before it", got, written)
	}
	ear.open()
	if got := versionOf7(t, strong); got != written {
		t.Errorf("a strong read behind a look shows version %d, and %d was acknowledged before it", got, written)
	}

	s.warm(ordinary)
	bed.exec("UPDATE item SET version = -1 WHERE id = 7")
	if _, err := ordinary.Exec(t.Context(), "SET freshet.consistency = 'strong'"); err != nil {
		t.Fatal(err)
	}
	if got := versionOf7(t, ordinary); got != -1 {
		t.Errorf("version %d after SET freshet.consistency = 'strong', want -1", got)
	}
	hits := s.count(HitL1)
	for range 3 {
		versionOf7(t, ordinary)
	}
	if s.count(HitL1) == hits {
		t.Error("strong reads of what did not change are never served from the cache")
	}
}

func TestStalenessOfASession(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	ear := &earshot{}
	s := bed.sidecar(lazy, ear.of)
	conn := s.connect()
	if _, err := conn.Exec(t.Context(), "SET freshet.consistency = 'bounded'"); err != nil {
		t.Fatal(err)
	}
	written, _ := s.overlooked(ear, conn, func(sql string) { bed.exec(sql) })
	if _, err := conn.Exec(t.Context(), "SET freshet.staleness = '20ms'"); err != nil {
		t.Fatal(err)
	}
	acknowledged := time.Now()
	servers.Eventually(t, "the bound to pass", func() bool { return time.Since(acknowledged) > 20*time.Millisecond })
	if got := versionOf7(t, conn); got != written {
		t.Errorf("version %d, older than the session's staleness allows", got)
	}
}

// TestTokenCarriesAWriteToAnotherSidecar hands a token from a writer at one
// sidecar to a reader at another, which would be served the old row otherwise.
func TestTokenCarriesAWriteToAnotherSidecar(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pgx.QueryExecMode{
		"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement, "unnamed": pgx.QueryExecModeExec,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bed := newQuietTestbed(t, itemSchema)
			ear := &earshot{}
			here, there := bed.sidecar(lazy), bed.sidecar(lazy, ear.of)
			writer, reader := here.connect(), there.connect()
			written, _ := there.overlooked(ear, reader, func(sql string) { mustExec(t, writer, sql) })
			var token, again string
			for _, to := range []*string{&token, &again} {
				if err := writer.QueryRow(t.Context(), "SHOW freshet.token", mode).Scan(to); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(token, "@") || !strings.Contains(again, "@") {
				t.Fatalf("tokens %q and %q", token, again)
			}
			if _, err := reader.Exec(t.Context(), "SET freshet.after = '"+token+"'"); err != nil {
				t.Fatal(err)
			}
			if got := versionOf7(t, reader); got != written {
				t.Errorf("version %d after the token of the write of version %d", got, written)
			}
		})
	}
}

// A client may ask for the level in force also where it never chose one.
func TestDemandsInForceAreShown(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	for name, mode := range map[string]pgx.QueryExecMode{
		"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement, "unnamed": pgx.QueryExecModeExec,
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.connect()
			shown := func(sql string) (value string) {
				t.Helper()
				if err := conn.QueryRow(t.Context(), sql, mode).Scan(&value); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
				return value
			}
			if got := shown("SHOW freshet.consistency"); got != "session" {
				t.Errorf("consistency %q at the start", got)
			}
			if got := shown("Select current_setting('freshet.staleness')"); got != s.cache.Staleness().String() {
				t.Errorf("staleness %q at the start", got)
			}
			if got := shown("SHOW freshet.cache"); got != "on" {
				t.Errorf("the cache is %q at the start", got)
			}
			s.warm(conn)
			if _, err := conn.Exec(t.Context(), "SET freshet.consistency = 'strong'", mode); err != nil {
				t.Fatal(err)
			}
			if got := shown("SHOW freshet.consistency"); got != "strong" {
				t.Errorf("consistency %q behind SET", got)
			}
			// What a transaction has not asked for yet may still be chosen.
			for _, sql := range []string{"BEGIN", "SHOW freshet.consistency", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "COMMIT"} {
				if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Errorf("%s: %v", sql, err)
				}
			}
		})
	}
}

func TestTokenOfAnotherLifeGoesToPostgres(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	conn := s.connect()
	s.warm(conn)
	if _, err := conn.Exec(t.Context(), "SET freshet.after = 'elsewhere@9:9:'"); err != nil {
		t.Fatal(err)
	}
	before := s.Report()
	versionOf7(t, conn)
	if after := s.Report(); after.Bypasses[reasons.Unproven] != before.Bypasses[reasons.Unproven]+1 {
		t.Errorf("a demand that cannot be met did not go to Postgres: %+v", after)
	}
}

func TestDemandNotUnderstood(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	config, err := pgx.ParseConfig(s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { warnings = append(warnings, n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for setting, value := range map[string]string{
		"freshet.consistency": "eventual", "freshet.staleness": "soon", "freshet.after": "unavailable", "freshet.cache": "perhaps",
	} {
		s.warm(conn)
		warnings = nil
		if _, err := conn.Exec(t.Context(), "SET "+setting+" = '"+value+"'"); err != nil {
			t.Fatal(err)
		}
		before := s.Report().Bypasses[reasons.Demands]
		versionOf7(t, conn)
		versionOf7(t, conn)
		if n := s.Report().Bypasses[reasons.Demands] - before; n != 2 {
			t.Errorf("%s = %s: %d reads passed through, want 2", setting, value, n)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], setting) {
			t.Errorf("%s = %s: warnings %q, want one that names it", setting, value, warnings)
		}
		if _, err := conn.Exec(t.Context(), "RESET "+setting); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SHOW freshet.nothing"); err == nil || !errors.As(err, new(*pgconn.PgError)) {
		t.Errorf("an unknown setting of ours is answered with %v", err)
	}
}
