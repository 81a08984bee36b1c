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

// lazy makes a sidecar that may serve answers an hour old, and that looks once a minute unless a
// read demands a look or a writer rings: a hit is then no fresher than its level demands.
func lazy(c *engine.Options, f *invalidation.FollowerOptions) {
	c.Staleness = time.Hour
	f.Poll, f.Verify = time.Minute, time.Minute
}

// newQuietTestbed is newTestbed for a database whose writers ring no bell. The bell is a NOTIFY,
// which the trigger must not use where transactions can be prepared: Postgres would refuse to
// prepare them.
func newQuietTestbed(t *testing.T, schema string) *testbed {
	t.Helper()
	return newCopiedTestbed(t, servers.SharedPostgresOfPrepared(t), schema, "public.*")
}

// versionOf7 reads the version of item 7.
func versionOf7(t testing.TB, conn *pgx.Conn) (version int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT version FROM item WHERE id = 7").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// warm reads the version of item 7 until that is a hit, and returns it.
func (s *side) warm(conn *pgx.Conn) (version int) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "a hit", func() bool {
		before := s.count(HitL1)
		if err := conn.QueryRow(context.Background(), "SELECT version FROM item WHERE id = 7").Scan(&version); err != nil {
			s.bed.t.Fatal(err)
		}
		return s.count(HitL1) > before
	})
	// The reads may have asked for a look that nobody waited for. It must not find what the test
	// does next: so wait for a look here.
	if err := s.follower.Confirm(context.Background(), fence.Now()); err != nil {
		s.bed.t.Fatal(err)
	}
	return version
}

// earshot is a gate in a follower's connections: while it is closed, the follower reads nothing
// of what Postgres sends.
type earshot struct {
	gate   sync.RWMutex // held for writing while the earshot is closed
	closed bool         // belongs to the test's goroutine
}

// of is a sideOption: the sidecar's follower gets its connections within the earshot.
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

// close keeps back everything that the follower has not read yet.
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

// heard is a follower's connection within an earshot.
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

// overlooked writes a new version of item 7 that no look can find: the earshot of the sidecar's
// follower is closed before the write, and stays closed until the test opens it. A read of conn,
// which the sidecar may answer from its cache, must still show the version before. It returns the
// version that was written, and the one that conn is shown.
func (s *side) overlooked(of *earshot, conn *pgx.Conn, write func(sql string)) (written, shown int) {
	s.bed.t.Helper()
	of.open()
	shown = s.warm(conn)
	of.close()
	s.bed.t.Cleanup(of.open)
	written = shown + 1
	write(fmt.Sprint("UPDATE item SET version = ", written, " WHERE id = 7"))
	if got := versionOf7(s.bed.t, conn); got != shown {
		s.bed.t.Errorf("version %d is read, though no look can have found the write, want %d", got, shown)
	}
	return written, shown
}

// A strong read shows each write that was acknowledged before it, whether the level was chosen
// when the session started or by SET. What has not changed it gets from the cache, too.
func TestStrongReadsShowEveryAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	ear := &earshot{}
	s := bed.sidecar(lazy, ear.of)
	ordinary, strong := s.connect(), bed.connect(s.dsn()+" options='-c freshet.consistency=strong'")

	written, _ := s.overlooked(ear, ordinary, func(sql string) { bed.exec(sql) })
	if got := versionOf7(t, strong); got != written {
		t.Errorf("a strong read shows version %d, want %d, which was acknowledged before it", got, written)
	}
	ear.open()
	if got := versionOf7(t, strong); got != written {
		t.Errorf("a strong read with a follower that hears Postgres again shows version %d, want %d, which was acknowledged before it", got, written)
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
		t.Error("none of 3 strong reads of an unchanged row is a hit, want one at least")
	}
}

// A session that sets a shorter staleness is shown what was acknowledged longer ago than that.
func TestReadsAreWithinTheirSessionsStaleness(t *testing.T) {
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
	servers.Eventually(t, "20 ms to pass since the write", func() bool { return time.Since(acknowledged) > 20*time.Millisecond })
	if got := versionOf7(t, conn); got != written {
		t.Errorf("version %d is read with a staleness of 20 ms, want %d, which was acknowledged longer ago", got, written)
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
				t.Fatalf("the tokens are %q and %q, want an @ in both", token, again)
			}
			if _, err := reader.Exec(t.Context(), "SET freshet.after = '"+token+"'"); err != nil {
				t.Fatal(err)
			}
			if got := versionOf7(t, reader); got != written {
				t.Errorf("a read behind the token of a write shows version %d, want %d, which was written", got, written)
			}
		})
	}
}

// SHOW and current_setting answer with the level, the staleness and the cache setting in force,
// also where the client never chose one.
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
				t.Errorf("freshet.consistency is %q at the start, want session", got)
			}
			if got := shown("Select current_setting('freshet.staleness')"); got != s.cache.Staleness().String() {
				t.Errorf("freshet.staleness is %q at the start, want %v", got, s.cache.Staleness())
			}
			if got := shown("SHOW freshet.cache"); got != "on" {
				t.Errorf("freshet.cache is %q at the start, want on", got)
			}
			s.warm(conn)
			if _, err := conn.Exec(t.Context(), "SET freshet.consistency = 'strong'", mode); err != nil {
				t.Fatal(err)
			}
			if got := shown("SHOW freshet.consistency"); got != "strong" {
				t.Errorf("freshet.consistency is %q behind SET, want strong", got)
			}
			// The SHOW takes no snapshot: the transaction may still choose its isolation level.
			for _, sql := range []string{"BEGIN", "SHOW freshet.consistency", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "COMMIT"} {
				if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Errorf("%s: %v", sql, err)
				}
			}
		})
	}
}

// No head of this database can include a token of another incarnation: a read that demands it
// goes to Postgres.
func TestReadBehindATokenOfAnotherIncarnationGoesToPostgres(t *testing.T) {
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
		t.Errorf("%d reads were passed through as %s, want 1: %+v", after.Bypasses[reasons.Unproven]-before.Bypasses[reasons.Unproven], reasons.Unproven, after)
	}
}

// A value that is no demand is answered with a warning, and reads pass through until the setting
// is reset.
func TestReadsPassThroughBehindADemandNotUnderstood(t *testing.T) {
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
			t.Errorf("%s = %s: warnings %q, want one that names the setting", setting, value, warnings)
		}
		if _, err := conn.Exec(t.Context(), "RESET "+setting); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SHOW freshet.nothing"); err == nil || !errors.As(err, new(*pgconn.PgError)) {
		t.Errorf("SHOW freshet.nothing, a setting that does not exist, ends with %v, want an error of Postgres", err)
	}
}
