package invalidation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// tail begins to read, as the follower's role.
func (db *database) tail(position string) *Tail {
	db.t.Helper()
	reader := *db
	reader.dsn = strings.Replace(db.dsn, "user="+superuser, "user="+servers.Follower, 1)
	conn := reader.connect()
	if user := conn.Config().User; user != servers.Follower {
		db.t.Fatalf("the tail reads as %s, want %s", user, servers.Follower)
	}
	t, err := NewTail(conn, position)
	if err != nil {
		db.t.Fatal(err)
	}
	return t
}

// told reads what there is, as lines of kind, table, keys and names.
func told(t *testing.T, tail *Tail) (lines []string, last string) {
	t.Helper()
	changes, err := tail.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		keys, _ := json.Marshal(c.Keys) // a map of strings
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.Kind, c.Table, keys, strings.Join(c.Names, ","))))
		last = c.Position
		if c.Received.IsZero() || c.Position == "" {
			t.Errorf("a change without a moment or a position: %+v", c)
		}
	}
	return lines, last
}

func wantTold(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTailTellsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users(id)")
	db.follow(nil) // it gives the server's life its name
	tail := db.tail("")
	if lines, _ := told(t, tail); len(lines) > 0 {
		t.Errorf("told %q of what was before", lines)
	}
	early := db.connect()
	runOn(t, early, "BEGIN", "UPDATE users SET name = 'early' WHERE id = 1")
	db.run("UPDATE users SET name = 'x' WHERE id = 2")
	lines, position := told(t, tail)
	wantTold(t, lines, `rows public.users {"id":["2"]}`)
	// It committed behind one with a higher id, and is not left out.
	runOn(t, early, "COMMIT")
	lines, after := told(t, tail)
	wantTold(t, lines, `rows public.users {"id":["1"]}`)
	if lines, _ = told(t, tail); len(lines) > 0 {
		t.Errorf("told twice: %q", lines)
	}
	// Who goes on at a position is told what came after it, and nothing else.
	lines, _ = told(t, db.tail(position))
	wantTold(t, lines, `rows public.users {"id":["1"]}`)
	db.run("TRUNCATE users CASCADE", "SELECT freshet.touch('prices')")
	lines, _ = told(t, db.tail(after))
	wantTold(t, lines, "table public.users null", "own  null prices")
	// Who begins at the beginning is told all that the outbox holds, in the order of the writes.
	lines, _ = told(t, db.tail(FromBeginning))
	if i := slices.Index(lines, `rows public.users {"id":["1"]}`); i < 0 || !slices.Equal(lines[i:], []string{
		`rows public.users {"id":["1"]}`, `rows public.users {"id":["2"]}`, "table public.users null", "own  null prices"}) {
		t.Errorf("from the beginning told\n%s", strings.Join(lines, "\n"))
	}
}

// What was trimmed, or belongs to another life of the server, is a gap and no silence.
func TestTailTellsOfGaps(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users(id)")
	db.follow(nil)
	tail := db.tail("")
	told(t, tail)
	db.run("UPDATE users SET name = 'x' WHERE id = 2")
	_, position := told(t, tail)
	incarnation, snapshot, _ := strings.Cut(position, "@")
	lines, after := told(t, db.tail("another@"+snapshot))
	if len(lines) < 2 || lines[0] != "gap  null" || lines[len(lines)-1] != `rows public.users {"id":["2"]}` {
		t.Errorf("told %q", lines)
	}
	if !strings.HasPrefix(after, incarnation+"@") {
		t.Errorf("position %q", after)
	}
	db.run("UPDATE freshet.trim SET mark = pg_current_snapshot()", "UPDATE users SET name = 'y' WHERE id = 3")
	lines, _ = told(t, db.tail(incarnation+"@10:10:"))
	if len(lines) == 0 || lines[0] != "gap  null" {
		t.Errorf("told %q", lines)
	}
	for _, wrong := range []string{"nonsense", "a@b", "@"} {
		if _, err := NewTail(db.Conn, wrong); err == nil {
			t.Errorf("position %q is accepted", wrong)
		}
	}
	if _, err := fence.ParseSnapshot(snapshot); err != nil {
		t.Error(err)
	}
}
