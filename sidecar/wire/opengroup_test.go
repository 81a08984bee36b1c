package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A driver that waits for the description of a statement before it binds the statement has been
// shown the schema of that moment, and must get no rows that are older. This could happen:
//
//  1. an entry is stored;
//  2. ALTER TABLE adds a column; its event is not received yet;
//  3. Postgres describes the statement with the new column, behind a Flush;
//  4. the entry, which has the columns of before and is within the staleness bound, is served.
func TestOpenGroupShowsNoLessThanItsDescription(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	c := dialRaw(t, s.dsn())
	const all = "SELECT * FROM item WHERE id = 7"
	parsed := 0
	describe := func() []byte {
		parsed++ // with a statement that it does not know, so that the part is described by Postgres, and not from the entry
		return join(msgParse(fmt.Sprint("unknown", parsed), "SELECT random()"), msgParse("", all), msgDescribe('S', ""), msgFlush)
	}
	run := join(msgBind(""), msgExecute("", 0), msgSync)
	ask := func() (columns, fields int) {
		c.send(describe())
		c.until("11t")
		columns = int(c.message()[protocol.HeaderLength+1])
		for _, m := range protocol.Messages(c.ask(run)) {
			if m[0] == 'D' {
				fields = int(m[protocol.HeaderLength+1])
			}
		}
		return columns, fields
	}
	const before, after = 3, 4 // columns of item
	servers.Eventually(t, "a hit", func() bool {
		hits := s.count(HitL1)
		if columns, fields := ask(); columns != before || fields != before {
			t.Fatalf("a row of %d fields follows a description of %d columns, want %d of each", fields, columns, before)
		}
		return s.count(HitL1) > hits
	})
	if err := s.follower.Confirm(t.Context(), fence.Now()); err != nil {
		t.Fatal(err)
	}
	bed.exec("ALTER TABLE item ADD COLUMN added integer")
	if columns, fields := ask(); columns != after || fields != after {
		t.Errorf("a row of %d fields follows a description of %d columns, want %d of each, as Postgres has described the statement", fields, columns, after)
	}
}

// Postgres was sent a part of a group. If that part has failed, or has written, the rest of the
// group goes to Postgres too, though its read could be answered from the cache.
func TestOpenGroupThatFailedOrWrotePassesThrough(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	c := dialRaw(t, s.dsn())
	s.learnExtended(c)
	s.wantVersionFromCache(c, "0")
	c.send(join(msgParse("failed", "SELECT nothing"), msgFlush))
	c.until("E")
	if got := c.ask(read("7"), msgSync); got[0] != 'Z' {
		t.Errorf("the rest of a group that has failed is answered, want ReadyForQuery alone:\n%s", show(got))
	}
	c.send(join(msgParse("", "UPDATE item SET version = 5 WHERE id = 7"), msgBind(""), msgExecute("", 0), msgFlush))
	c.until("C")
	if got := string(c.ask(read("7"), msgSync)); !strings.Contains(got, "\x00\x00\x00\x015C") {
		t.Errorf("the client does not see version 5, which its group wrote:\n%s", show([]byte(got)))
	}
}
