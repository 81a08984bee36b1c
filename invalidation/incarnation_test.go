package invalidation

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// startServer starts a server of the test's own, for what would disturb others.
func startServer(t *testing.T, settings map[string]string) (*servers.Postgres, *database) {
	t.Helper()
	pg := servers.StartPostgres(t, servers.PostgresOptions{Settings: settings})
	db := openDatabase(t, pg.DSN(pg.CreateDatabase(t)), shop)
	db.install("public.*")
	return pg, db
}

// reconnect opens the test's session anew once the server is back.
func (db *database) reconnect() {
	db.t.Helper()
	servers.Eventually(db.t, "the server is back", func() bool {
		conn, err := pgx.Connect(db.t.Context(), db.dsn)
		if err == nil {
			db.t.Cleanup(func() { conn.Close(context.Background()) })
			db.Conn = conn
		}
		return err == nil
	})
}

// After the crash of a backend the server lives on with the same start time and
// timeline, and hands out transaction ids that it had handed out before.
func TestCrashOfABackendIsANewIncarnation(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	f := db.follow(nil)
	f.confirmNow()
	before := f.fence.Head().Incarnation
	old := f.load(db.spell("users/id=1", "users/*")...)
	since := f.State().Since()
	pid, err := strconv.Atoi(db.value("SELECT pg_backend_pid()"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The server notices a moment later, and until then lets others in.
	servers.Eventually(t, "the follower lost its connection", func() bool { return f.Stats().Reconnects > 0 })
	db.reconnect()
	f.confirmNow()
	if f.fence.Head().Incarnation == before {
		t.Error("the incarnation is the same")
	}
	f.wantAdmitted(old, false, "an entry of the former incarnation")
	if f.State().Since().String() == since.String() || len(f.State().Tables()) == 0 {
		t.Errorf("the state is from the former incarnation: %v", f.State().Since())
	}
	if s := f.Stats(); s.Resets[resetStart] != 2 {
		t.Errorf("resets %v, want a second start", s.Resets)
	}
	if got := db.value("SELECT token FROM freshet.incarnation_logged"); got != db.value("SELECT token FROM freshet.incarnation") {
		t.Errorf("the token for standbys is %s", got)
	}
	entry := f.load(db.spell("users/id=1", "users/*")...)
	db.run("UPDATE users SET name = 'x' WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(entry, false, "an entry that lacks a write of the new incarnation")
}

func TestRestartIsANewIncarnation(t *testing.T) {
	t.Parallel()
	for _, mode := range []servers.StopMode{servers.Fast, servers.Immediate} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			pg, db := startServer(t, nil)
			f := db.follow(nil)
			before := f.fence.Head().Incarnation
			if err := pg.Stop(mode); err != nil {
				t.Fatal(err)
			}
			servers.Eventually(t, "it cannot be confirmed", func() bool { return f.Confirm(t.Context(), fence.Now()) != nil })
			if err := pg.Start(); err != nil {
				t.Fatal(err)
			}
			f.confirmNow()
			if f.fence.Head().Incarnation == before {
				t.Error("the incarnation is the same")
			}
		})
	}
}

func TestStandbyIsRefusedAndPromotionIsANewIncarnation(t *testing.T) {
	t.Parallel()
	pg, db := startServer(t, nil)
	db.run("CHECKPOINT")
	f := db.follow(nil)
	before := f.fence.Head().Incarnation
	if err := pg.Stop(servers.Fast); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pg.DataDir(), "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the standby is refused", func() bool { return strings.Contains(f.Stats().LastError, "standby") })
	if err := f.Confirm(t.Context(), fence.Now()); err == nil {
		t.Error("a standby confirms")
	}
	db.reconnect()
	if got := db.value("SELECT freshet.incarnation()"); got != "NULL" {
		t.Errorf("a standby's incarnation is %s, want NULL", got)
	}
	if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}}); err == nil || !strings.Contains(err.Error(), "standby") {
		t.Errorf("install on a standby: %v", err)
	}
	db.run("SELECT pg_promote()")
	f.confirmNow()
	if f.fence.Head().Incarnation == before {
		t.Error("the incarnation is the same after the promotion")
	}
}

