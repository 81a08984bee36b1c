package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// part sends messages and a Flush, and reads up to a message of each kind in until.
func part(until string, messages ...[]byte) step {
	return step{append(join(messages...), msgFlush...), until}
}

// someItems binds and describes a portal of the first five items.
func someItems(portal string) []byte {
	return join(msgParse("", "SELECT id FROM item WHERE id <= 5 ORDER BY id"), binding{portal: portal}.message(), msgDescribe('P', portal))
}

// firstItems is someItems of six items, by another statement.
func firstItems(portal string) []byte {
	return join(msgParse("", "SELECT id FROM item WHERE id <= 6 ORDER BY id"), binding{portal: portal}.message(), msgDescribe('P', portal))
}

// manyCursors opens more cursors in one group than are remembered, and reads the first and the
// last one.
func manyCursors() []step {
	steps := []step{synced(someItems(""), msgExecute("", 0))}
	last := ""
	for i := range portalsMax + 2 {
		last = fmt.Sprint("C_", i)
		steps = append(steps, part("T", someItems(last)))
		if i == 0 {
			steps = append(steps, part("s", msgExecute(last, 2)))
		}
	}
	return append(steps, part("s", msgExecute("C_0", 2)), part("s", msgExecute(last, 2)), part("C", msgExecute("C_0", 9)), synced())
}

// oneItem binds and describes a portal of one item.
func oneItem(portal, id string) []byte {
	return join(msgParse("", readItem), binding{portal: portal, values: [][]byte{[]byte(id)}}.message(), msgDescribe('P', portal))
}

