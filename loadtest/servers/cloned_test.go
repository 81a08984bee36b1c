package servers

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestFilledDatabasesAreCopiesFromTheSecondOn(t *testing.T) {
	t.Parallel()
	p := SharedPostgres(t)
	fills := 0
	databases := map[string]bool{}
	for i := range 4 {
		name := p.FilledDatabase(t, "letters", func(dsn string) error {
			fills++
			conn, err := pgx.Connect(context.Background(), dsn)
			if err != nil {
				return err
			}
			defer conn.Close(context.Background())
			_, err = conn.Exec(context.Background(), "CREATE TABLE letter (name text); INSERT INTO letter VALUES ('a')")
			return err
		})
		databases[name] = true
		if got := ask(t, p.DSN(name), "SELECT string_agg(name, '') FROM letter"); got != "a" {
			t.Errorf("database %d holds %q", i, got)
		}
		if err := p.Execute(t.Context(), name, "INSERT INTO letter VALUES ('b')"); err != nil {
			t.Fatal(err)
		}
		if want := min(i+1, 2); fills != want {
			t.Errorf("%d databases were filled for %d, want %d", fills, i+1, want)
		}
	}
	if len(databases) != 4 {
		t.Errorf("tests share databases: %v", databases)
	}
	other := p.FilledDatabase(t, "digits", func(string) error { return nil })
	if got := ask(t, p.DSN(other), "SELECT coalesce(to_regclass('letter')::text, 'none')"); got != "none" {
		t.Errorf("a database of another recipe has table %s", got)
	}
}
