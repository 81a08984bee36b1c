package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// tailed runs tail --once, and returns its lines and the last position.
func tailed(t *testing.T, arguments ...string) (lines []string, position string) {
	t.Helper()
	code, stdout, stderr := freshet(t, append([]string{"tail", "--once"}, arguments...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for line := range strings.Lines(stdout) {
		var c invalidation.Change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines, position = append(lines, c.Kind+" "+c.Table+" "+strings.Join(c.Keys["id"], ",")), c.Position
	}
	return lines, position
}

// Changes are printed as lines of JSON, once, also by a program that begins again; and put
// into a stream of Redis, where others find them.
func TestTail(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	stream := direct.Config().Database // as no other test's is called
	startWatching(t, testConfig(t, dsn, "--watch", "public.fruit(id)"))
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	write := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	_, position := tailed(t, "--upstream", dsn, "--from", "beginning")
	write("UPDATE fruit SET name = name WHERE id = 1")
	lines, position := tailed(t, "--upstream", dsn, "--from", position)
	if len(lines) != 1 || lines[0] != "rows public.fruit 1" {
		t.Errorf("printed %q", lines)
	}
	rd := servers.SharedRedis(t)
	write("UPDATE fruit SET name = name WHERE id = 2")
	tailed(t, "--upstream", dsn, "--from", position, "--redis", rd.URL(), "--stream", stream)
	tailed(t, "--upstream", dsn, "--redis", rd.URL(), "--stream", stream) // from now on: nothing
	if got := streamed(t, rd, stream); len(got) != 1 || !strings.Contains(got[0], `"keys":{"id":["2"]}`) {
		t.Errorf("the stream holds %q", got)
	}
	for _, wrong := range [][]string{{"--from", "nonsense"}, {"--stream", "a"}, {"--poll", "0s"}} {
		if code, _, _ := freshet(t, append([]string{"tail", "--upstream", dsn}, wrong...)...); code != exitUsage {
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
}

// streamed reads the messages of a stream.
func streamed(t *testing.T, rd *servers.Redis, stream string) (messages []string) {
	t.Helper()
	reply, err := rd.Command("XRANGE", stream, "-", "+")
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range reply { // id, name of the field, message
		if i%3 == 2 {
			messages = append(messages, text)
		}
	}
	return messages
}
