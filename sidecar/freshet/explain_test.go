package main

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/dashboard"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	if _, err := direct.Exec(t.Context(), "CREATE SCHEMA other; CREATE TABLE other.secret_garden (id int PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := freshet(t, "explain", "--upstream", dsn, "SELECT 1"); code != exitUsage || !strings.Contains(stderr, "freshet install") {
		t.Errorf("before install: exit code %d, %s", code, stderr)
	}
	if code, stdout, stderr := freshet(t, "explain", "--unsupported", "--upstream", dsn); code != exitOK || !strings.Contains(stdout, "differs:   nothing") {
		t.Errorf("--unsupported, before install: exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK {
		t.Fatal(stderr)
	}
	if code, stdout, stderr := freshet(t, "explain", "--unsupported", "--upstream", dsn, "SELECT * FROM fruit WHERE id = 1"); code != exitOK || !strings.Contains(stdout, "tested on: PostgreSQL 14 to 18") || !strings.Contains(stdout, "cacheable: yes") {
		t.Errorf("--unsupported: exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, c := range []struct {
		statement string
		code      int
		says      []string
	}{
		{"SELECT name FROM fruit WHERE id = $1", exitOK, []string{"cacheable: yes", "tables:    public.fruit", "public.fruit/id=$1  changes of rows"}},
		{"SELECT count(*) FROM fruit", exitOK, []string{"cacheable: yes", "public.fruit  any change of the table"}},
		{"SELECT * FROM fruit WHERE name = 'fig'", exitOK, []string{"any change of the table", "watch:     public.fruit(name)", "would give tags of its values"}},
		{"SELECT 1", exitOK, []string{"cacheable: yes", "tables:    none"}},
		{"SELECT random() FROM fruit", exitFailure, []string{"cacheable: no", "reason:    volatile_function (random)", "advice:    "}},
		{"SELECT * FROM other.secret_garden", exitFailure, []string{"reason:    unwatched_table", "freshet install --watch"}},
		{"UPDATE fruit SET name = ''", exitFailure, []string{"reason:    not_select"}},
		{"SELECT nonsense FROM fruit", exitFailure, []string{"reason:    sql_error (SQLSTATE 42703)", `postgres:  column "nonsense" does not exist`}},
	} {
		code, stdout, stderr := freshet(t, "explain", "--upstream", dsn, c.statement)
		if code != c.code || stderr != "" {
			t.Errorf("%s: exit code %d, want %d; error %q", c.statement, code, c.code, stderr)
		}
		for _, text := range c.says {
			if !strings.Contains(stdout, text) {
				t.Errorf("%s: %q is missing:\n%s", c.statement, text, stdout)
			}
		}
	}
	for statement, want := range map[string]struct {
		code int
		dashboard.Explanation
	}{
		"SELECT name FROM fruit WHERE id = $1": {exitOK, dashboard.Explanation{
			Cacheable: true, Tables: []string{"public.fruit"}, Tags: []string{"public.fruit/id='7'"}, Wishes: []string{}}},
		"SELECT random()": {exitFailure, dashboard.Explanation{
			Reason: "volatile_function", Detail: "random", Advice: analysis.ReasonVolatileFunction.Advice(), Tables: []string{}, Tags: []string{}, Wishes: []string{}}},
	} {
		code, stdout, stderr := freshet(t, "explain", "--json", "--parameter", "7", "--upstream", dsn, statement)
		var got dashboard.Explanation
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != want.code || !reflect.DeepEqual(got, want.Explanation) {
			t.Errorf("%s as JSON: exit code %d, want %d, error %v %s, got\n%s", statement, code, want.code, err, stderr, stdout)
		}
	}
	if _, stdout, _ := freshet(t, "explain", "--parameter", "7", "--upstream", dsn, "SELECT name FROM fruit WHERE id = $1"); !strings.Contains(stdout, "public.fruit/id='7'") {
		t.Errorf("with a parameter:\n%s", stdout)
	}
}

// A server that answers late is told of with what may be wrong with it.
func TestExplainThatIsAnsweredLate(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK {
		t.Fatal(stderr)
	}
	if _, err := direct.Exec(t.Context(), "BEGIN; LOCK freshet.outbox IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := (&explainCommand{upstreamFlag: upstreamFlag{Upstream: dsn}, Statement: "SELECT name FROM fruit"}).explain(ctx)
		ended <- err
	}()
	eventually(t, func() string {
		var waiting bool
		if err := direct.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'freshet.outbox'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if !waiting && len(ended) == 0 {
			return "nothing waits for the lock"
		}
		return ""
	})
	end(errLate) // as a minute would
	if err := <-ended; !errors.Is(err, errLate) || !strings.Contains(err.Error(), "learn what is watched: not told within 1m0s") {
		t.Errorf("error %v, want %q", err, errLate)
	}
}

// Whether row security applies is a question of the role.
func TestExplainForARole(t *testing.T) {
	dsn, direct := setupFruitOn(t, servers.SharedPostgresOfRoles(t))
	tenant := direct.Config().Database + "_tenant"
	if _, err := direct.Exec(t.Context(), "ALTER TABLE fruit ENABLE ROW LEVEL SECURITY; CREATE ROLE "+tenant); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK {
		t.Fatal(stderr)
	}
	const statement = "SELECT name FROM fruit WHERE id = $1"
	for _, c := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{nil, exitOK, "security:  row security of public.fruit hides nothing from this role"},
		{[]string{"--role", tenant}, exitOK, "security:  row security of public.fruit filters rows for this role, which is in the key"},
		{[]string{"--role", "nobody of this name"}, exitUsage, "there is none of this name"},
	} {
		code, stdout, stderr := freshet(t, append([]string{"explain", "--upstream", dsn, statement}, c.arguments...)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.says) {
			t.Errorf("%q: exit code %d, want %d; %q is missing:\n%s%s", c.arguments, code, c.code, c.says, stdout, stderr)
		}
	}
}
