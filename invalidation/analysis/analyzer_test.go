package analysis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

const byKey = `SELECT * FROM users WHERE id = $1`

func TestNewNeedsItsOptions(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("made an analyser of nothing")
	}
}

// The schema changes while a verdict is being made: the verdict is made again,
// of the new schema.
func TestForget(t *testing.T) {
	b := setup(t)
	config, err := pgx.ParseConfig(b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	changes := 0
	var a *Analyzer
	// Watch is asked after the statement was parsed and the catalogs were read.
	watch := func() Watch {
		if changes++; changes == 1 {
			b.exec(t, `ALTER TABLE users RENAME TO persons; CREATE VIEW users AS SELECT user_id AS id FROM orders`)
			a.Forget()
		}
		return b.watch
	}
	if a, err = New(Options{ConnConfig: config, Watch: watch}); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	v, err := a.Analyze(t.Context(), request(byKey))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.show(v); got != `orders/user_id=$1` || changes != 2 {
		t.Errorf("got %s after %d attempts, want orders/user_id=$1 after 2", got, changes)
	}
	if !a.Current(v) {
		t.Error("the verdict is not current")
	}
	a.Forget()
	if a.Current(v) {
		t.Error("the verdict is current after another change")
	}
}

func TestSchemaThatNeverSettles(t *testing.T) {
	b := setup(t)
	config, err := pgx.ParseConfig(b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	var a *Analyzer
	a, err = New(Options{ConnConfig: config, Watch: func() Watch { a.Forget(); return b.watch }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Analyze(t.Context(), request(byKey)); !errors.Is(err, ErrSchemaChanging) {
		t.Errorf("got %v, want ErrSchemaChanging", err)
	}
}

// After Forget the catalogs are read again: a table of which every row was shown may
// have row security by now.
func TestForgetRereadsTheCatalog(t *testing.T) {
	b := setup(t)
	if got := b.show(b.analyze(t, request(`SELECT * FROM fa WHERE id = $1`))); got != `fa/id=$1` {
		t.Fatalf("got %s", got)
	}
	b.exec(t, `ALTER TABLE fa ENABLE ROW LEVEL SECURITY`)
	b.analyzer.Forget()
	if got := b.show(b.analyze(t, request(`SELECT * FROM fa WHERE id = $1`))); got != `no: row_security` {
		t.Errorf("got %s, want no: row_security", got)
	}
}

func TestLostSessionsAreReplaced(t *testing.T) {
	b := setup(t)
	b.analyze(t, request(byKey))
	for range 3 {
		b.exec(t, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
			WHERE application_name = 'freshet analysis' AND datname = current_database()`)
		if got := b.show(b.analyze(t, request(byKey))); got != `users/id=$1` {
			t.Errorf("got %s", got)
		}
	}
}

func TestServerThatIsDown(t *testing.T) {
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	b := setupOn(t, pg)
	b.analyze(t, request(byKey))
	if err := pg.Stop(servers.Immediate); err != nil {
		t.Fatal(err)
	}
	if v, err := b.analyzer.Analyze(t.Context(), request(byKey)); err == nil {
		t.Errorf("a verdict without a server: %s", b.show(v))
	}
	if err := pg.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := b.show(b.analyze(t, request(byKey))); got != `users/id=$1` {
		t.Errorf("after the restart: %s", got)
	}
}

// A table locked by DDL is no reason to wait, and none to say that the
// statement may not be cached.
func TestLockedTable(t *testing.T) {
	b := setup(t)
	b.exec(t, `BEGIN; LOCK TABLE users`)
	if v, err := b.analyzer.Analyze(t.Context(), request(byKey)); err == nil {
		t.Errorf("a verdict on a locked table: %s", b.show(v))
	}
	b.exec(t, `ROLLBACK`)
	if got := b.show(b.analyze(t, request(byKey))); got != `users/id=$1` {
		t.Errorf("after the lock: %s", got)
	}
}

func TestEndedContext(t *testing.T) {
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.analyzer.Analyze(ctx, request(byKey)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	b.analyze(t, request(byKey))
}

func TestClose(t *testing.T) {
	b := setup(t)
	a := b.newAnalyzer(t)
	if _, err := a.Analyze(t.Context(), request(byKey)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	a.Close()
	if _, err := a.Analyze(t.Context(), request(byKey)); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	// What needs no server has a verdict still.
	if v, err := a.Analyze(t.Context(), request(`BEGIN`)); err != nil || v.Reason != ReasonNotSelect {
		t.Errorf("got %v, %v", v, err)
	}
}

// Sessions that nobody uses are closed, and opened again when they are needed.
func TestIdleSessionsAreClosed(t *testing.T) {
	b := setup(t)
	a := b.newAnalyzer(t)
	a.idleMax = time.Millisecond
	for range 3 {
		if _, err := a.Analyze(t.Context(), request(byKey)); err != nil {
			t.Fatal(err)
		}
		servers.Eventually(t, "no session is left", func() bool {
			for range sessionsMax {
				s := <-a.sessions
				a.sessions <- s
				if s != nil {
					return false
				}
			}
			return true
		})
	}
}

// Close does not wait for a server that does not answer: it ends the analysis before the
// analysis gives up by itself. It is tried again where the machine let that come first.
func TestCloseEndsAnalyses(t *testing.T) {
	b := setup(t)
	b.exec(t, `BEGIN; LOCK TABLE pg_catalog.pg_type`)
	defer b.exec(t, `ROLLBACK`)
	servers.Eventually(t, "Close ends an analysis that waits", func() bool {
		// What an earlier try left waits on for the lock, whoever has gone.
		b.exec(t, `SELECT pg_terminate_backend(pid, 5000) `+waitingSQL)
		a := b.newAnalyzer(t)
		failed := make(chan error, 1)
		go func() {
			_, err := a.Analyze(context.WithoutCancel(t.Context()), request(byKey))
			failed <- err
		}()
		b.untilWaiting(t)
		begin := time.Now()
		a.Close()
		err := <-failed
		if took := time.Since(begin); took > waitMax {
			t.Errorf("Close took %v", took)
		}
		if err == nil {
			t.Fatal("a verdict from a closed analyser")
		}
		if !errors.Is(err, context.Canceled) {
			t.Logf("it had ended by itself: %v", err)
		}
		return errors.Is(err, context.Canceled)
	})
}

// waitingSQL are the locks that sessions of the test's database wait for. Activity is not asked:
// within a transaction it stays what it was when it was asked first.
const waitingSQL = `FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// untilWaiting waits until an analysis session waits for a lock.
func (b *bench) untilWaiting(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(waitMax); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var n int
		if err := b.conn.QueryRow(t.Context(), `SELECT count(*) `+waitingSQL, pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("no session ever waited for the lock")
}

// waitMax bounds what a test waits for; nothing takes nearly as long.
const waitMax = servers.EventuallyMax

// Many goroutines with different search_paths and settings share few sessions,
// and each is understood in its own.
func TestConcurrentAnalyses(t *testing.T) {
	b := setup(t)
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			for j := range 10 {
				path, want := []string{"pg_catalog", "public"}, `users/id=$1`
				if (i+j)%2 == 0 {
					path, want = []string{"pg_catalog", "alt"}, `alt.users/id=$1`
				}
				v, err := b.analyzer.Analyze(t.Context(), Request{SQL: byKey, SearchPath: path, Settings: map[string]string{"TimeZone": fmt.Sprintf("Etc/GMT+%d", i%12)}})
				if err != nil {
					t.Error(err)
					return
				}
				if got := b.show(v); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
	group.Wait()
	var sessions int
	if err := b.conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE application_name = 'freshet analysis' AND datname = current_database()`).Scan(&sessions); err != nil {
		t.Fatal(err)
	}
	if sessions > sessionsMax {
		t.Errorf("%d sessions, want at most %d", sessions, sessionsMax)
	}
}

// A role that owns nothing and may read nothing can still analyse.
func TestOrdinaryRole(t *testing.T) {
	b := setup(t)
	role := "ordinary_" + b.database(t)
	b.exec(t, `CREATE ROLE `+role+` LOGIN`)
	defer b.exec(t, `DROP ROLE `+role)
	b.dsn = strings.Replace(b.dsn, "user=postgres", "user="+role, 1)
	b.analyzer = b.newAnalyzer(t)
	defer b.analyzer.Close()
	if got := b.show(b.analyze(t, request(`SELECT * FROM v_nested WHERE uid = $1`))); got != `orders/user_id=$1 users/id=$1` {
		t.Errorf("got %s", got)
	}
}

func (b *bench) database(t *testing.T) string {
	t.Helper()
	var name string
	if err := b.conn.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// The side session cannot write, whatever is sent to it.
func TestSideSessionIsReadOnly(t *testing.T) {
	b := setup(t)
	s, err := connect(t.Context(), b.conn.Config(), nil, &b.analyzer.log, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.conn.Exec(t.Context(), `INSERT INTO settings VALUES ('a', 'b')`); err == nil {
		t.Error("wrote")
	}
	for name, want := range map[string]string{"lock_timeout": "200ms", "statement_timeout": "5s", "default_transaction_isolation": "read committed", "log_min_messages": "panic"} {
		var got string
		if err := s.conn.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", name, got, err, want)
		}
	}
}

func TestOtherServerEncoding(t *testing.T) {
	b := setup(t)
	name := "latin_" + b.database(t)
	b.exec(t, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'`)
	defer b.exec(t, `DROP DATABASE `+name+` WITH (FORCE)`)
	b.dsn = strings.Replace(b.dsn, "dbname="+b.database(t), "dbname="+name, 1)
	b.analyzer = b.newAnalyzer(t)
	defer b.analyzer.Close()
	if got := b.show(b.analyze(t, request(`SELECT 1`))); got != `no: unsupported_server` {
		t.Errorf("got %s, want no: unsupported_server", got)
	}
}

func TestMajorVersion(t *testing.T) {
	for version, want := range map[string]int{
		"15.18 (Debian 15.18-0+deb12u1)": 15, "18beta1": 18, "17devel": 17, "9.6.24": 9, "": 0, "x": 0,
	} {
		if got := majorVersion(version); got != want {
			t.Errorf("%q: got %d, want %d", version, got, want)
		}
	}
}

// Every function on the list of stable functions that may stay is one, in every
// overload, so that a name cannot let another function through.
func TestStableFunctionsAreListedOnPurpose(t *testing.T) {
	b := setup(t)
	rows, err := b.conn.Query(t.Context(), `SELECT DISTINCT proname::text, provolatile::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	var name, volatility string
	if _, err := pgx.ForEachRow(rows, []any{&name, &volatility}, func() error {
		if volatility == "v" && pureStable[name] {
			t.Errorf("%s has a volatile overload", name)
		}
		if (clockFunctions[name] || sequenceFunctions[name]) && pureStable[name] {
			t.Errorf("%s is both allowed and refused", name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// The operators taken for equality are the server's btree equality of the types
// taken for canonical.
func TestEqualityIsTheServers(t *testing.T) {
	b := setup(t)
	rows, err := b.conn.Query(t.Context(), `
		SELECT DISTINCT a.amopopr::oid FROM pg_amop a JOIN pg_am m ON m.oid = a.amopmethod
		JOIN pg_opclass c ON c.opcfamily = a.amopfamily AND c.opcdefault
		WHERE m.amname = 'btree' AND a.amopstrategy = 3
		  AND a.amoplefttype IN (16, 20, 21, 23, 25, 2950) AND a.amoprighttype IN (16, 20, 21, 23, 25, 2950)`)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(equality) {
		t.Errorf("the server has %d, we have %d", len(found), len(equality))
	}
	for _, oid := range found {
		if !equality[oid] {
			t.Errorf("operator %d is missing", oid)
		}
	}
}
