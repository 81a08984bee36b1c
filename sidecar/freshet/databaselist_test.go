package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestDatabasesInAFile(t *testing.T) {
	file := writeConfig(t, `socket-dir: /run/x
upstream: host=/run/postgresql dbname=shop
databases:
  crm: host=db2.example dbname=crm password=secret
  shop_eu:
    upstream: postgres://app:secret@eu.example/shop
    primary: host=eu1.example dbname=shop
    watch: [public.*, "billing.invoices(id, owner)"]
    memory: 16MiB
  wiki:
`)
	code, shown, stderr := freshet(t, "config", "show", "--origin", "--config", file)
	if code != exitOK || strings.Contains(shown, "secret") {
		t.Fatal(stderr, shown)
	}
	want := "crm, shop_eu, wiki"
	for _, path := range []string{file, writeConfig(t, shown)} {
		c, err := reread([]string{"serve", "--config", path})()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		databases, err := c.namedDatabases()
		if err != nil {
			t.Fatal(err)
		}
		var names, places []string
		for _, d := range databases {
			names = append(names, d.Name)
			places = append(places, d.Upstream.Config.Host+"/"+d.Upstream.Config.Database)
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("%s names %s, want %s", path, got, want)
		}
		if got := fmt.Sprint(places); got != "[db2.example/crm eu.example/shop /run/postgresql/wiki]" {
			t.Errorf("%s leads to %s", path, got)
		}
		if eu := databases[1]; eu.Primary.Config.Host != "eu1.example" || eu.MemoryBytes != 16<<20 || fmt.Sprint(eu.Watch) != "[public.* billing.invoices(id, owner)]" {
			t.Errorf("%s says %+v", path, eu)
		}
	}
	c, err := reread([]string{"serve", "--databases", "{crm: host=db2.example}", "--databases", "wiki:"})()
	if err != nil || len(c.Databases) != 2 {
		t.Errorf("from the command line: %+v, %v", c.Databases, err)
	}
}

func TestWrongDatabasesAreToldAtOnce(t *testing.T) {
	file := writeConfig(t, `socket-dir: /run/x
databases:
  crm:
    upstraem: host=a
    memory: 3
  wiki: [a]
`)
	code, _, stderr := freshet(t, "config", "check", "--config", file)
	if code != exitUsage {
		t.Error("exit code", code)
	}
	for _, want := range []string{`:4: databases: database crm: key "upstraem": unknown key "upstraem"; did you mean "upstream"?`, ":5: databases: database crm: key \"memory\"", ":6: databases: database wiki"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in\n%s", want, stderr)
		}
	}
}

// Who adds a database is told that this takes a restart, and nothing changes.
func TestReloadLeavesDatabases(t *testing.T) {
	t.Parallel()
	c := testConfig(t, "host=/nowhere user=u dbname=d")
	s := startWithoutPostgres(t, c)
	wanted := c
	wanted.Databases = databaseList{{Name: "crm", Upstream: "host=/elsewhere user=u"}}
	r := reloading(s, c)
	r.read = func() (config, error) { return wanted, nil }
	if _, err := r.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "change --databases: that takes a restart") {
		t.Errorf("error %v", err)
	}
	if n := len(s.Reports()); n != 1 {
		t.Errorf("%d databases", n)
	}
}

// stats and top are of the database that is asked for, and tell of each how it is.
func TestFiguresOfADatabase(t *testing.T) {
	t.Parallel()
	c := testConfig(t, "host=/nowhere user=u dbname=shop")
	c.Databases = databaseList{{Name: "crm", Upstream: "host=/elsewhere user=u"}}
	s := startWithoutPostgres(t, c)
	for _, test := range []struct {
		arguments []string
		code      int
		says      []string
	}{
		{[]string{"stats"}, exitOK, []string{"  shop ", "  crm "}},
		{[]string{"stats", "--json", "--database", "crm"}, exitOK, []string{`"database": "crm"`}},
		{[]string{"stats", "--json", "--database", "shop"}, exitOK, []string{`"database": "shop"`}},
		{[]string{"stats", "--database", "none"}, exitUsage, []string{"no database of this name; it has shop, crm"}},
		{[]string{"top", "--once", "--interval", "100ms", "--database", "crm"}, exitOK, []string{"> crm: not ready", "  shop: not ready"}},
		{[]string{"top", "--once", "--json", "--interval", "100ms", "--database", "crm"}, exitOK, []string{`"database":"crm"`}},
	} {
		code, stdout, stderr := freshet(t, append(test.arguments, "--admin", s.AdminAddress())...)
		for _, want := range test.says {
			if code != test.code || !strings.Contains(stdout+stderr, want) {
				t.Errorf("%v: exit code %d, without %q: %s%s", test.arguments, code, want, stdout, stderr)
			}
		}
	}
}

