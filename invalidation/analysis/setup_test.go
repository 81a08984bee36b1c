package analysis

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

//go:embed testdata/schema.sql
var schemaSQL string

// columnsWatched lists the watched columns of the test schema by table; a table
// that is missing is not watched.
var columnsWatched = map[string][]string{
	"public.users":    {"id", "email", "name", "active", "sm", "u", "num", "ch", "ci", "mood"},
	"public.orders":   {"id", "user_id", "status"},
	"public.items":    {"id", "order_id"},
	"public.docs":     {"id"},
	"public.events":   {"tenant_id"},
	"public.base":     {"id"},
	"public.settings": {},
	"public.regs":     {"id"},
	"alt.users":       {"id"},
	"public.fa":       {"id", "x", "y", "s"},
	"public.fb":       {"id", "x", "y", "s"},
	"public.fc":       {"s", "id", "x"},
}

// fixedWatch is a Watch made once, from the catalog.
type fixedWatch struct {
	tables map[uint32]WatchedTable
	roots  map[string]uint32 // by schema.table
	// unreported is set where there are no event triggers.
	unreported bool
}

func (w *fixedWatch) Reported() bool { return !w.unreported }

func (w *fixedWatch) Table(oid uint32) (WatchedTable, bool) {
	t, ok := w.tables[oid]
	return t, ok
}

// readWatch watches tables, with partitions and inheritance children; the columns
// are by table.
func readWatch(t testing.TB, conn *pgx.Conn, watched map[string][]string) *fixedWatch {
	t.Helper()
	w := &fixedWatch{tables: map[uint32]WatchedTable{}, roots: map[string]uint32{}}
	rows, err := conn.Query(t.Context(), `
		WITH RECURSIVE up AS (
			SELECT oid, oid AS root FROM pg_class WHERE relkind IN ('r', 'p')
			UNION ALL SELECT up.oid, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.root)
		SELECT up.oid, up.root, n.nspname || '.' || c.relname
		FROM up JOIN pg_class c ON c.oid = up.root JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = up.root)`)
	if err != nil {
		t.Fatal(err)
	}
	var oid, root uint32
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&oid, &root, &name}, func() error {
		if columns, ok := watched[name]; ok {
			w.tables[oid] = WatchedTable{Root: root, Name: name, Columns: columns}
			w.roots[name] = root
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// bench is a database with the test schema and an Analyzer on it.
type bench struct {
	dsn      string
	conn     *pgx.Conn
	watch    *fixedWatch
	analyzer *Analyzer
}

// setup makes a bench whose database is a copy of one that all share.
func setup(t testing.TB) *bench {
	t.Helper()
	pg := servers.SharedPostgres(t)
	return newBench(t, pg.DSN(pg.FilledDatabase(t, schemaSQL, func(dsn string) error {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(t.Context(), schemaSQL)
		return err
	})))
}

// setupOn is setup on a certain server, where nothing is copied.
func setupOn(t testing.TB, pg *servers.Postgres) *bench {
	t.Helper()
	return newBench(t, pg.DSN(pg.CreateDatabase(t)), schemaSQL)
}

// newBench runs statements in a database before it looks at the tables.
func newBench(t testing.TB, dsn string, statements ...string) *bench {
	t.Helper()
	b := &bench{dsn: dsn}
	b.conn = b.connect(t)
	for _, sql := range statements {
		b.exec(t, sql)
	}
	b.watch = readWatch(t, b.conn, columnsWatched)
	b.analyzer = b.newAnalyzer(t)
	return b
}

func (b *bench) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (b *bench) newAnalyzer(t testing.TB, functions ...Function) *Analyzer {
	t.Helper()
	config, err := pgx.ParseConfig(b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{ConnConfig: config, Watch: func() Watch { return b.watch }, Functions: functions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func (b *bench) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := b.conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// request is a statement as an ordinary client sends it.
func request(sql string, types ...uint32) Request {
	return Request{SQL: sql, ParamTypes: types, SearchPath: []string{"pg_catalog", "public"}}
}

func (b *bench) analyze(t testing.TB, r Request) *Verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), servers.EventuallyMax)
	defer cancel()
	v, err := b.analyzer.Analyze(ctx, r)
	if err != nil {
		t.Fatalf("analyse %s: %v", r.SQL, err)
	}
	return v
}

// show renders a verdict: its tag templates with table names, sorted, or its
// reason.
func (b *bench) show(v *Verdict) string {
	if !v.Cacheable {
		return "no: " + string(v.Reason)
	}
	var tags []string
	for _, t := range v.Tags {
		tags = append(tags, b.named(t.String()))
	}
	slices.Sort(tags)
	return strings.Join(tags, " ")
}

// named replaces the root OID that a tag begins with by the table's name.
func (b *bench) named(tag string) string {
	oid, rest, _ := strings.Cut(tag, "/")
	for name, root := range b.watch.roots {
		if fmt.Sprint(root) == oid {
			oid = strings.TrimPrefix(strings.TrimPrefix(name, "public."), randomSchema+".")
		}
	}
	if rest == "" {
		return oid
	}
	return oid + "/" + rest
}

func (b *bench) namedAll(tags []string) (out []string) {
	for _, t := range tags {
		out = append(out, b.named(t))
	}
	return out
}
