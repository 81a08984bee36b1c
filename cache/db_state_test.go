package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
)

// A connection of the pool that somebody left in another state is executed on, and its
// answers are kept for nobody.
func TestConnectionLeftInAnotherState(t *testing.T) {
	t.Parallel()
	const schema = shopSchema + `
CREATE SCHEMA other;
CREATE TABLE other.authors (id bigint PRIMARY KEY, name text NOT NULL);
INSERT INTO other.authors SELECT i, 'other ' || i FROM generate_series(1, 200) i;
GRANT USAGE ON SCHEMA public TO pg_monitor; GRANT SELECT ON public.authors TO pg_monitor;`
	for name, leave := range map[string]string{
		"search path":      "SET search_path = other",
		"role":             "SET ROLE pg_monitor",
		"a setting":        "SET bytea_output = 'escape'",
		"a condition":      "SET gin_fuzzy_search_limit = 10",
		"temporary tables": "CREATE TEMP TABLE authors AS SELECT id, 'temporary ' || id AS name FROM public.authors",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openBare(t, schema, func(c *pgxpool.Config, o *cache.Options) {
				c.MaxConns = 1
				o.Watch = []string{"public.*", "other.*"}
			})
			read := func(id int) (name string) {
				t.Helper()
				if err := o.QueryRow(t.Context(), "SELECT name FROM authors WHERE id = $1", id).Scan(&name); err != nil {
					t.Fatal(err)
				}
				return name
			}
			read(1)
			if _, err := o.pool.Exec(t.Context(), leave); err != nil {
				t.Fatal(err)
			}
			stored := o.Stats().Stored
			read(2)
			read(2)
			if n := o.Stats().Stored - stored; n != 0 {
				t.Errorf("%d answers of such a connection were kept", n)
			}
			if got := read(1); got != "author 1" {
				t.Errorf("read %q: what was kept before is the pool's own", got)
			}
			o.pool.Reset()
			if got := read(2); got != "author 2" {
				t.Errorf("read %q on a new connection", got)
			}
			if n := o.hits(t, func() { read(2) }); n != 1 {
				t.Errorf("%d hits, want 1", n)
			}
		})
	}
}

type tenant struct{}

// What a hook of the pool sets connections up by is part of every key.
func TestScopesAreApart(t *testing.T) {
	t.Parallel()
	tenantOf := func(ctx context.Context) string {
		name, _ := ctx.Value(tenant{}).(string)
		return name
	}
	o := openBare(t, `
CREATE SCHEMA one; CREATE TABLE one.things (id int PRIMARY KEY, name text); INSERT INTO one.things VALUES (1, 'of one');
CREATE SCHEMA two; CREATE TABLE two.things (id int PRIMARY KEY, name text); INSERT INTO two.things VALUES (1, 'of two');`,
		func(c *pgxpool.Config, o *cache.Options) {
			c.MaxConns = 2
			o.Watch = []string{"one.*", "two.*"}
			o.Scope = tenantOf
			c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
				name := tenantOf(ctx)
				if name == "" {
					name = "public"
				}
				_, err := conn.Exec(ctx, "SET search_path = "+name)
				return true, err
			}
		})
	read := func(of string) (name string) {
		t.Helper()
		ctx := context.WithValue(t.Context(), tenant{}, of)
		if err := o.QueryRow(ctx, "SELECT name FROM things WHERE id = 1").Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	n := o.hits(t, func() {
		for range 5 {
			for _, of := range []string{"one", "two"} {
				if got := read(of); got != "of "+of {
					t.Errorf("tenant %s read %q", of, got)
				}
			}
		}
	})
	if n != 8 {
		t.Errorf("%d hits, want 8", n)
	}
}

// Without a session the process is one: what is written through the DB, every read shows.
func TestWriteIsShownToTheProcess(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	writes := map[string]func(ctx context.Context, name string) error{
		"Exec": func(ctx context.Context, name string) error {
			_, err := o.Exec(ctx, "UPDATE public.authors SET name = $1 WHERE id = 1", name)
			return err
		},
		"QueryRow": func(ctx context.Context, name string) error {
			return o.QueryRow(ctx, "UPDATE public.authors SET name = $1 WHERE id = 1 RETURNING id", name).Scan(new(int))
		},
		"Query": func(ctx context.Context, name string) error {
			rows, _ := o.Query(ctx, "UPDATE public.authors SET name = $1 WHERE id = 1 RETURNING id", name)
			_, err := pgx.CollectRows(rows, pgx.RowTo[int])
			return err
		},
		"transaction": func(ctx context.Context, name string) error {
			return pgx.BeginFunc(ctx, o, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE public.authors SET name = $1 WHERE id = 1", name)
				return err
			})
		},
		"batch": func(ctx context.Context, name string) error {
			b := &pgx.Batch{}
			b.Queue("UPDATE public.authors SET name = $1 WHERE id = 1", name)
			return o.SendBatch(ctx, b).Close()
		},
		"pool, and Wrote": func(ctx context.Context, name string) error {
			_, err := o.pool.Exec(ctx, "UPDATE public.authors SET name = $1 WHERE id = 1", name)
			cache.Wrote(ctx, o.DB)
			return err
		},
	}
	i := 0
	for how, write := range writes {
		for range 20 {
			i++
			name := "name " + string(rune('a'+i%26)) + how
			o.name(t, t.Context(), 1)
			if err := write(cache.WithSession(t.Context()), name); err != nil {
				t.Fatal(err)
			}
			for who, ctx := range map[string]context.Context{"the process": t.Context(), "a session": cache.WithSession(t.Context())} {
				if got := o.name(t, ctx, 1); got != name {
					t.Fatalf("%s: %s read %q, want %q", how, who, got, name)
				}
			}
		}
	}
}