// bypass and healthcheck are of the database that is asked for.
func TestActionsOnADatabase(t *testing.T) {
	t.Parallel()
	c := testConfig(t, "host=/nowhere user=u dbname=shop")
	c.Databases = databaseList{{Name: "crm", Upstream: "host=/elsewhere user=u"}}
	s := startWithoutPostgres(t, c)
	for _, test := range []struct {
		arguments []string
		code      int
		says, off string // off are the databases that are switched off then
	}{
		{[]string{"bypass", "on", "--database", "crm"}, exitOK, "every statement of clients of database crm goes to Postgres", "crm"},
		{[]string{"bypass", "on", "--database", "none"}, exitFailure, "no database none", "crm"},
		{[]string{"bypass", "on", "--database", "shop"}, exitOK, "of database shop", "shop crm"},
		{[]string{"bypass", "off", "--database", "crm"}, exitOK, "reads of clients of database crm are answered", "shop"},
		{[]string{"bypass", "off"}, exitOK, "reads of every client", ""},
		{[]string{"healthcheck", "--database", "crm"}, exitFailure, "not ready: no look", ""},
		{[]string{"healthcheck", "--database", "none"}, exitFailure, "no database has that name", ""},
	} {
		code, stdout, stderr := freshet(t, append(test.arguments, "--admin", s.AdminAddress())...)
		if code != test.code || !strings.Contains(stdout+stderr, test.says) {
			t.Errorf("%v: exit code %d, without %q: %s%s", test.arguments, code, test.says, stdout, stderr)
		}
		var off []string
		for _, r := range s.Reports() {
			if r.SwitchedOff {
				off = append(off, r.Database)
			}
		}
		if got := strings.Join(off, " "); got != test.off {
			t.Errorf("%v: %q are switched off, want %q", test.arguments, got, test.off)
		}
	}
}

// A purge of one of several databases goes where the configuration says that it is, or is asked
// of its page.
func TestPurgeOfADatabase(t *testing.T) {
	dsn, direct := setupFruit(t)
	here, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Replace(dsn, "dbname="+here.Database, "dbname=postgres", 1)
	file := writeConfig(t, fmt.Sprintf("upstream: %s\nmemory: 64MiB\ndatabases:\n  %s:\n  fruits: {upstream: \"%s\", watch: [public.*]}\n", first, here.Database, dsn))
	c, err := parseServe(t, "--config", file, "--socket-dir", shortDir(t), "--admin", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Databases = slices.DeleteFunc(c.Databases, func(d namedDatabase) bool { return d.Name != "fruits" }) // a database has one name
	s := start(t, c)
	purges := func() (n int) {
		t.Helper()
		if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM freshet.outbox WHERE 'own/freshet/purge' = ANY (tags)").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	conf := s.ClientConfig()
	conf.Database = "fruits"
	conn := connect(t, conf)
	shape := func() (id string) {
		for _, r := range s.Reports() {
			for _, shape := range r.Shapes {
				id = shape.ID
			}
		}
		return id
	}
	eventually(t, func() string {
		if _, err := conn.Exec(t.Context(), "SELECT name FROM fruit WHERE id = 1"); err != nil || shape() == "" {
			return fmt.Sprint("nothing is kept: ", err)
		}
		return ""
	})
	done := 0
	for _, test := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{"--config", file, "--database", here.Database, "--table", "public.fruit"}, exitOK, "1 table of database " + here.Database},
		{[]string{"--config", file, "--database", "none", "--all"}, exitUsage, "--database none"},
		{[]string{"--admin", s.AdminAddress(), "--database", "fruits", "--shape", shape()}, exitOK, "public.fruit"},
		{[]string{"--admin", s.AdminAddress(), "--shape", shape()}, exitNothing, "nothing was purged"},
		{[]string{"--admin", s.AdminAddress(), "--database", "none", "--shape", shape()}, exitUsage, "it has postgres, fruits"},
		{[]string{"--config", file, "--database", "fruits", "--all"}, exitOK, "every answer of database " + here.Database},
	} {
		code, stdout, stderr := freshet(t, append([]string{"purge", "--yes"}, test.arguments...)...)
		if code != test.code || !strings.Contains(stdout+stderr, test.says) {
			t.Errorf("%v: exit code %d, without %q: %s%s", test.arguments, code, test.says, stdout, stderr)
		}
		if code == exitOK {
			done++
		}
		if n := purges(); n != done {
			t.Errorf("%v: %d purges were written, want %d", test.arguments, n, done)
		}
	}
}
