package main

import (
	"fmt"
	"strings"
	"testing"
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
	c := testConfig(t, "host=/nowhere user=u dbname=d")
	s := start(t, c)
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
	c := testConfig(t, "host=/nowhere user=u dbname=shop")
	c.Databases = databaseList{{Name: "crm", Upstream: "host=/elsewhere user=u"}}
	s := start(t, c)
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
