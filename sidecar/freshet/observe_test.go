package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/observe"
)

const orderSchema = `
	CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
	CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, amount int NOT NULL DEFAULT 0, at timestamptz DEFAULT now());
	INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 50) n;
	INSERT INTO orders SELECT n, n % 50 + 1 FROM generate_series(1, 500) n;
	SELECT pg_stat_force_next_flush()`

// setupOrders makes a database, and a role that may read and write its rows and nothing
// else.
func setupOrders(t *testing.T) (dsn, role string, direct *pgx.Conn) {
	t.Helper()
	pg := servers.SharedPostgresOfRoles(t)
	database := pg.CreateDatabase(t)
	dsn = pg.DSN(database)
	direct, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = direct.Close(context.Background()) })
	role = "app_" + database
	_, err = direct.Exec(t.Context(), orderSchema+fmt.Sprintf("; CREATE ROLE %s LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %[1]s", role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = direct.Exec(context.Background(), fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %[1]s", role))
	})
	return dsn, role, direct
}

func asRole(dsn, role string) string { return strings.Replace(dsn, "user=postgres", "user="+role, 1) }

// observing is a running freshet observe.
type observing struct {
	command        *exec.Cmd
	stdout, stderr logBuffer
	dir            string
}

func startObserving(t *testing.T, dsn string, arguments ...string) *observing {
	t.Helper()
	o := &observing{dir: shortDir(t)}
	o.command = exec.Command(program.Path(t), append([]string{"observe", "--upstream", dsn, "--socket-dir", o.dir, "--every", "50ms"}, arguments...)...)
	o.command.Stdout, o.command.Stderr = &o.stdout, &o.stderr
	if err := o.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if o.command.ProcessState == nil {
			_ = o.command.Process.Kill()
			_ = o.command.Wait()
		}
		if t.Failed() {
			t.Logf("standard error of observe:\n%s\nstandard output:\n%s", o.stderr.String(), o.stdout.String())
		}
	})
	eventually(t, func() string {
		if !strings.Contains(o.stderr.String(), "observing on") {
			return "it does not say that it observes"
		}
		return ""
	})
	return o
}

// interrupt ends it as Ctrl-C does, and returns what it printed.
func (o *observing) interrupt(t *testing.T) string {
	t.Helper()
	if err := o.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := o.command.Wait(); err != nil {
		t.Fatalf("observe: %v\n%s", err, o.stderr.String())
	}
	return o.stdout.String()
}

// through is the configuration of a client that connects by a socket.
func through(t *testing.T, dsn, dir string) *pgx.ConnConfig {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c.Host, c.Port = dir, 6432
	return c
}

// traffic is what an application does: pages, lists, transactions, writes, some of it in
// ways that are not cached.
func traffic(t *testing.T, config *pgx.ConnConfig, rounds int) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 7))
	zipf := rand.NewZipf(random, 1.3, 4, 499)
	id := func() int { return int(zipf.Uint64()) + 1 }
	var conns [4]*pgx.Conn
	for i := range conns {
		conns[i] = connect(t, config)
	}
	exec := func(c *pgx.Conn, sql string, arguments ...any) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql, arguments...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	simple := pgx.QueryExecModeSimpleProtocol
	page := func(c *pgx.Conn) { exec(c, "SELECT id, customer_id, amount FROM orders WHERE id = $1", id()) }
	for range rounds {
		c := conns[random.IntN(len(conns))]
		switch kind := random.IntN(100); {
		case kind < 40:
			page(c)
		case kind < 52:
			exec(c, "SELECT id, amount FROM orders WHERE customer_id = $1 ORDER BY id", id()%50+1)
		case kind < 62:
			exec(c, fmt.Sprintf("SELECT name FROM customers WHERE id = %d", id()%50+1), simple)
		case kind < 70:
			exec(c, "BEGIN", simple)
			page(c)
			page(c)
			exec(c, "COMMIT", simple)
		case kind < 76:
			exec(c, "BEGIN", simple)
			exec(c, "SET LOCAL statement_timeout = '5s'", simple)
			page(c)
			exec(c, "COMMIT", simple)
		case kind < 82:
			exec(c, "SELECT count(*) FROM orders WHERE at < now() AND id < $1", id())
		case kind < 88:
			exec(c, "SELECT o.amount, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = $1 AND c.id = $2", id(), 7)
		case kind < 96:
			exec(c, "UPDATE orders SET amount = amount + 1 WHERE id = $1", id())
		default:
			exec(c, "BEGIN", simple)
			page(c)
			exec(c, "UPDATE orders SET amount = amount + 1 WHERE id = $1", id())
			page(c)
			exec(c, "COMMIT", simple)
		}
	}
	for _, c := range conns {
		_ = c.Close(t.Context())
	}
}

