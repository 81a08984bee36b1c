package drivers

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// processID is what psql prints of a notification's sender: another one in each
// run.
var processID = regexp.MustCompile(`with PID \d+`)

// psqlProgram is Postgres' own, of the server's version.
func psqlProgram(t *testing.T) string {
	t.Helper()
	program, err := servers.SharedPostgres(t).Tool("psql")
	if err != nil {
		t.Fatalf("%v; or: apt-get install postgresql-client", err)
	}
	return program
}

func TestPsql(t *testing.T) {
	prove(t, client{name: "psql", run: func(t *testing.T, at endpoint) string {
		psql := psqlProgram(t)
		version := firstLine(output(t, at, "", psql, "--version"))
		text := version + "\n" + output(t, at, "", psql, "-X", "-a", "-f", filepath.Join("testdata", "psql", "session.sql"))
		return processID.ReplaceAllString(text, "with PID some") + psqlCommands(t, at, psql)
	}})
}

func TestPsqlWhileTheSchemaChanges(t *testing.T) {
	compare(t, func(t *testing.T, at endpoint) string {
		return output(t, at, "", psqlProgram(t), "-X", "-a", "-f", filepath.Join("testdata", "psql", "schema.sql"))
	})
}

// psqlCommands runs psql as scripts do: one session for a few commands. Each
// session reads only what none before it has written.
func psqlCommands(t *testing.T, at endpoint, psql string) string {
	t.Helper()
	var text string
	for _, args := range [][]string{
		{"-c", "SELECT 1; SELECT name FROM item WHERE id = 1; UPDATE item SET price = 2 WHERE id = 2; SELECT price FROM item WHERE id = 2"},
		{"-c", "SELECT value FROM setting WHERE name = 'vat'", "-c", "SELECT value FROM setting WHERE name = 'vat'"},
		{"-c", "UPDATE item SET weight = 7 WHERE id = 3", "-c", "SELECT weight FROM item WHERE id = 3"},
		{"-1", "-c", "UPDATE item SET hue = 'blue' WHERE id = 3", "-c", "SELECT hue FROM item WHERE id = 3", "-c", "SELECT 1 / 0"},
		{"-c", "UPDATE item SET hue = 'red' WHERE id = 3; SELECT hue FROM item WHERE id = 3; SELECT 1 / 0"},
		{"-At", "-F", ",", "-c", "SELECT name, value FROM setting ORDER BY name"},
		{"--csv", "-c", "SELECT name, value FROM setting ORDER BY name"},
		{"-v", "ON_ERROR_STOP=1", "-c", "SELECT 1 / 0", "-c", "SELECT 'not reached'"},
		{"-d", "nowhere", "-c", "SELECT 1"},
		{"-U", "nobody", "-c", "SELECT 1"},
	} {
		printed, err := attempt(t, at, "", psql, append([]string{"-X"}, args...)...)
		text += fmt.Sprintf("%q\n%s(%v)\n", args, printed, err)
	}
	return hostOfError.ReplaceAllString(text, "server on socket SOME failed")
}

// hostOfError is where psql says which socket it used.
var hostOfError = regexp.MustCompile(`server on socket "[^"]*" failed`)