// Readers of one shape at once share nothing that changes.
func TestReadersAtOnce(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	var readers sync.WaitGroup
	for r := range 16 {
		readers.Go(func() {
			for i := range 100 {
				id := int64((r*7+i)%50 + 1)
				var name string
				var bio *string
				if err := o.QueryRow(context.Background(), "SELECT name, bio FROM public.authors WHERE id = $1", id).Scan(&name, &bio); err != nil {
					t.Error(err)
					return
				}
				if want := fmt.Sprint("author ", id); name != want {
					t.Errorf("author %d has the name %q, want %q", id, name, want)
				}
				if want := fmt.Sprint("bio ", id); (bio == nil) != (id%2 == 1) || bio != nil && *bio != want {
					t.Errorf("author %d has another bio than %q, if any", id, want)
				}
			}
		})
	}
	readers.Wait()
}

// Somebody takes the prepared statements of a connection away, ours among them: reads
// go on, and are kept again.
func TestPreparedProbeIsTakenAway(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, func(c *pgxpool.Config, _ *cache.Options) { c.MaxConns = 1 })
	ctx := t.Context()
	for id := int64(1); id <= 3; id++ { // asked, prepared, used
		o.name(t, ctx, id)
	}
	for _, taken := range []string{"DEALLOCATE ALL", "DISCARD ALL"} {
		err := o.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
			return errors.Join(conn.Conn().DeallocateAll(ctx), func() error { _, err := conn.Exec(ctx, taken); return err }())
		})
		if err != nil {
			t.Fatal(err)
		}
		for id := int64(10); id < 13; id++ {
			if got, want := o.name(t, ctx, id), fmt.Sprint("author ", id); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
		}
		if n := o.hits(t, func() { o.name(t, ctx, 12) }); n != 1 {
			t.Errorf("%d hits behind %s, want 1", n, taken)
		}
		if _, err := o.Exec(ctx, "UPDATE public.authors SET bio = bio"); err != nil {
			t.Fatal(err)
		}
	}
}

// The interleaving that db_prepared.go tells of: a statement is prepared on a connection in
// another state, which is then set right.
func TestPreparedInAnotherState(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, func(c *pgxpool.Config, _ *cache.Options) { c.MaxConns = 1 })
	const sql = `SELECT 'one\\two', name FROM public.authors WHERE id = $1`
	read := func(id int) (text string) {
		t.Helper()
		var name string
		if err := o.QueryRow(t.Context(), sql, id).Scan(&text, &name); err != nil {
			t.Fatal(err)
		}
		return text
	}
	want := read(1) // the next load prepares it
	left := func(how string) {
		t.Helper()
		if _, err := o.pool.Exec(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	left("SET standard_conforming_strings = off")
	if got := read(2); got == want {
		t.Fatalf("read %q: the setting makes no difference", got)
	}
	left("RESET standard_conforming_strings")
	for range 2 {
		if got := read(3); got != want {
			t.Errorf("read %q by a statement of another state, want %q", got, want)
		}
	}
}

// A statement that was prepared is used until its table is another, and then parsed anew.
func TestPreparedStatementOfAChangedTable(t *testing.T) {
	t.Parallel()
	const sql = "SELECT * FROM public.authors WHERE id = $1"
	for _, change := range []string{"ALTER TABLE public.authors ADD born date", "ALTER TABLE public.authors ALTER bio TYPE varchar(20)", "ALTER TABLE public.authors DROP bio"} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			o := openDB(t, shopSchema, func(c *pgxpool.Config, _ *cache.Options) { c.MaxConns = 1 })
			for id := 1; id < 5; id++ {
				told(t.Context(), o, sql, id)
			}
			var prepared int
			if err := o.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements WHERE name ~ '^freshet_[0-9a-f]{32}$'").Scan(&prepared); err != nil || prepared != 1 {
				t.Errorf("%d statements of the DB are prepared, %v", prepared, err)
			}
			if _, err := o.pool.Exec(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			for id := 10; id < 14; id++ {
				got := told(t.Context(), o, sql, id)
				if want := told(t.Context(), o.pool, sql, pgx.QueryExecModeCacheDescribe, id); got != want {
					t.Errorf("the pool says\n%s\nthe DB says\n%s", want, got)
				}
			}
		})
	}
}