// observed is what --json prints.
type observed struct {
	observe.Report
	Install []string `json:"install"`
}

// What observe says comes true: the same traffic, with what it has to paste pasted and the
// cache on, has the hit ratio that it told, within five of a hundred; as a role with no
// rights but the application's, in a database that nothing was installed in.
func TestObserveTellsTheHitRatio(t *testing.T) {
	const rounds = 600
	dsn, role, direct := setupOrders(t)
	app := asRole(dsn, role)
	o := startObserving(t, app, "--json")
	traffic(t, through(t, app, o.dir), rounds)
	var told observed
	if err := json.Unmarshal([]byte(o.interrupt(t)), &told); err != nil {
		t.Fatal(err)
	}
	if told.Unseen+told.Lost > 0 || told.Statements == 0 || len(told.Elsewhere) > 0 {
		t.Fatalf("it has not seen everything as it was: %+v", told.Report)
	}
	var schemas int
	if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet'").Scan(&schemas); err != nil || schemas != 0 {
		t.Fatalf("it has installed something: %d, %v", schemas, err)
	}
	for _, line := range told.Install {
		if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	// However late a busy machine lets it look: what is told knows of no machine.
	s := start(t, testConfig(t, asRole(dsn, "freshet"), "--staleness", "1m"))
	eventually(t, func() string { return notReady(s) })
	before := s.Report()
	traffic(t, through(t, app, filepath.Dir(s.ClientConfig().Host+"/x")), rounds)
	after := s.Report()
	var all uint64
	for name, n := range after.Queries {
		all += n - before.Queries[name]
	}
	hits := after.Queries["hit_l1"] - before.Queries["hit_l1"]
	truth, estimate := 100*float64(hits)/float64(all), 100*float64(told.Hits)/float64(told.Statements)
	t.Logf("told %.1f %% of %d statements, true %.1f %% of %d; passed through: %v", estimate, told.Statements, truth, all, after.Bypasses)
	if estimate-truth > 5 || truth-estimate > 5 || told.Hits != told.HitsMin {
		t.Errorf("it told %.1f %% hits (%d to %d), and it were %.1f %%", estimate, told.HitsMin, told.Hits, truth)
	}
	if clock := told.PassThrough; len(clock) == 0 || !strings.Contains(fmt.Sprint(clock), "stable_function") && !strings.Contains(fmt.Sprint(clock), "clock") || clock[0].Advice == "" {
		t.Errorf("what would pass through: %+v", clock)
	}
	if !strings.Contains(strings.Join(told.Watch, " "), "public.orders(id, customer_id)") {
		t.Errorf("to watch: %v", told.Watch)
	}
}

// What changes elsewhere is known by Postgres' counters, and makes a range of the ratio.
func TestObserveReckonsWithOthersWrites(t *testing.T) {
	dsn, role, direct := setupOrders(t)
	app := asRole(dsn, role)
	o := startObserving(t, app)
	conn := connect(t, through(t, app, o.dir))
	reads := func() {
		t.Helper()
		for n := range 20 {
			if _, err := conn.Exec(t.Context(), "SELECT amount FROM orders WHERE id = $1", n%4+1); err != nil {
				t.Fatal(err)
			}
		}
	}
	reads()
	if _, err := direct.Exec(t.Context(), "UPDATE orders SET amount = 0 WHERE id < 400; SELECT pg_stat_force_next_flush()"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if !strings.Contains(o.stderr.String(), "others change tables, most of all public.orders") {
			return "it does not say that others change tables"
		}
		return ""
	})
	reads()
	_ = conn.Close(t.Context())
	report := o.interrupt(t)
	for _, says := range []string{"public.orders: 399 rows", "% to ", "of the reads would have been hits", "SELECT amount FROM orders WHERE id = $1", "install --upstream", "--watch 'public.orders(id)'"} {
		if !strings.Contains(report, says) {
			t.Errorf("it does not say %q:\n%s", says, report)
		}
	}
}

// What is pasted names who may install, and no password.
func TestDSNAsAnotherRole(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"": "user=boss",
		"postgres://app:secret@db/shop?sslmode=require":     "postgres://boss@db/shop?sslmode=require",
		"host=/run user=app password='a \\' b' dbname=shop": "host=/run dbname=shop user=boss",
		"host=/run  password = secret dbname=user":          "host=/run  dbname=user user=boss",
	} {
		if got := dsnAs(dsn, "boss"); got != want {
			t.Errorf("%q becomes %q, want %q", dsn, got, want)
		}
	}
	if got := dsnAs("dbname=x", "it's me"); got != `dbname=x user='it\'s me'` {
		t.Errorf("a role that has to be quoted: %q", got)
	}
}