// partDifferentials are groups that are sent in parts, each with a Flush, and a Sync at the end.
var partDifferentials = []differential{
	{name: "reads, each with its Flush", hits: 5, steps: []step{
		part("C", read("3")), part("C", read("4")), synced(), part("C", read("3"), read("4")), synced(read("3")),
	}},
	{name: "a Sync behind each Flush", hits: 3, steps: []step{
		part("C", read("3")), synced(), part("C", once("SELECT name FROM item WHERE id = 3")), synced(), {join(read("3"), msgFlush), "C"}, {join(msgSync, msgSync), "ZZ"},
	}},
	{name: "described behind a Flush", hits: 2, steps: []step{
		part("T", msgParse("", readItem), msgDescribe('S', "")), part("C", msgBind("", "3"), msgExecute("", 0)), synced(),
		part("T", msgParse("", readItem), msgDescribe('S', "")), part("2", msgBind("", "4")), part("C", msgExecute("", 0)), synced(),
	}},
	{name: "a cursor read to its end", hits: 3, steps: []step{
		part("T", someItems("C_1")), part("C", msgExecute("C_1", 100)), synced(),
		part("T", oneItem("C_2", "3")), part("C", msgExecute("C_2", 0)), synced(),
		part("T", oneItem("C_3", "4")), synced(msgExecute("C_3", 100)), synced(msgExecute("C_3", 100)),
	}},
	{name: "a cursor read in pieces", hits: 4, steps: []step{
		synced(someItems(""), msgExecute("", 0)),
		part("T", someItems("C_1")), part("s", msgExecute("C_1", 2)), part("s", msgExecute("C_1", 2)), part("C", msgExecute("C_1", 2)), part("C", msgExecute("C_1", 2)), synced(),
		part("T", someItems("C_2")), part("s", msgExecute("C_2", 5)), part("C", msgExecute("C_2", 5)), part("T", msgDescribe('P', "C_2")), part("3", msgClose('P', "C_2")), synced(),
		part("T", someItems("C_3")), part("s", msgExecute("C_3", 1)), synced(msgExecute("C_3", 0)),
	}},
	{name: "a cursor in pieces, loaded by its first", hits: 1, steps: []step{
		part("T", someItems("C_1")), part("s", msgExecute("C_1", 2)), part("C", msgExecute("C_1", 9)), synced(), synced(someItems(""), msgExecute("", 0)),
	}},
	{name: "a cursor left before its end", hits: 1, steps: []step{
		part("T", firstItems("C_1")), part("s", msgExecute("C_1", 2)), synced(), synced(firstItems(""), msgExecute("", 0)),
	}},
	{name: "a cursor closed before its end", hits: 1, steps: []step{
		synced(someItems(""), msgExecute("", 0)),
		part("T", someItems("C_1")), part("s", msgExecute("C_1", 2)), synced(msgClose('P', "C_1")), part("E", msgExecute("C_1", 2)), synced(),
		part("T", someItems("C_1")), synced(msgClose('P', "C_1")), synced(msgClose('P', "C_1")),
	}},
	{name: "portals that Postgres is asked for", hits: 2, reset: "TRUNCATE scratch", steps: []step{
		synced(someItems(""), msgExecute("", 0)),
		part("T", someItems("C_1")), part("s", msgExecute("C_1", 2)), {msgQuery("FETCH 2 FROM \"C_1\""), "Z"}, synced(msgExecute("C_1", 2)),
		part("T", someItems("C_1")), part("s", msgExecute("C_1", 2)), part("C", once("SELECT name, is_holdable FROM pg_cursors WHERE name <> '' ORDER BY 1")), part("C", msgExecute("C_1", 9)), synced(),
		part("T", someItems("C_1")), part("C", once("INSERT INTO scratch VALUES (1, 'a')")), part("s", msgExecute("C_1", 2)), part("E", msgExecute("nobody", 2)), part("", msgExecute("C_1", 2)), synced(),
		part("T", someItems("C_1")), part("E", binding{portal: "C_1"}.message()), synced(), query("SELECT * FROM scratch"),
		part("C", someItems(""), msgExecute("", 0)), synced(msgDescribe('P', ""), msgExecute("", 0)),
		part("C", read("3")), part("C", msgExecute("", 0), read("4")), synced(),
	}},
	{name: "two cursors", hits: 3, steps: []step{
		synced(someItems(""), msgExecute("", 0)),
		part("T", someItems("C_1")), part("T", someItems("C_2")), part("s", msgExecute("C_1", 2)), part("s", msgExecute("C_2", 3)), part("CC", msgExecute("C_1", 9), msgExecute("C_2", 9)), synced(),
	}},
	{name: "more cursors than are remembered", hits: portalsMax, steps: manyCursors()},
	{name: "unnamed portals in pieces", hits: 3, steps: []step{
		synced(someItems(""), msgExecute("", 0)),
		part("s", someItems(""), msgExecute("", 2)), part("C", msgExecute("", 0)), part("C", read("3")), part("C", msgExecute("", 0)), synced(),
	}},
	{name: "sent without waiting for answers", steps: []step{
		{join(someItems("C_1"), msgFlush, msgExecute("C_1", 2), msgFlush, msgExecute("C_1", 9), msgFlush, msgSync, someItems("C_1"), msgFlush, msgExecute("C_1", 9), msgSync), "ZZ"},
		{join(read("3"), msgFlush, once(relayedRead), msgFlush), "CC"}, part("C", read("3")), synced(),
	}},
	{name: "errors", hits: 2, steps: []step{
		synced(read("3")), part("C", read("3")), part("E", msgParse("", "SELECT nothing")), part("", read("3")), synced(), synced(read("3")),
		part("T", someItems("C_1")), part("E", once("SELECT 1/0")), part("", msgExecute("C_1", 9)), synced(),
		part("E", oneItem("C_1", "x")), synced(), part("CE", read("3"), once("SELECT 1/(id - 3) FROM item WHERE id = 3")), synced(), synced(read("3")),
	}},
	{name: "writes between", hits: 1, reset: "TRUNCATE scratch; UPDATE item SET name = 'item 9' WHERE id = 9", steps: []step{
		part("C", read("9")), part("C", once("UPDATE item SET name = 'new' WHERE id = 9")), part("C", read("9")), synced(), synced(read("9")),
		part("T", oneItem("C_1", "9")), part("C", once("UPDATE item SET name = 'newer' WHERE id = 9")), part("C", msgExecute("C_1", 9)), part("C", read("9")), synced(), synced(read("9")),
		part("C", read("9")), part("C", once("UPDATE item SET name = 'never' WHERE id = 9")), part("C", read("9")), part("E", once("SELECT 1/0")), synced(), synced(read("9")),
	}},
	{name: "in transactions", hits: 4, reset: "TRUNCATE scratch", steps: []step{
		query("BEGIN"), part("C", read("3")), synced(), part("C", read("4")), synced(), query("COMMIT"),
		query("BEGIN"), query(relayedRead), part("C", read("3")), synced(), part("C", read("4")), part("C", read("3")), synced(), query("COMMIT"),
		query("BEGIN"), part("T", someItems("C_1")), part("s", msgExecute("C_1", 2)), synced(), synced(msgExecute("C_1", 2)), query("FETCH FROM \"C_1\""), query("COMMIT"),
		query("BEGIN"), query("INSERT INTO scratch VALUES (1, 'a')"), part("C", once("SELECT * FROM scratch")), synced(), query("ROLLBACK"),
		part("C", once("BEGIN"), read("3")), part("C", read("3")), synced(), part("C", once("COMMIT")), synced(),
		part("C", read("3")), query("BEGIN"), synced(read("3")), query("COMMIT"), part("T", someItems("C_1")), query("BEGIN"), synced(msgExecute("C_1", 2)), query("COMMIT"),
	}},
	{name: "settings", hits: 1, steps: []step{
		part("C", once("SELECT ts FROM kinds WHERE id = 1")), part("C", once("SET TimeZone = 'Asia/Tokyo'")), part("C", once("SELECT ts FROM kinds WHERE id = 1")), synced(),
		synced(once("SELECT ts FROM kinds WHERE id = 1")), part("C", once("SELECT ts FROM kinds WHERE id = 1")), query("RESET TimeZone"), synced(once("SELECT ts FROM kinds WHERE id = 1")),
	}},
	{name: "formats", hits: 2, steps: []step{
		part("C", msgParse("", "SELECT id FROM item WHERE id <= 5 ORDER BY id"), binding{results: []uint16{1}}.message(), msgDescribe('P', ""), msgExecute("", 0)), synced(),
		part("T", msgParse("", "SELECT id FROM item WHERE id <= 5 ORDER BY id"), binding{portal: "p", results: []uint16{1}}.message(), msgDescribe('P', "p")), part("s", msgExecute("p", 2)), part("C", msgExecute("p", 0)), synced(),
	}},
}

