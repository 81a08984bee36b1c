package wire

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/rules"
)

// While a rule is in force, it accepts outdated answers for the clients that send its statements:
// of tables that are not watched if each of them has a rule, and of a statement that reads the
// clock if the rule is for the statement's shape. It accepts none where row security applies or
// values are random, and none for a session that demands strong consistency. Such an answer counts
// as consented, not as a hit.
func TestRuleAcceptsAnOutdatedAnswer(t *testing.T) {
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
			// consents reports whether one of so many executions of a statement is answered by consent.
			consents := func(conn *pgx.Conn, sql string, often int) bool {
				t.Helper()
				before := consented()
				for i := 0; i < often && consented() == before; i++ {
					read(conn, sql)
				}
				return consented() > before
			}
			const note, join, clock = "SELECT text FROM aside.note WHERE id = 1", "SELECT text FROM aside.note JOIN aside.other USING (id)", "SELECT now()::text FROM item WHERE id = 8"
			set := func(list ...rules.Rule) { s.SetRules(rules.NewSet(list)) }
			wantConsent := func(what, sql string, want bool) {
				t.Helper()
				often := 6
				if want {
					often = 500
				}
				if got := consents(conn, sql, often); got != want {
					t.Errorf("%s: answered by consent: %v, want %v", what, got, want)
				}
				if consents(strict, sql, 3) {
					t.Errorf("%s: a strong session is answered by consent", what)
				}
			}
			set()
			wantConsent("without rules", note, false)
			set(table("aside.note"))
			bed.exec("UPDATE aside.note SET text = 'old'")
			wantConsent("its table's rule", note, true)
			hits := s.count(HitL1)
			bed.exec("UPDATE aside.note SET text = 'new'")
			if got := read(conn, note); got != "old" {
				t.Errorf("by the rule the note is %q, want old", got)
			}
			if got := read(strict, note); got != "new" {
				t.Errorf("in a strong session the note is %q, want new", got)
			}
			mustExec(t, conn, "SET freshet.consistency = 'strong'")
			if got := read(conn, note); got != "new" {
				t.Errorf("in a session that has become strong the note is %q, want new", got)
			}
			mustExec(t, conn, "RESET freshet.consistency")
			if got := read(conn, note); got != "old" {
				t.Errorf("in a session that is strong no more the note is %q, want old", got)
			}
			wantConsent("one table's rule of two", join, false)
			wantConsent("the clock, without a rule for the table", clock, false)
			if s.count(HitL1) != hits {
				t.Error("an outdated answer counts as a hit, want it counted as consented")
			}

			set(table("aside.*"))
			wantConsent("both tables' rule", join, true)
			wantConsent("row security", "SELECT count(*)::text FROM aside.secret", false)
			wantConsent("what is random", "SELECT random()::text FROM aside.note", false)
			set(rules.Rule{Text: "SELECT now()::text FROM item WHERE id = ?", OutOfDate: time.Hour})
			wantConsent("the clock, its shape's rule", clock, true)
			first := read(conn, clock)
			mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 8")
			if again := read(conn, clock); again == first {
				t.Errorf("behind a write to its watched table the answer by consent is still %s", again)
			}

			for what, list := range map[string][]rules.Rule{
				"no rules any more": nil, "another rule": {table("public.item")}, "cache: no": {table("aside.note"), {Table: "aside.note", Terms: rules.Terms{Never: true}}},
				"a shorter time": {{Table: "aside.note", OutOfDate: time.Nanosecond}},
			} {
				set(table("aside.note"))
				bed.exec("ALTER TABLE aside.note ALTER COLUMN text SET DEFAULT 'x'; UPDATE aside.note SET text = 'kept'")
				s.received()
				wantConsent("before "+what, note, true)
				set(list...)
				bed.exec("UPDATE aside.note SET text = 'now'")
				if got := read(conn, note); got != "now" {
					t.Errorf("%s: the note is %q, want now", what, got)
				}
			}
		})
	}
	if !s.anyOutOfDate() {
		t.Error("ShapeUses names no shape that is answered by consent, want one, with the age of an answer")
	}
}

// anyOutOfDate reports whether ShapeUses names a shape that is answered by consent, with the age of
// an answer and a table that is not watched.
func (s *side) anyOutOfDate() bool {
	uses, _ := s.ShapeUses(100)
	for _, u := range uses {
		if u.Consented && u.Age > 0 && len(u.Verdict.Unwatched) > 0 {
			return true
		}
	}
	return false
}
