package wire

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

const asideSchema = itemSchema + `
CREATE SCHEMA aside;
CREATE TABLE aside.note (id int PRIMARY KEY, text text NOT NULL);
INSERT INTO aside.note VALUES (1, 'old');
CREATE TABLE aside.secret (id int PRIMARY KEY, owner name NOT NULL DEFAULT current_user);
ALTER TABLE aside.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON aside.secret USING (owner = current_user);
GRANT USAGE ON SCHEMA aside TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA aside TO PUBLIC;`

// A statement whose comment accepts an outdated answer is given one where only a table that is not
// watched, or the clock, stands in the way of a fresh one. Such an answer counts as consented, not
// as a hit. The same statement without the comment gets a fresh answer in every session, and
// neither row security nor random values are answered by consent. A write to a watched table, the
// end of the accepted time and a change of the definitions end the answer.
func TestCommentAcceptsAnOutdatedAnswer(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, asideSchema)
	s := bed.sidecar()
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
			// kept reads until an answer comes by consent.
			kept := func(sql string) (text string) {
				t.Helper()
				before := consented()
				for range 500 {
					if text = read(conn, sql); consented() > before {
						return text
					}
				}
				t.Fatalf("%s: no answer by consent; %v, %v, %v", sql, s.Report().Queries, s.Report().Bypasses, s.Report().Misses)
				return text
			}
			const plain = "SELECT text FROM aside.note WHERE id = 1"
			const accepting = "/* page, freshet: ttl=1h */ " + plain
			bed.exec("UPDATE aside.note SET text = 'old'")
			if got := kept(accepting); got != "old" {
				t.Fatalf("the answer by consent is %q, want old", got)
			}
			hits := s.Report().Queries[HitL1.String()]
			bed.exec("UPDATE aside.note SET text = 'new'")
			if got := read(conn, accepting); got != "old" {
				t.Errorf("the statement that accepts an outdated answer gets %q, want old", got)
			}
			for _, other := range []*pgx.Conn{conn, strict} {
				if got := read(other, plain); got != "new" {
					t.Errorf("the statement without the comment gets %q, want new", got)
				}
			}
			if s.Report().Queries[HitL1.String()] != hits {
				t.Error("an outdated answer counts as a hit, want it counted as consented")
			}
			const clock = "SELECT now()::text FROM item WHERE id = 8 /* freshet: ttl=1h */"
			first := kept(clock)
			if again := read(conn, clock); again != first {
				t.Errorf("the answer by consent was %s and is %s, want it unchanged", first, again)
			}
			mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 8")
			if again := read(conn, clock); again == first {
				t.Errorf("behind a write to its watched table the answer by consent is still %s", again)
			}

			const secret = "SELECT count(*)::text FROM aside.secret /* freshet: ttl=1h */"
			const random = "SELECT random()::text FROM aside.note /* freshet: ttl=1h */"
			before := consented()
			for range 5 {
				read(conn, secret)
				read(conn, random)
			}
			if consented() != before {
				t.Error("a read of random values or of a table with row security is answered by consent")
			}

			// kept has shown that the answer was kept, before it ends.
			const short = "SELECT now()::text /* freshet: ttl=100ms */"
			first = kept(short)
			servers.Eventually(t, "the accepted time to end", func() bool { return read(conn, short) != first })

			// A change of the table's definition ends the answer.
			bed.exec("ALTER TABLE aside.note ADD COLUMN more int")
			s.received()
			if got := read(conn, accepting); got != "new" {
				t.Errorf("behind a change of the definition the answer is %q, want new", got)
			}
			bed.exec("ALTER TABLE aside.note DROP COLUMN more")
		})
	}
	passed := s.Report().Bypasses
	if passed[reasons.Comment] != 0 || passed["row_security"]+passed["unwatched_table"] == 0 {
		t.Errorf("passed through: %v; want some for row security or an unwatched table, and none for the comment", passed)
	}
}