func TestPartsAreAnsweredAsPostgresDoes(t *testing.T) { compareAll(t, partDifferentials) }

// misparted are planted mistakes: sidecars that answer parts otherwise than Postgres does.
var misparted = []mutant.Named{
	{Name: "a portion is kept for the whole answer", Edits: []mutant.Edit{{
		File: "sidecar/internal/answer/capture.go", As: mutant.Condition, Old: "kind == 's' && c.ToItsEnd && !c.complete", New: "false",
	}}},
	{Name: "a part that has written is taken for one that has read", Edits: []mutant.Edit{{
		File: "sidecar/internal/conversation/standing.go", As: mutant.Condition,
		Old: "c.groupOpen && (c.groupHarmful || c.skipping || c.pending.len() > 0)", New: "false",
	}}},
}

// TestPartsAreAnsweredAsPostgresDoes fails with each mistake of misparted.
func TestPlantedMistakesOfPartsAreFound(t *testing.T) {
	t.Parallel()
	allFound(t, misparted, "TestPartsAreAnsweredAsPostgresDoes")
}

// Of parts that are answered from the cache, and of the Sync behind them, nothing is sent to
// Postgres.
func TestAnsweredPartsDoNotReachPostgres(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	c := dialRaw(t, s.dsn())
	play := func() {
		for _, step := range []step{
			part("C", read("3")), part("C", read("4")), synced(), part("T", someItems("C_1")), part("s", msgExecute("C_1", 3)), part("C", msgExecute("C_1", 3)), synced(),
		} {
			c.send(step.send)
			c.until(step.until)
		}
	}
	servers.Eventually(t, "nothing but hits", func() bool {
		before := s.count(HitL1)
		play()
		return s.count(HitL1)-before == 3
	})
	sent, probes := s.Report().UpstreamQueries, s.Report().UpstreamProbes
	calls := bed.lastActivity(c.pid())
	play()
	if n := s.Report().UpstreamQueries - sent + s.Report().UpstreamProbes - probes; n != 0 {
		t.Errorf("%d statements reached Postgres, want none", n)
	}
	if now := bed.lastActivity(c.pid()); now != calls {
		t.Errorf("the last that Postgres has heard of the client is %q, want %q, as before the parts", now, calls)
	}
}

// lastActivity is the last statement that Postgres has had of a client, and when it began or ended.
func (b *testbed) lastActivity(pid uint32) (heard string) {
	b.t.Helper()
	err := b.direct.QueryRow(b.t.Context(), "SELECT state_change || query FROM pg_stat_activity WHERE pid = $1", int32(pid)).Scan(&heard)
	if err != nil {
		b.t.Fatal(err)
	}
	return heard
}

