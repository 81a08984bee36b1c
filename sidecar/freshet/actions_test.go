package main

import (
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/dashboard"
)

// What the page's boxes ask for is done by a real sidecar: statements are explained, and
// answers end that depend on a table.
func TestActionsOfThePage(t *testing.T) {
	dsn, direct := setupFruit(t)
	s := startWatching(t, testConfig(t, dsn, "--watch", "public.*", "--staleness", "1m", "--verify", "0")) // however late it looks
	conn := client(t, s)
	admin := adminFlags{Admin: s.AdminAddress()}
	for _, c := range []struct {
		path   string
		what   any
		status int
		says   string
	}{
		{"explain", dashboard.ExplainRequest{SQL: "SELECT name FROM fruit WHERE id = 1"}, 200, `"public.fruit/id=`},
		{"explain", dashboard.ExplainRequest{SQL: "SELECT random()"}, 200, `"reason": "volatile_function"`},
		{"explain", dashboard.ExplainRequest{SQL: "SELECT nonsense FROM fruit"}, 200, `nonsense`},
		{"explain", dashboard.ExplainRequest{SQL: "SELECT 1", Role: "no_such_role"}, 422, "find role no_such_role"},
		{"purge", dashboard.PurgeRequest{Table: "public.none", Confirm: "public.none"}, 422, "no watched table matches"},
		{"purge", dashboard.PurgeRequest{Table: "public.fruit", Confirm: "fruit"}, 422, "once more"},
	} {
		status, body, err := admin.act(t.Context(), "", "/api/v1/"+c.path, c.what)
		if err != nil || status != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s %+v: %d %s, error %v; want %d and %q", c.path, c.what, status, body, err, c.status, c.says)
		}
	}
	read := func() (name string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT name FROM fruit WHERE id = $1", 1).Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for changed, purge := range map[string]dashboard.PurgeRequest{
		"quince": {Table: "public.fruit", Confirm: "public.fruit"},
		"medlar": {All: true, Confirm: "all"},
	} {
		before, hits := read(), s.Report().Queries["hit_l1"]
		eventually(t, func() string {
			if read(); s.Report().Queries["hit_l1"] == hits {
				return "nothing was answered from the cache"
			}
			return ""
		})
		// A change without its event is not noticed, until the table is purged.
		loseChange(t, direct, changed)
		if got := read(); got != before {
			t.Fatalf("before the purge %+v %q is read, want %q, which the cache has", purge, got, before)
		}
		if status, body, err := admin.act(t.Context(), "", "/api/v1/purge", purge); err != nil || status != 200 {
			t.Fatalf("%+v: %d %s, error %v", purge, status, body, err)
		}
		if got := read(); got != changed {
			t.Errorf("after the purge %+v %q is read, want %q", purge, got, changed)
		}
	}
}
