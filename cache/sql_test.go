package cache_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/freshet/freshet/cache"
)

// sqlQuerier is what handles, connections and transactions have in common.
type sqlQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// sqlTold is everything that database/sql tells of a query.
func sqlTold(ctx context.Context, from sqlQuerier, query string, args ...any) string {
	rows, err := from.QueryContext(ctx, query, args...)
	return sqlRowsTold(rows, err)
}

func sqlRowsTold(rows *sql.Rows, err error) string {
	if err != nil {
		return "query: " + errorOf(err) + "\n"
	}
	defer rows.Close()
	var b strings.Builder
	columns, err := rows.ColumnTypes()
	fmt.Fprintln(&b, errorOf(err))
	for _, c := range columns {
		length, sized := c.Length()
		precision, scale, decimal := c.DecimalSize()
		fmt.Fprintln(&b, c.Name(), c.DatabaseTypeName(), c.ScanType(), length, sized, precision, scale, decimal)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		err := rows.Scan(values...)
		for _, v := range values {
			fmt.Fprintf(&b, "%#v ", *v.(*any)) //nolint:forcetypeassert // made so
		}
		fmt.Fprintln(&b, errorOf(err))
	}
	fmt.Fprintln(&b, errorOf(rows.Err()), rows.NextResultSet())
	return b.String()
}

// sqlPrograms use database/sql, each in its way.
var sqlPrograms = map[string]func(ctx context.Context, db *sql.DB) string{
	"every kind": func(ctx context.Context, db *sql.DB) string {
		return sqlTold(ctx, db, "SELECT * FROM public.kinds ORDER BY id") +
			sqlTold(ctx, db, "SELECT id::int2, id::int8, id::float4, id::oid, d::numeric(12,3), t::date, t::timestamp, t::time, m::text::varchar(5), 'x'::char(3), j::json, id > 1, B'101'::varbit(5), o::xml IS NULL FROM public.kinds WHERE id < 3 ORDER BY id")
	},
	"arguments": func(ctx context.Context, db *sql.DB) string {
		return sqlTold(ctx, db, "SELECT id FROM public.kinds WHERE id = ANY($1) ORDER BY id", []int{1, 3}) +
			sqlTold(ctx, db, "SELECT id FROM public.kinds WHERE o = $1", sql.NullString{String: "one", Valid: true}) +
			sqlTold(ctx, db, "SELECT id FROM public.kinds WHERE o = $1", nil) +
			sqlTold(ctx, db, "SELECT id FROM public.kinds WHERE id = $1", "one") + sqlTold(ctx, db, "SELECT id FROM public.kinds WHERE id = $1", 1, 2)
	},
	"prepared": func(ctx context.Context, db *sql.DB) string {
		var b strings.Builder
		for _, query := range []string{"SELECT m FROM public.kinds WHERE id = $1", "UPDATE public.kinds SET o = o WHERE id = $1 RETURNING o", "SELEC", "SELECT nothing FROM public.kinds"} {
			stmt, err := db.PrepareContext(ctx, query)
			fmt.Fprintln(&b, errorOf(err))
			if err != nil {
				continue
			}
			for range 2 {
				b.WriteString(sqlRowsTold(stmt.QueryContext(ctx, 1)) + sqlRowsTold(stmt.QueryContext(ctx)))
			}
			fmt.Fprintln(&b, errorOf(stmt.Close()))
		}
		return b.String()
	},
	"errors": func(ctx context.Context, db *sql.DB) string {
		_, err := db.ExecContext(ctx, "INSERT INTO public.kinds VALUES (1)")
		return errorOf(err) + sqlTold(ctx, db, "SELECT 10 / (1 - id) FROM public.kinds ORDER BY id") +
			sqlTold(ctx, db, "SELECT 10 / (3 - id) FROM public.kinds ORDER BY id") + sqlTold(ctx, db, "SELEC") + sqlTold(ctx, db, "") +
			errorOf(db.QueryRowContext(ctx, "SELECT id FROM public.kinds WHERE id = -1").Scan(new(int)))
	},
	"transactions": func(ctx context.Context, db *sql.DB) string {
		var b strings.Builder
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			for _, o := range []*sql.TxOptions{nil, {Isolation: sql.LevelSerializable}, {ReadOnly: true}} {
				tx, err := db.BeginTx(ctx, o)
				if err != nil {
					return err.Error()
				}
				_, err = tx.ExecContext(ctx, "UPDATE public.kinds SET o = 'in' WHERE id = 1")
				b.WriteString(errorOf(err) + sqlTold(ctx, tx, "SELECT o FROM public.kinds WHERE id = 1") + errorOf(end(tx)))
				b.WriteString(sqlTold(ctx, db, "SELECT o FROM public.kinds WHERE id = 1"))
				_, err = db.ExecContext(ctx, "UPDATE public.kinds SET o = 'one' WHERE id = 1")
				b.WriteString(errorOf(err) + sqlTold(ctx, db, "SELECT o FROM public.kinds WHERE id = 1"))
			}
		}
		return b.String()
	},
	"a connection with a setting of its own": func(ctx context.Context, db *sql.DB) string {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		const query = "SELECT b::text FROM public.kinds WHERE id = 1"
		text := sqlTold(ctx, conn, query)
		_, err = conn.ExecContext(ctx, "SET bytea_output = 'escape'")
		text += errorOf(err) + sqlTold(ctx, conn, query) + sqlTold(ctx, conn, query)
		_, err = conn.ExecContext(ctx, "RESET bytea_output")
		return text + errorOf(err) + sqlTold(ctx, conn, query)
	},
	"the driver's connection": func(ctx context.Context, db *sql.DB) string {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		var n int
		err = conn.Raw(func(raw any) error {
			return raw.(interface{ Conn() *pgx.Conn }).Conn().QueryRow(ctx, "SELECT 7").Scan(&n) //nolint:forcetypeassert // pgx's and ours have it
		})
		return fmt.Sprint(n, err, conn.PingContext(ctx))
	},
}

