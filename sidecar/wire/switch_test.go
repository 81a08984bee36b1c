package wire

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// passed sends a read of a version twice, and returns how many of the two were hits, and how many
// passed through for the reason.
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

// A session switches the cache off for itself by the setting freshet.cache: until it is set again,
// for one transaction, or from its start-up on.
func TestSessionSwitchesItsCacheOff(t *testing.T) {
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
			wantOff := func(off bool) {
				t.Helper()
				hits, passed := s.passed(t, conn, reasons.SwitchedOff, readVersion7, mode)
				if off && (hits != 0 || passed != 2) || !off && (hits == 0 || passed != 0) {
					t.Errorf("%d hits, %d reads passed through for %s, want both passed through: %v, otherwise hits alone", hits, passed, reasons.SwitchedOff, off)
				}
			}
			s.warm(conn)
			wantOff(false)
			exec("SET freshet.cache = 'off'")
			wantOff(true)
			exec("SET freshet.cache = 'on'")
			wantOff(false)
			exec("BEGIN")
			exec("SET LOCAL freshet.cache = 'off'")
			before := s.Report().Queries[HitL1.String()]
			exec(readVersion7)
			if s.Report().Queries[HitL1.String()] != before {
				t.Error("a read was a hit in a transaction that has switched the cache off")
			}
			exec("COMMIT")
			wantOff(false)
			exec("SET freshet.cache = 'off'")
			exec("RESET freshet.cache")
			wantOff(false)
		})
	}
	t.Run("from the start-up on", func(t *testing.T) {
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
			t.Errorf("%d hits, %d reads passed through for %s, want 0 and 2", hits, passed, reasons.SwitchedOff)
		}
	})
}

// A statement with a comment that switches the cache off passes through; the same statement without
// the comment is served. A comment of freshet's that is not understood passes through too.
func TestCommentSwitchesTheCacheOffForItsStatement(t *testing.T) {
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
				t.Errorf("%v, %s: %d hits, %d reads passed through for %s, want 0 and 2", mode, sql, hits, passed, reason)
			}
		}
	}
	s.warm(conn) // a statement without a comment is served as before
}

// An operator switches the cache off and on again. Each takes effect at once, for sessions that are
// there and for those that come, and a write from in between shows when the cache is on again.
func TestOperatorSwitchesTheCacheOffForAllSessions(t *testing.T) {
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
					t.Errorf("switched off: %d hits, %d reads passed through for %s, want 0 and 2", hits, passed, reasons.AllOff)
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
				t.Errorf("switched on again: read version %d, want %d, which was written meanwhile", got, written)
			}
			s.warm(conn)
			if hits, passed := s.passed(t, conn, reasons.AllOff, readVersion7, mode); hits == 0 || passed != 0 {
				t.Errorf("switched on again: %d hits, %d reads passed through for %s, want hits alone", hits, passed, reasons.AllOff)
			}
		})
	}
}