// A prepared transaction survives a crash, and so must its event.
func TestCase24TwoPhaseCommit(t *testing.T) {
	t.Parallel()
	pg, db := startServer(t, map[string]string{"max_prepared_transactions": "5"})
	f := db.follow(nil)
	f.confirmNow()
	entry := f.load(db.spell("users/id=1", "users/*")...)
	db.run("BEGIN", "UPDATE users SET name = 'prepared' WHERE id = 1", "PREPARE TRANSACTION 'one'",
		"BEGIN", "UPDATE users SET name = 'prepared' WHERE id = 2", "PREPARE TRANSACTION 'two'")
	f.confirmNow()
	f.wantAdmitted(entry, true, "before COMMIT PREPARED")
	db.run("COMMIT PREPARED 'one'")
	f.confirmNow()
	f.wantAdmitted(entry, false, "after COMMIT PREPARED")
	if err := pg.Stop(servers.Immediate); err != nil {
		t.Fatal(err)
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	db.reconnect()
	f.confirmNow()
	entry = f.load(db.spell("users/id=2", "users/*")...)
	f.wantAdmitted(entry, true, "before the second COMMIT PREPARED")
	db.run("COMMIT PREPARED 'two'")
	f.confirmNow()
	f.wantAdmitted(entry, false, "after COMMIT PREPARED of what was prepared before the crash")
}

func TestRolesAndSettingsAreNoticed(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	f := db.follow(func(o *FollowerOptions) { o.Verify = 50 * time.Millisecond })
	for _, c := range []struct {
		what, statement, cause string
		times                  uint64
	}{
		{"an owner", "CREATE ROLE someone; CREATE ROLE other; CREATE VIEW v AS SELECT 1 AS one; ALTER VIEW v OWNER TO other", resetRoles, 1},
		{"an owner of another's tables", "REASSIGN OWNED BY other TO someone", resetRoles, 1},
		{"a right on the database", "GRANT CREATE ON DATABASE " + db.value("SELECT current_database()") + " TO someone", resetRoles, 1},
		// A reload resets again once every process has heard of it.
		{"a configuration reload", "SELECT pg_reload_conf()", resetSettings, 2},
		{"a changed configuration", "ALTER SYSTEM SET work_mem = '6MB'; SELECT pg_reload_conf()", resetSettings, 1}, // the other may be taken for an audit's
	} {
		for range 2 { // what an audit finds of the change before is found by then
			at := f.auditedAt.Load()
			servers.Eventually(t, "an audit", func() bool { return f.auditedAt.Load() != at })
		}
		f.confirmNow()
		old := f.load(fence.SchemaText)
		resets := f.Stats().Resets[c.cause]
		for statement := range strings.SplitSeq(c.statement, ";") {
			db.run(statement)
		}
		servers.Eventually(t, c.what+" is noticed", func() bool { return f.Stats().Resets[c.cause] >= resets+c.times })
		f.wantAdmitted(old, false, "an entry from before "+c.what)
	}
	// Who starts later must not trust what was loaded before a change either.
	f.confirmNow()
	old := f.load(fence.SchemaText)
	f.stop()
	db.run("ALTER SYSTEM SET work_mem = '7MB'", "SELECT pg_reload_conf()", "ALTER ROLE someone SUPERUSER")
	later := db.follow(nil)
	later.confirmNow()
	later.wantAdmitted(old, false, "an entry from before a change that nobody saw")
}

// functionsInPLpgSQL makes the functions that clients' sessions call what an earlier
// version made.
const functionsInPLpgSQL = `
CREATE OR REPLACE FUNCTION freshet.incarnation() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN 'as before'; END $$;
DROP FUNCTION freshet.incarnation_of_primary();
CREATE FUNCTION freshet.session(settings text[], with_role boolean) RETURNS text[] LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN settings; END $$`

// TestFunctionsInPLpgSQLAreConverted installs over functions as they were before.
func TestFunctionsInPLpgSQLAreConverted(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	incarnation := db.value("SELECT freshet.incarnation()")
	db.run(functionsInPLpgSQL)
	if len(db.state().Problems()) == 0 {
		t.Error("the functions of before count as those of now")
	}
	db.install("public.*")
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Errorf("problems after the conversion: %q", problems)
	}
	if got := db.value("SELECT freshet.incarnation()"); got != incarnation {
		t.Errorf("the incarnation is %s, was %s", got, incarnation)
	}
	// freshet.touch is not asked of a client's session: whoever calls it writes, and the
	// triggers of writes are in PL/pgSQL.
	const languages = `SELECT string_agg(concat_ws(' ', p.proname, l.lanname), ', ' ORDER BY p.proname) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
		WHERE p.pronamespace = 'freshet'::regnamespace AND has_function_privilege('pg_monitor', p.oid, 'EXECUTE') AND p.prorettype <> 'trigger'::regtype AND p.proname <> 'touch'`
	if got, want := db.value(languages), "incarnation sql, incarnation_of_primary sql"; got != want {
		t.Errorf("clients may call %s, want %s", got, want)
	}
}