// Each program tells the same of pgx's driver on the pool and of the DB's, cold and warm,
// and gives back what it took.
func TestSQLIsThatOfStdlib(t *testing.T) {
	t.Parallel()
	o := openDB(t, kindsSchema, func(c *pgxpool.Config, _ *cache.Options) { c.MaxConns = 1 })
	handle, plain := cache.OpenSQL(o.DB), stdlib.OpenDBFromPool(o.pool)
	defer handle.Close()
	defer plain.Close()
	hits := o.hits(t, func() {
		for name, program := range sqlPrograms {
			want := program(t.Context(), plain)
			for i := range 3 {
				if got := program(t.Context(), handle); got != want {
					t.Errorf("%s, time %d: stdlib says\n%s\nthe DB says\n%s", name, i+1, want, got)
				}
			}
		}
	})
	if hits < 20 {
		t.Errorf("%d hits", hits)
	}
	o.gaveBack(t)
}

// What is written through the handle, in each way, everybody of the process reads.
func TestSQLWritesAreShown(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	handle := cache.OpenSQL(o.DB)
	defer handle.Close()
	const update = "UPDATE public.authors SET name = $1 WHERE id = 1"
	writes := map[string]func(name string) error{
		"exec": func(name string) error {
			_, err := handle.ExecContext(t.Context(), update, name)
			return err
		},
		"query": func(name string) error {
			return handle.QueryRowContext(t.Context(), update+" RETURNING id", name).Scan(new(int))
		},
		"transaction": func(name string) error {
			tx, err := handle.BeginTx(t.Context(), nil)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(t.Context(), update, name); err != nil {
				return err
			}
			return tx.Commit()
		},
	}
	for how, write := range writes {
		for i := range 20 {
			name := fmt.Sprint(how, i)
			o.name(t, t.Context(), 1)
			if err := write(name); err != nil {
				t.Fatal(err)
			}
			var got string
			if err := handle.QueryRowContext(t.Context(), "SELECT name FROM public.authors WHERE id = $1", 1).Scan(&got); err != nil || got != name {
				t.Fatalf("%s: read %q, %v, want %q", how, got, err, name)
			}
			if got := o.name(t, t.Context(), 1); got != name {
				t.Fatalf("%s: the DB read %q, want %q", how, got, name)
			}
		}
	}
}
