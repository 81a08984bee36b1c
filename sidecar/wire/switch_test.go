package wire

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// passed reads version 7 twice and returns what was counted: hits, and reads that passed
// through for a reason.
func (s *side) passed(t *testing.T, conn *pgx.Conn, reason, sql string, mode pgx.QueryExecMode) (hits, passed uint64) {
	t.Helper()
	before := s.Report()
	for range 2 {
		var version int
		if err := conn.QueryRow(t.Context(), sql, mode).Scan(&version); err != nil {
			t.Fatal(err)
		}
	}
	after := s.Report()
	return after.Queries[HitL1.String()] - before.Queries[HitL1.String()], after.Bypasses[reason] - before.Bypasses[reason]
}

const readVersion7 = "SELECT version FROM item WHERE id = 7"

// A session says for itself whether it is served from the cache, as it says everything to
// Postgres: for good, for one transaction, when it connects.
func TestSessionSwitchesItselfOff(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			conn := s.connect()
			exec := func(sql string) {
				t.Helper()
				if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			is := func(off bool) {
				t.Helper()
				hits, passed := s.passed(t, conn, reasons.SwitchedOff, readVersion7, mode)
				if off && (hits != 0 || passed != 2) || !off && (hits == 0 || passed != 0) {
					t.Errorf("off is %v: %d hits, %d reads passed through", off, hits, passed)
				}
			}
			s.warm(conn)
			is(false)
			exec("SET freshet.cache = 'off'")
			is(true)
			exec("SET freshet.cache = 'on'")
			is(false)
			exec("BEGIN")
			exec("SET LOCAL freshet.cache = 'off'")
			before := s.Report().Queries[HitL1.String()]
			exec(readVersion7)
			if s.Report().Queries[HitL1.String()] != before {
				t.Error("a read of a transaction that is switched off was a hit")
			}
			exec("COMMIT")
			is(false)
			exec("SET freshet.cache = 'off'")
			exec("RESET freshet.cache")
			is(false)
		})
	}
	t.Run("at the start", func(t *testing.T) {
		config, err := pgx.ParseConfig(s.dsn())
		if err != nil {
			t.Fatal(err)
		}
		config.RuntimeParams["options"] = "-c freshet.cache=off"
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if hits, passed := s.passed(t, conn, reasons.SwitchedOff, readVersion7, pgx.QueryExecModeExec); hits != 0 || passed != 2 {
			t.Errorf("%d hits, %d reads passed through", hits, passed)
		}
	})
}

// One statement is left to Postgres by a comment in it, another beside it is served.
func TestCommentSwitchesOff(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	conn := s.connect()
	s.warm(conn)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		for sql, reason := range map[string]string{
			"/* freshet: off */ " + readVersion7:                reasons.CommentOff,
			readVersion7 + " /*route='%2Fitem',freshet='off'*/": reasons.CommentOff,
			readVersion7 + " /* freshet: for ever */":           reasons.Comment,
		} {
			if hits, passed := s.passed(t, conn, reason, sql, mode); hits != 0 || passed != 2 {
				t.Errorf("%v, %s: %d hits, %d reads passed through", mode, sql, hits, passed)
			}
		}
	}
	s.warm(conn) // a statement without a comment is served as before
}

// An operator switches everything off and on again: at once, for sessions that were there
// and those that come, and what was written meanwhile is shown behind it.
func TestServerIsSwitchedOff(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			conn, other := s.connect(), s.connect()
			s.warm(conn)
			s.passed(t, conn, reasons.AllOff, readVersion7, mode)
			s.SwitchOff(true)
			for _, c := range []*pgx.Conn{conn, s.connect()} {
				if hits, passed := s.passed(t, c, reasons.AllOff, readVersion7, mode); hits != 0 || passed != 2 {
					t.Errorf("switched off: %d hits, %d reads passed through", hits, passed)
				}
			}
			if _, err := other.Exec(t.Context(), "UPDATE item SET version = version + 1 WHERE id = 7"); err != nil {
				t.Fatal(err)
			}
			var written int
			if err := bed.direct.QueryRow(t.Context(), readVersion7).Scan(&written); err != nil {
				t.Fatal(err)
			}
			s.SwitchOff(false)
			if got := versionOf7(t, conn); got != written {
				t.Errorf("switched on again, version %d is shown, %d was written", got, written)
			}
			s.warm(conn)
			if hits, passed := s.passed(t, conn, reasons.AllOff, readVersion7, mode); hits == 0 || passed != 0 {
				t.Errorf("switched on again: %d hits, %d reads passed through", hits, passed)
			}
		})
	}
}
