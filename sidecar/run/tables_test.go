package run_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/run"
)

// The page is told of each table what was received of its changes, what cannot be relied on
// and since when, and what statements read that nobody watches.
func TestThePageKnowsTheTables(t *testing.T) {
	t.Parallel()
	dsn := installed(t)
	admin := connect(t, dsn)
	execute := func(c *pgx.Conn, sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	execute(admin, "CREATE TABLE pear (id int PRIMARY KEY, kind int); CREATE INDEX ON pear (kind)")
	install(t, admin, "public.pear")
	execute(admin, "CREATE TABLE plum (id int)")
	s, _, _ := running(t, optionsFor(t, dsn))
	client := connectTo(t, s.ClientConfig())

	execute(client, "INSERT INTO fruit VALUES (2, 'quince'), (3, 'medlar')")
	execute(client, "UPDATE fruit SET name = 'cherry' WHERE id = 2")
	execute(admin, "ALTER TABLE pear RENAME COLUMN kind TO sort")
	var tables map[string]dashboard.Table
	servers.Eventually(t, "a list of tables in each state", func() bool {
		execute(client, "SELECT * FROM plum") // what was analysed is forgotten with each change of the schema
		tables = tablesOf(t, s)
		return tables["public.fruit"].Statements == 2 && tables["public.plum"].State == dashboard.TableUnwatched && tables["public.pear"].State == dashboard.TableDoubtful
	})
	if fruit := tables["public.fruit"]; fruit.State != "" || fruit.At == nil || fruit.Invalidations < 3 {
		t.Errorf("fruit is %+v", fruit)
	}
	if pear := tables["public.pear"]; pear.Since == nil || pear.Why == "" {
		t.Errorf("pear is %+v", pear)
	}
	servers.Eventually(t, "a statement that hits", func() bool {
		execute(client, "SELECT name FROM fruit WHERE name = 'quince' AND id > 1")
		return len(s.Report().Shapes) == 1
	})
	stats := s.Report()
	shape := stats.Shapes[0]
	if fmt.Sprint(shape.Tags, shape.Watch) != "[public.fruit] [freshet install --watch 'public.fruit(id, name)']" || len(shape.ID) != 8 {
		t.Errorf("the statement is %+v", shape)
	}
	if rules := stats.BypassRules["unwatched_table"]; len(rules) != 1 || rules[0] != "freshet install --watch public.plum" {
		t.Errorf("what could be done: %q", stats.BypassRules)
	}
	if len(stats.Written) != 1 || stats.Written[0].Name != "public.fruit" || stats.Written[0].Statements != 2 || stats.TablesWritten != 1 {
		t.Errorf("written: %+v", stats.Written)
	}
}

// tablesOf is what the page lists, by name.
func tablesOf(t *testing.T, s *run.Sidecar) map[string]dashboard.Table {
	t.Helper()
	_, text := ask(t, s, "/api/v1/tables")
	var list dashboard.TableList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	tables := map[string]dashboard.Table{}
	for _, table := range list.Tables {
		tables[table.Name] = table
	}
	return tables
}

// The page is told who is connected and what they do, and what the server is.
func TestThePageKnowsClientsAndPostgres(t *testing.T) {
	t.Parallel()
	dsn := installed(t)
	s, _, _ := running(t, optionsFor(t, dsn))
	idle, blocked, waiting := connectTo(t, s.ClientConfig()), connectTo(t, s.ClientConfig()), connectTo(t, s.ClientConfig())
	if err := idle.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	gate := connect(t, dsn)
	for _, c := range []struct {
		*pgx.Conn
		sql string
	}{{blocked, "BEGIN"}, {gate, "SELECT pg_advisory_lock(78)"}} {
		if _, err := c.Exec(t.Context(), c.sql); err != nil {
			t.Fatal(err)
		}
	}
	answered := make(chan error, 1)
	go func() {
		_, err := waiting.Exec(t.Context(), "SELECT pg_advisory_xact_lock(78)")
		answered <- err
	}()
	servers.Eventually(t, "a client in each state", func() bool {
		c := s.Report().Clients
		return len(c) == 1 && c[0].Waiting == 1 && c[0].InTransaction == 1 && c[0].Idle == 1
	})
	config := s.ClientConfig()
	stats := s.Report()
	if c := stats.Clients[0]; c.Database != config.Database || c.Role != config.User || c.OldestSeconds <= 0 || stats.ClientGroups != 1 {
		t.Errorf("clients are %+v", c)
	}
	if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_unlock(78)"); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	servers.Eventually(t, "what the server is", func() bool { return s.Report().Postgres.Version != "" })
	if p := s.Report().Postgres; p.Role != config.User || !p.Superuser || p.Owner != config.User || len(p.Missing) > 0 || len(p.Publications) > 0 || p.Pooler || p.Replica {
		t.Errorf("the server is %+v", p)
	}
}
