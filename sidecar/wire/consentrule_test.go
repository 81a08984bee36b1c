package wire

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/rules"
)

// A rule accepts for whoever sends a statement that its answer is out of date, while it is in
// force: of tables that are not watched if each of them has one, and where the clock is in
// the way. It accepts nothing of row security, nor for a session that demands strong
// consistency, and counts apart.
func TestConsentByRule(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, asideSchema+"CREATE TABLE aside.other (id int PRIMARY KEY); INSERT INTO aside.other VALUES (1);")
	s := bed.sidecar()
	table := func(name string) rules.Rule { return rules.Rule{Table: name, OutOfDate: time.Hour} }
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			conn, strict := s.connect(), s.connect()
			mustExec(t, strict, "SET freshet.consistency = 'strong'")
			read := func(conn *pgx.Conn, sql string) (text string) {
				t.Helper()
				if err := conn.QueryRow(context.Background(), sql, mode).Scan(&text); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
				return text
			}
			consented := func() uint64 { return s.Report().Queries[Consented.String()] }
			// by reports whether a statement, asked so often, is answered by consent.
			by := func(conn *pgx.Conn, sql string, often int) bool {
				t.Helper()
				before := consented()
				for i := 0; i < often && consented() == before; i++ {
					read(conn, sql)
				}
				return consented() > before
			}
			const note, join, clock = "SELECT text FROM aside.note WHERE id = 1", "SELECT text FROM aside.note JOIN aside.other USING (id)", "SELECT now()::text FROM item WHERE id = 8"
			set := func(list ...rules.Rule) { s.SetRules(rules.NewSet(list)) }
			is := func(what, sql string, want bool) {
				t.Helper()
				often := 6
				if want {
					often = 500
				}
				if got := by(conn, sql, often); got != want {
					t.Errorf("%s: answered by consent: %v", what, got)
				}
				if by(strict, sql, 3) {
					t.Errorf("%s: a strong session is answered by consent", what)
				}
			}
			set()
			is("without rules", note, false)
			set(table("aside.note"))
			bed.exec("UPDATE aside.note SET text = 'old'")
			is("its table's rule", note, true)
			hits := s.count(HitL1)
			bed.exec("UPDATE aside.note SET text = 'new'")
			if got := read(conn, note); got != "old" {
				t.Errorf("by the rule it is %q", got)
			}
			if got := read(strict, note); got != "new" {
				t.Errorf("a strong session is told %q", got)
			}
			mustExec(t, conn, "SET freshet.consistency = 'strong'")
			if got := read(conn, note); got != "new" {
				t.Errorf("a session that has become strong is told %q", got)
			}
			mustExec(t, conn, "RESET freshet.consistency")
			if got := read(conn, note); got != "old" {
				t.Errorf("one that is strong no more is told %q", got)
			}
			is("one table's rule of two", join, false)
			is("the clock, without a rule for the table", clock, false)
			if s.count(HitL1) != hits {
				t.Error("what is out of date counts as a hit")
			}

			set(table("aside.*"))
			is("both tables' rule", join, true)
			is("row security", "SELECT count(*)::text FROM aside.secret", false)
			is("what is random", "SELECT random()::text FROM aside.note", false)
			set(rules.Rule{Text: "SELECT now()::text FROM item WHERE id = ?", OutOfDate: time.Hour})
			is("the clock, its shape's rule", clock, true)
			first := read(conn, clock)
			mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 8")
			if again := read(conn, clock); again == first {
				t.Error("a write to a watched table does not end it")
			}

			for what, list := range map[string][]rules.Rule{
				"no rules any more": nil, "another rule": {table("public.item")}, "cache: no": {table("aside.note"), {Table: "aside.note", Terms: rules.Terms{Never: true}}},
				"a shorter time": {{Table: "aside.note", OutOfDate: time.Nanosecond}},
			} {
				set(table("aside.note"))
				bed.exec("ALTER TABLE aside.note ALTER COLUMN text SET DEFAULT 'x'; UPDATE aside.note SET text = 'kept'")
				s.look()
				is("before "+what, note, true)
				set(list...)
				bed.exec("UPDATE aside.note SET text = 'now'")
				if got := read(conn, note); got != "now" {
					t.Errorf("%s: it is %q", what, got)
				}
			}
		})
	}
	if !s.anyOutOfDate() {
		t.Error("no shape is told to be out of date")
	}
}

// anyOutOfDate reports whether a shape is told to be answered by consent, with the age of an
// answer.
func (s *side) anyOutOfDate() bool {
	uses, _ := s.ShapeUses(100)
	for _, u := range uses {
		if u.Consented && u.Age > 0 && len(u.Verdict.Unwatched) > 0 {
			return true
		}
	}
	return false
}
