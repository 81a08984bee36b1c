package main

import (
	"strings"
	"testing"
)

func TestInstallTellsWhatItDid(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	if _, err := direct.Exec(t.Context(), "CREATE TABLE basket (id int, fruit int) PARTITION BY RANGE (id); CREATE TABLE basket_1 PARTITION OF basket FOR VALUES FROM (0) TO (10); CREATE UNLOGGED TABLE note (text text)"); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, text := range []string{"public.fruit", "told apart by id", "public.basket", "with 1 partition or child"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("%q is missing:\n%s", text, stdout)
		}
	}
	if code, stdout, _ := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK || !strings.Contains(stdout, "watched already  public.fruit") {
		t.Errorf("again: exit code %d\n%s", code, stdout)
	}
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "nowhere.*"); code != exitFailure || !strings.Contains(stderr, "nowhere.*") {
		t.Errorf("nothing to watch: exit code %d\n%s", code, stderr)
	}
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "pubic.*"); code != exitFailure || !strings.Contains(stderr, "did you mean public.*?") {
		t.Errorf("a typo: exit code %d\n%s", code, stderr)
	}
	if _, err := direct.Exec(t.Context(), "CREATE SCHEMA harvest"); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "harvest.*"); code != exitOK || !strings.Contains(stdout, "harvest.* matches no table yet") {
		t.Errorf("an empty schema: exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "fruit"); code == exitOK || stdout != "" || !strings.Contains(stderr, "schema.table") {
		t.Errorf("a pattern that is none: exit code %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = freshet(t, "uninstall", "--upstream", dsn)
	if code != exitOK || !strings.Contains(stdout, "removed") {
		t.Fatalf("uninstall: exit code %d: %s%s", code, stdout, stderr)
	}
	var left int
	if err := direct.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%freshet%') + (SELECT count(*) FROM pg_event_trigger) + (SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet')").Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d objects are left", left)
	}
}

func TestInstallPrintsSQL(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*", "--print-sql")
	if code != exitOK || !strings.Contains(stdout, "CREATE SCHEMA") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	var schemas int
	if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet'").Scan(&schemas); err != nil {
		t.Fatal(err)
	}
	if schemas != 0 {
		t.Error("printing has installed")
	}
}

func TestCommandsWithoutPostgres(t *testing.T) {
	for _, c := range []struct {
		code      int
		arguments []string
	}{
		{exitFailure, []string{"install", "--watch", "public.*"}},
		{exitFailure, []string{"uninstall"}},
		{exitUsage, []string{"explain", "SELECT 1"}},
	} {
		code, stdout, stderr := freshet(t, append(c.arguments, "--upstream", "host=/nowhere user=u password=secret")...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, "connect to Postgres (--upstream)") || strings.Contains(stderr, "secret") {
			t.Errorf("%s: exit code %d, output %q, error %q", c.arguments[0], code, stdout, stderr)
		}
	}
}

func TestSuspendIsEndedByResumeAlone(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	run := func(wanted int, says string, arguments ...string) {
		t.Helper()
		code, stdout, stderr := freshet(t, append(arguments, "--upstream", dsn)...)
		if code != wanted || !strings.Contains(stdout+stderr, says) {
			t.Errorf("%v: exit code %d, said %s%s", arguments, code, stdout, stderr)
		}
	}
	run(exitOK, "public.fruit", "install", "--watch", "public.*")
	run(exitOK, "until freshet resume", "suspend")
	run(exitFailure, "freshet resume", "install", "--watch", "public.*")
	run(exitOK, "public.fruit", "resume")
	run(exitOK, "watched already  public.fruit", "install", "--watch", "public.*")
}

// What would be installed is told without doing it; a single table is taken out again.
func TestInstallDryRunAndUninstallOfTables(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	count := func() (n int) {
		t.Helper()
		if err := direct.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_trigger WHERE starts_with(tgname::text, 'freshet')) + (SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet')").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	run := func(wanted int, says string, arguments ...string) {
		t.Helper()
		code, stdout, stderr := freshet(t, append(arguments, "--upstream", dsn)...)
		if code != wanted || !strings.Contains(stdout+stderr, says) {
			t.Errorf("%v: exit code %d, said %s%s", arguments, code, stdout, stderr)
		}
	}
	run(exitOK, "would watch  public.fruit", "install", "--watch", "public.*", "--dry-run")
	run(exitFailure, "did you mean public.*?", "install", "--watch", "pubic.*", "--dry-run")
	if n := count(); n != 0 {
		t.Errorf("%d objects after a dry run", n)
	}
	run(exitUsage, "--wait -1s", "install", "--watch", "public.*", "--wait=-1s")
	run(exitOK, "public.fruit", "install", "--watch", "public.*", "--wait", "1m")
	run(exitOK, "nothing was changed", "install", "--watch", "public.*", "--dry-run")
	run(exitNothing, "nothing was removed", "uninstall", "--tables", "public.none")
	run(exitOK, "(public.fruit): reads of them go to Postgres", "uninstall", "--tables", "public.f*")
	if n := count(); n != 1 {
		t.Errorf("%d objects are left, want the schema", n)
	}
	run(exitOK, "would watch  public.fruit", "install", "--watch", "public.*", "--dry-run")
}