// A portal whose Bind was answered from the cache shows what was committed when it was bound, like
// a portal of Postgres; a portal that is bound behind a write shows the write.
// (TestLabelIsTakenBeforeBind shows how a load is labelled whose Execute comes later.)
func TestPortalShowsWhatItWasBoundTo(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	c := dialRaw(t, s.dsn())
	s.learnExtended(c)
	for version := range 3 {
		s.wantVersionFromCache(c, fmt.Sprint(version))
		hits := s.count(HitL1)
		c.send(part("", oneItem("C_1", "7")).send)
		c.until("T")
		if s.count(HitL1) == hits {
			t.Fatalf("version %d: the Bind of the portal is no hit", version)
		}
		bed.exec(fmt.Sprintf("UPDATE item SET version = %d WHERE id = 7", version+1))
		s.received()
		c.send(part("", msgExecute("C_1", 100)).send)
		if got := c.until("C"); !bytes.Contains(got, []byte(fmt.Sprintf("\x00\x00\x00\x01%dC", version))) {
			t.Errorf("the portal does not show version %d, which was committed when it was bound:\n%s", version, show(got))
		}
		c.send(part("", read("7")).send)
		if got := c.until("C"); !bytes.Contains(got, []byte(fmt.Sprintf("\x00\x00\x00\x01%dC", version+1))) {
			t.Errorf("a portal that is bound behind the write does not show version %d:\n%s", version+1, show(got))
		}
		c.ask(msgSync)
	}
}

// Until the Sync of a group Postgres goes by the rights under which the group has locked a table.
// What it shows the group behind a change of the rights is kept for nobody.
func TestReadUnderOlderRightsOfAnOpenGroupIsKeptForNobody(t *testing.T) {
	t.Parallel()
	bed := newRolesTestbed(t, itemSchema)
	s := bed.sidecar()
	role := bed.database + "_reader"
	bed.exec("CREATE ROLE " + role + " LOGIN")
	t.Cleanup(func() { bed.exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	as := s.dsn() + " user=" + role
	// prepared connects a client whose statement is prepared: of a text Postgres looks up the table
	// anew, and takes in the change.
	prepared := func() *rawClient {
		c := dialRaw(t, as)
		c.ask(msgParse("item", readItem, oidInt4), msgSync)
		return c
	}
	c := prepared()
	reads := func(id int) []byte {
		return join(msgBind("item", fmt.Sprint(id)), msgDescribe('P', ""), msgExecute("", 0))
	}
	// Postgres takes in the change within the group if it has fallen far behind in such news, which
	// other tests' definitions bring about: then nothing is shown, and it is done again.
	servers.Eventually(t, "a read behind the REVOKE to be shown", func() bool {
		bed.exec("UPDATE item SET version = version + 1; GRANT SELECT ON item TO " + role) // no answer is kept from before
		s.received()
		s.learnExtended(c)
		c.send(part("", reads(20)).send)
		if got := c.until("C"); !bytes.Contains(got, []byte("item 20")) {
			t.Fatalf("the role reads nothing:\n%s", show(got))
		}
		bed.exec("REVOKE SELECT ON item FROM " + role)
		s.received()
		other := prepared() // behind the REVOKE, so that nothing keeps its reads from being hits
		servers.Eventually(t, "the shape to be analysed anew", func() bool {
			pending := s.Report().Bypasses[reasons.AnalysisPending]
			return strings.Contains(string(other.ask(reads(22), msgSync)), "42501") && s.Report().Bypasses[reasons.AnalysisPending] == pending
		})
		shown := 0 // by the rights that the group began with
		for failed := false; shown < 10 && !failed; {
			c.send(part("", reads(30+shown)).send)
			for kind := byte(0); kind != 'C' && !failed; failed = kind == 'E' {
				kind = c.message()[0]
			}
			if !failed {
				shown++
			}
		}
		c.ask(msgSync)
		var err error
		for id := 30; id < 40; id++ {
			if got := string(other.ask(reads(id), msgSync)); !strings.Contains(got, "42501") {
				err = errors.Join(err, fmt.Errorf("item %d is shown to a role that may not read it any more, want error 42501", id))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return shown > 0
	})
}
