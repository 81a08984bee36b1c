package cache_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/servers"
)

// The statements here are those of the byte oracle of the sidecar, as far as they read.
// Each is read twice from the pool, and twice through the DB: everything that pgx tells of
// the rows must be the same.

// corpus is where they stand.
const corpus = "../sidecar/wire/testdata/corpus"

// corpusHitsMin is how many of them are hits at least.
const corpusHitsMin = 400

type corpusRead struct {
	sql  string
	args []any
}

// corpusReads are the reads of one script, each with its parameters.
func corpusReads(script string) (reads []corpusRead) {
	var statement []string
	var last string
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if bound, ok := strings.CutPrefix(line, `\bind `); ok && len(statement) == 0 {
			reads = append(reads, corpusRead{last, boundValues(bound)})
			continue
		}
		if len(statement) == 0 && (line == "" || strings.HasPrefix(line, "--") || strings.HasPrefix(line, `\`)) {
			continue
		}
		statement = append(statement, line)
		if strings.HasSuffix(line, ";") {
			last = strings.TrimSuffix(strings.Join(statement, "\n"), ";")
			reads = append(reads, corpusRead{sql: last})
			statement = nil
		}
	}
	return slices.DeleteFunc(reads, func(r corpusRead) bool {
		return !analysis.BeginsLikeRead(r.sql) || strings.Contains(r.sql, `\;`) || strings.Contains(r.sql, "pg_sleep")
	})
}

func boundValues(line string) (values []any) {
	for value := range strings.SplitSeq(line, "|") {
		if value = strings.TrimSpace(value); value == `\N` {
			values = append(values, nil)
		} else {
			values = append(values, value)
		}
	}
	return values
}

// told is everything that pgx tells of a query.
func told(ctx context.Context, from querier, sql string, args ...any) string {
	var b strings.Builder
	rows, err := from.Query(ctx, sql, args...)
	fmt.Fprintln(&b, "query:", errorOf(err))
	for rows.Next() {
		fmt.Fprintf(&b, "raw: %q\n", rows.RawValues())
		values, err := rows.Values()
		fmt.Fprintf(&b, "values: %#v %s\n", values, errorOf(err))
	}
	fmt.Fprintln(&b, "ended:", errorOf(rows.Err()), rows.CommandTag(), rows.Next())
	rows.Close()
	for _, f := range rows.FieldDescriptions() {
		fmt.Fprintf(&b, "field: %+v\n", f)
	}
	return b.String()
}

func errorOf(err error) string {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Sprintf("%+v", *refusal)
	}
	return fmt.Sprint(err)
}

// TestStatementsOfTheOracle: the DB tells of each statement what the pool does, and its
// handle of database/sql what pgx's driver does.
func TestStatementsOfTheOracle(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile(filepath.Join(corpus, "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	o := openOn(t, servers.SharedPostgresOfRoles(t), string(schema), nil)
	handle, plain := cache.OpenSQL(o.DB), stdlib.OpenDBFromPool(o.pool)
	t.Cleanup(func() { _, _ = handle.Close(), plain.Close() })
	for _, way := range []struct {
		name         string
		ours, theirs func(r corpusRead) string
	}{
		{"pgx", func(r corpusRead) string { return told(t.Context(), o, r.sql, r.args...) },
			func(r corpusRead) string { return told(t.Context(), o.pool, r.sql, r.args...) }},
		{"database/sql", func(r corpusRead) string { return sqlTold(t.Context(), handle, r.sql, r.args...) },
			func(r corpusRead) string { return sqlTold(t.Context(), plain, r.sql, r.args...) }},
	} {
		t.Run(way.name, func(t *testing.T) { o.judgeCorpus(t, way.ours, way.theirs) })
	}
}

// judgeCorpus compares what is told of each statement. What says another thing each time is
// nobody's to repeat.
func (o *opened) judgeCorpus(t *testing.T, ours, theirs func(corpusRead) string) {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(corpus, "[0-9]*.sql"))
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	settled, before := 0, o.Stats().Hits
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range corpusReads(string(text)) {
			want := o.forgetting(r, theirs)
			if o.forgetting(r, theirs) != want {
				continue
			}
			settled++
			for _, which := range []string{"first", "second"} {
				if got := o.forgetting(r, ours); got != want {
					t.Errorf("%s: the %s time\n%s\n%v\nthe pool says\n%s\nthe DB says\n%s", filepath.Base(path), which, r.sql, r.args, want, got)
				}
			}
		}
	}
	hits := o.Stats().Hits - before // nobody else reads through o
	t.Logf("%d statements, %d hits", settled, hits)
	if hits < corpusHitsMin {
		t.Errorf("%d hits, want %d at least", hits, corpusHitsMin)
	}
}

// leaving are statements that leave something behind.
var leaving = regexp.MustCompile(`(?i)set_config|\binto\b|temp`)

// forgetting is what is told of a statement, without what it leaves behind: settings, or a
// temporary table, on some connection of the pool.
func (o *opened) forgetting(r corpusRead, tell func(corpusRead) string) string {
	if leaving.MatchString(r.sql) {
		defer o.pool.Reset()
	}
	return tell(r)
}

const kindsSchema = `
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE TYPE public.point3 AS (x int, y int, label text);
CREATE DOMAIN public.price AS numeric(10, 2);
CREATE TABLE public.kinds (id int PRIMARY KEY, m public.mood, p public.point3, d public.price, a int[], j jsonb, b bytea, t timestamptz, i interval, r int4range, u uuid, f float8, o text);
INSERT INTO public.kinds VALUES
	(1, 'ok', '(1,2,here)', 9.5, '{1,NULL,3}', '{"a": [1, 2]}', '\x00ff', '2024-03-01 12:00:00.123456+00', '1 day 2 hours', '[1,5)', '00000000-0000-0000-0000-000000000007', 'NaN', 'one'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(3, 'sad', '(,,)', -1, '{}', 'null', '', 'infinity', '-1 mon', 'empty', gen_random_uuid(), '-Infinity', '');
CREATE TABLE public.wide AS SELECT i AS id, repeat(chr(97 + i % 26), 1000) AS body FROM generate_series(1, 3000) i;
ALTER TABLE public.wide ADD PRIMARY KEY (id);`

type point3 struct {
	X, Y  *int32
	Label *string
}

type kind struct {
	ID int
	M  *string
	P  *point3
	A  []*int32
}

// scanned is a row that scans itself.
type scanned struct{ text string }

func (s *scanned) ScanRow(rows pgx.Rows) error {
	values, err := rows.Values()
	s.text = fmt.Sprintf("%d of %d", len(values), len(rows.FieldDescriptions()))
	return err
}

// waysOfReading are programs that read, each in one of the ways that pgx has.
var waysOfReading = map[string]func(ctx context.Context, from querier) string{
	"every kind": func(ctx context.Context, from querier) string {
		return told(ctx, from, "SELECT * FROM public.kinds ORDER BY id")
	},
	"collected into structs": func(ctx context.Context, from querier) string {
		rows, _ := from.Query(ctx, "SELECT id, m, p, a FROM public.kinds WHERE id < $1 ORDER BY id", 3)
		all, err := pgx.CollectRows(rows, pgx.RowToStructByName[kind])
		return fmt.Sprint(len(all), all[0].ID, *all[0].M, *all[0].P.X, *all[0].P.Label, *all[0].A[2], all[0].A[1], all[1].P, errorOf(err))
	},
	"each row": func(ctx context.Context, from querier) string {
		rows, _ := from.Query(ctx, "SELECT id, d, t, i, r, u, f FROM public.kinds ORDER BY id")
		var out strings.Builder
		var id int
		var d pgtype.Numeric
		var at pgtype.Timestamptz
		var i pgtype.Interval
		var r pgtype.Range[pgtype.Int4]
		var u pgtype.UUID
		var f *float64
		tag, err := pgx.ForEachRow(rows, []any{&id, &d, &at, &i, &r, &u, &f}, func() error {
			fmt.Fprintf(&out, "%v %+v %+v %+v %+v %+v %v\n", id, d, at, i, r, u, f != nil)
			return nil
		})
		return out.String() + tag.String() + errorOf(err)
	},
	"a row that scans itself": func(ctx context.Context, from querier) string {
		var s scanned
		err := from.QueryRow(ctx, "SELECT id, m FROM public.kinds WHERE id = 1").Scan(&s)
		return s.text + errorOf(err)
	},
	"no row": func(ctx context.Context, from querier) string {
		return errorOf(from.QueryRow(ctx, "SELECT id FROM public.kinds WHERE id = -1").Scan(new(int)))
	},
	"several rows for one": func(ctx context.Context, from querier) string {
		var id int
		return errorOf(from.QueryRow(ctx, "SELECT id FROM public.kinds ORDER BY id").Scan(&id)) + fmt.Sprint(id)
	},
	"named arguments": func(ctx context.Context, from querier) string {
		return told(ctx, from, "SELECT m FROM public.kinds WHERE id = @id", pgx.NamedArgs{"id": 1}) +
			told(ctx, from, "SELECT m FROM public.kinds WHERE id = @id", pgx.StrictNamedArgs{"di": 1})
	},
	"text format": func(ctx context.Context, from querier) string {
		return told(ctx, from, "SELECT id, t FROM public.kinds WHERE id = $1", pgx.QueryResultFormats{pgx.TextFormatCode}, 1) +
			told(ctx, from, "SELECT id, t FROM public.kinds WHERE id = $1", pgx.QueryExecModeSimpleProtocol, 1)
	},
	"wrong arguments": func(ctx context.Context, from querier) string {
		return told(ctx, from, "SELECT m FROM public.kinds WHERE id = $1") + told(ctx, from, "SELECT m FROM public.kinds WHERE id = $1", "one") +
			told(ctx, from, "SELECT m FROM public.kinds WHERE id = $1", 1, 2) + told(ctx, from, "SELECT m FROM public.kinds WHERE id = $1", struct{}{})
	},
	"wrong destinations": func(ctx context.Context, from querier) string {
		const sql = "SELECT id, m FROM public.kinds WHERE id = 1"
		var n int
		return errorOf(from.QueryRow(ctx, sql).Scan(&n)) + errorOf(from.QueryRow(ctx, sql).Scan(&n, &n)) + errorOf(from.QueryRow(ctx, sql).Scan(&n, new(pgtype.DriverBytes))) +
			errorOf(from.QueryRow(ctx, sql).Scan(nil, nil)) + errorOf(from.QueryRow(ctx, "SELECT m FROM public.kinds WHERE id = 2").Scan(new(string)))
	},
	"an error behind rows": func(ctx context.Context, from querier) string {
		return told(ctx, from, "SELECT 10 / (3 - id) FROM public.kinds ORDER BY id")
	},
	"closed early": func(ctx context.Context, from querier) string {
		rows, err := from.Query(ctx, "SELECT id FROM public.kinds ORDER BY id")
		more := rows.Next()
		tag := rows.CommandTag()
		rows.Close()
		_, valuesErr := rows.Values()
		return fmt.Sprint(err, more, tag, rows.CommandTag(), rows.Next(), errorOf(rows.Err()), errorOf(valuesErr), errorOf(rows.Scan(new(int))))
	},
	"an answer too large to keep": func(ctx context.Context, from querier) string {
		rows, _ := from.Query(ctx, "SELECT id, body FROM public.wide ORDER BY id")
		n, sum := 0, 0
		for rows.Next() {
			var id int
			var body string
			if err := rows.Scan(&id, &body); err != nil {
				return err.Error()
			}
			n, sum = n+1, sum+id*len(body)
		}
		return fmt.Sprint(n, sum, rows.CommandTag(), errorOf(rows.Err()))
	},
	"a large answer closed early": func(ctx context.Context, from querier) string {
		rows, _ := from.Query(ctx, "SELECT id, body FROM public.wide ORDER BY id")
		more := rows.Next()
		rows.Close()
		return fmt.Sprint(more, rows.CommandTag(), errorOf(rows.Err()))
	},
	"a context that has ended": func(ctx context.Context, from querier) string {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err := from.Query(ctx, "SELECT id FROM public.kinds WHERE id = 1")
		return errorOf(err) + errorOf(from.QueryRow(ctx, "SELECT id FROM public.kinds WHERE id = 1").Scan(new(int)))
	},
	"no columns": func(ctx context.Context, from querier) string { return told(ctx, from, "SELECT FROM public.kinds") },
	"nothing": func(ctx context.Context, from querier) string {
		return told(ctx, from, "") + told(ctx, from, "-- nothing")
	},
	"a write": func(ctx context.Context, from querier) string {
		return told(ctx, from, "UPDATE public.kinds SET o = o WHERE id = 1 RETURNING id, o") + told(ctx, from, "UPDATE public.kinds SET o = o WHERE id = 1")
	},
	"a refused write": func(ctx context.Context, from querier) string {
		return told(ctx, from, "INSERT INTO public.kinds VALUES (1)")
	},
}

// Each way tells the same of the pool and of the DB, the first time and when it hits.
func TestWaysOfReading(t *testing.T) {
	t.Parallel()
	o := openDB(t, kindsSchema, func(c *pgxpool.Config, _ *cache.Options) {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			types, err := conn.LoadTypes(ctx, []string{"public.mood", "public.point3"})
			if err != nil {
				return err
			}
			conn.TypeMap().RegisterTypes(types)
			return nil
		}
	})
	wants := map[string]string{}
	for name, way := range waysOfReading {
		wants[name] = way(t.Context(), o.pool)
	}
	round := func() {
		if _, err := o.Exec(t.Context(), "UPDATE public.kinds SET o = o"); err != nil { // nothing is kept yet
			t.Fatal(err)
		}
		for name, way := range waysOfReading {
			for i := range 3 {
				if got := way(t.Context(), o); got != wants[name] {
					t.Errorf("%s, time %d: the pool says\n%s\nthe DB says\n%s", name, i+1, wants[name], got)
				}
			}
		}
	}
	// Where a look gets no turn for a second, Postgres answers for another one.
	servers.Eventually(t, "a round of at least twenty hits", func() bool { return o.hits(t, round) >= 20 })
	o.gaveBack(t)
}
