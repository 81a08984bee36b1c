package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

const tenantSchema = `
CREATE ROLE owner LOGIN; CREATE ROLE member LOGIN IN ROLE owner; CREATE ROLE bypass LOGIN BYPASSRLS; CREATE ROLE super LOGIN SUPERUSER; CREATE ROLE tenant LOGIN;
CREATE TABLE letter (id int PRIMARY KEY, tenant text, body text);
INSERT INTO letter VALUES (1, 'a', 'to a'), (2, 'b', 'to b'), (3, 'a', 'to a');
CREATE TABLE forced (LIKE letter INCLUDING ALL);
INSERT INTO forced TABLE letter;
CREATE TABLE stamp (id int PRIMARY KEY, letter_id int);
INSERT INTO stamp VALUES (1, 1), (2, 2), (3, 3);
ALTER TABLE letter ENABLE ROW LEVEL SECURITY;
ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON letter USING (tenant = current_setting('app.tenant'));
CREATE POLICY own ON forced USING (tenant = current_setting('app.tenant'));
CREATE TABLE hard (LIKE letter INCLUDING ALL);
INSERT INTO hard TABLE letter;
ALTER TABLE hard ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON hard USING (tenant = current_setting('app.tenant') AND random() >= 0);
CREATE VIEW of_owner AS SELECT * FROM letter;
CREATE VIEW of_tenant AS SELECT * FROM letter;
ALTER TABLE letter OWNER TO owner; ALTER TABLE forced OWNER TO owner; ALTER VIEW of_owner OWNER TO owner; ALTER VIEW of_tenant OWNER TO tenant;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON SCHEMA public TO PUBLIC;`

// tenantReads are statements whose answers depend on the role, and for roles that row security
// filters on the setting app.tenant.
var tenantReads = []string{
	"SELECT * FROM letter ORDER BY id",
	"SELECT count(*) FROM stamp s JOIN letter l ON l.id = s.letter_id WHERE s.id < 9",
	"SELECT id, EXISTS (SELECT FROM letter l WHERE l.id = s.letter_id) FROM stamp s ORDER BY id",
	"SELECT * FROM forced ORDER BY id",
	"SELECT * FROM of_owner ORDER BY id",
	"SELECT * FROM of_tenant ORDER BY id",
	"SELECT * FROM hard ORDER BY id", // its policy calls random(): the answer is not known to depend on settings alone
}

var tenantRoles = []string{"owner", "member", "bypass", "super", "tenant"}

// tenants are open sessions of every role and of both tenants, through a sidecar. truth is a
// superuser's session to Postgres itself, which takes the role of each of them to find out what it
// must be shown.
type tenants struct {
	*testbed
	t        *testing.T
	side     *side
	sessions []*tenantSession
	truth    *pgx.Conn
}

type tenantSession struct {
	role, tenant string
	conn         *pgx.Conn
}

// newTenants starts a server, a sidecar and the sessions. The sidecar compares roles, which no event
// reports, each time verify has passed.
func newTenants(t *testing.T, verify time.Duration) *tenants {
	t.Helper()
	b := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{}), tenantSchema)
	w := &tenants{testbed: b, t: t, truth: b.connect(b.postgres.DSN(b.database))}
	// Where the follower may not read pg_authid, reads of roles that row security does not filter
	// pass through.
	b.exec("GRANT SELECT ON pg_authid TO " + servers.Follower)
	w.side = b.sidecar(func(_ *engine.Options, o *invalidation.FollowerOptions) { o.Verify = verify })
	for _, role := range tenantRoles {
		for _, tenant := range []string{"a", "b"} {
			w.sessions = append(w.sessions, w.open(role, tenant))
		}
	}
	return w
}

// open connects as a role through the sidecar, for a tenant.
func (w *tenants) open(role, tenant string) *tenantSession {
	w.t.Helper()
	conn := w.connect(strings.Replace(w.side.dsn(), "user=postgres", "user="+role, 1))
	s := &tenantSession{role, tenant, conn}
	s.ask(false, "SET app.tenant = '"+tenant+"'")
	return s
}

// ask returns the answer of a session: rows, or the code of an error. It prepares nothing, so that
// Postgres analyses the statement each time.
func (s *tenantSession) ask(extended bool, sql string) string { return asked(s.conn, extended, sql) }

// asked returns what a connection answers to sql: the rows of its first result, or the code of an
// error. extended asks by the extended protocol.
func asked(conn *pgx.Conn, extended bool, sql string) string {
	var rows [][][]byte
	var err error
	if extended {
		result := conn.PgConn().ExecParams(context.Background(), sql, nil, nil, nil, nil).Read()
		rows, err = result.Rows, result.Err
	} else {
		var results []*pgconn.Result
		if results, err = conn.PgConn().Exec(context.Background(), sql).ReadAll(); len(results) > 0 {
			rows = results[0].Rows
		}
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return fmt.Sprintf("%s %v", rows, err)
}

// want returns what Postgres answers to a new session of the same role and tenant, after the
// statements of prepare.
func (w *tenants) want(s *tenantSession, prepare, sql string) string {
	asked(w.truth, false, "SET SESSION AUTHORIZATION "+s.role+"; SET app.tenant = '"+s.tenant+"'; "+prepare)
	answer := asked(w.truth, false, sql)
	asked(w.truth, false, "RESET ALL; RESET SESSION AUTHORIZATION")
	return answer
}

// truths returns what Postgres answers now, for each of the sessions, to each of tenantReads.
func (w *tenants) truths() [][]string {
	w.t.Helper()
	var all [][]string
	for _, s := range w.sessions {
		asked(w.truth, false, "SET SESSION AUTHORIZATION "+s.role+"; SET app.tenant = '"+s.tenant+"'")
		var shown []string
		for _, sql := range tenantReads {
			shown = append(shown, asked(w.truth, false, sql))
		}
		all = append(all, shown)
		asked(w.truth, false, "RESET ALL; RESET SESSION AUTHORIZATION")
	}
	return all
}

// wrongAnswer describes the first answer through the sidecar that is not the one of truths; empty
// if there is none.
func (w *tenants) wrongAnswer(truths [][]string) string {
	w.t.Helper()
	for i, s := range w.sessions {
		for j, sql := range tenantReads {
			for _, extended := range []bool{false, true} {
				if got, want := s.ask(extended, sql), truths[i][j]; got != want {
					return fmt.Sprintf("%s of %s (extended %v): %s\n got  %s\n want %s", s.role, s.tenant, extended, sql, got, want)
				}
			}
		}
	}
	return ""
}

// countCached counts the answers to ask that came from the cache or were loads for it.
func (w *tenants) countCached(ask func()) uint64 {
	count := func() uint64 {
		return w.side.count(HitL1) + w.side.count(HitL2) + w.side.count(Coalesced) + w.side.count(Miss)
	}
	before := count()
	ask()
	return count() - before
}

// TestCase15RowSecurityIsAnsweredByRoleAndTenant: answers are cached for roles that row security does
// not filter, and for each tenant of a role that it filters by settings the sidecar knows. Every
// session gets the answer of Postgres, at first and after each change of a policy, a role or a row
// that decides what the session may see.
func TestCase15RowSecurityIsAnsweredByRoleAndTenant(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	w := newTenants(t, 50*time.Millisecond)
	truths := w.truths()
	for range 2 { // the first time answers are loaded, the second time all come from memory
		if found := w.wrongAnswer(truths); found != "" {
			t.Fatal(found)
		}
	}
	for _, s := range w.sessions {
		for _, sql := range tenantReads {
			for _, extended := range []bool{false, true} {
				n := w.countCached(func() {
					for range 3 {
						s.ask(extended, sql)
					}
				})
				if want := !strings.Contains(sql, "hard") || s.role == "bypass" || s.role == "super"; want != (n == 3) || !want && n > 0 {
					t.Errorf("%s (extended %v): %d of 3 answers to %s came from the cache or were loads for it, want all 3: %v, otherwise none", s.role, extended, n, sql, want)
				}
			}
		}
	}
	if w.side.count(HitL1) == 0 {
		t.Error("there were no hits: this shows nothing")
	}
	w.side.wantBypasses("volatile_function")

	changes := []struct {
		sql string
		// reported is set if an event reports the change: then it counts at once.
		reported bool
	}{
		{"ALTER TABLE letter FORCE ROW LEVEL SECURITY", true}, {"ALTER TABLE letter NO FORCE ROW LEVEL SECURITY", true},
		{"ALTER TABLE letter DISABLE ROW LEVEL SECURITY", true}, {"ALTER TABLE letter ENABLE ROW LEVEL SECURITY", true},
		{"ALTER TABLE letter OWNER TO tenant", true}, {"ALTER TABLE letter OWNER TO owner", true},
		{"ALTER VIEW of_owner OWNER TO tenant", true}, {"ALTER VIEW of_owner OWNER TO owner", true},
		{"CREATE POLICY more ON letter USING (id = 2)", true}, {"DROP POLICY more ON letter", true},
		{"ALTER POLICY own ON letter USING (tenant < current_setting('app.tenant'))", true}, {"ALTER POLICY own ON letter TO owner", true},
		{"ALTER POLICY own ON letter TO PUBLIC USING (tenant = current_setting('app.tenant') AND id IN (SELECT letter_id FROM stamp))", true},
		{"DELETE FROM stamp WHERE letter_id = 1", true}, {"INSERT INTO stamp VALUES (1, 1)", true},
		{"REVOKE SELECT ON letter FROM PUBLIC", true}, {"GRANT SELECT ON letter TO PUBLIC", true},
		{"ALTER ROLE bypass NOBYPASSRLS", false}, {"ALTER ROLE bypass BYPASSRLS", false},
		{"ALTER ROLE tenant BYPASSRLS", false}, {"ALTER ROLE tenant NOBYPASSRLS", false},
		{"ALTER ROLE super NOSUPERUSER", false}, {"ALTER ROLE super SUPERUSER", false},
		{"REVOKE owner FROM member", false}, {"GRANT owner TO member", false},
		{"REASSIGN OWNED BY owner TO tenant", false}, {"REASSIGN OWNED BY tenant TO owner", false},
	}
	if w.major() >= 15 {
		changes = append(changes, struct {
			sql      string
			reported bool
		}{"ALTER VIEW of_owner SET (security_invoker)", true})
	}
	for _, c := range changes {
		w.exec(c.sql)
		w.side.received()
		truths := w.truths()
		if !c.reported {
			servers.Eventually(t, "every session to be answered as by Postgres after "+c.sql, func() bool { return w.wrongAnswer(truths) == "" })
		}
		for range 2 {
			if found := w.wrongAnswer(truths); found != "" {
				t.Fatalf("after %s: %s", c.sql, found)
			}
		}
	}
}

func (b *testbed) major() int {
	b.t.Helper()
	var number int
	if err := b.direct.QueryRow(b.t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&number); err != nil {
		b.t.Fatal(err)
	}
	return number
}

// Forces the interleaving described at keyedsettings.go: a transaction that Postgres has begun sets
// the tenant for itself, and the read behind that, whose verdict names the setting, is shown the rows
// of that tenant, though the answer for the session's own tenant is in the cache. So it is where no
// verdict has named the setting before.
func TestCase15TenantSetInAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newTenants(t, time.Hour)
	const (
		sql   = "SELECT id FROM letter ORDER BY id"
		opens = "SELECT count(*) + random() * 0 FROM stamp" // in Postgres, and is known to change nothing
	)
	s := w.open("tenant", "a")
	s.ask(false, opens)
	w.side.analysed(opens)
	inTransaction := func() {
		t.Helper()
		for _, change := range []string{"SET LOCAL app.tenant = 'b'", "SELECT set_config('app.tenant', 'b', true)"} {
			s.ask(false, "BEGIN")
			s.ask(false, opens)
			s.ask(false, change)
			if got, want := s.ask(false, sql), w.want(s, "SET app.tenant = 'b'", sql); got != want {
				t.Errorf("behind %s the session reads %s, want %s, the rows of tenant b", change, got, want)
			}
			s.ask(false, "ROLLBACK")
		}
	}
	inTransaction() // no verdict has named the setting yet
	own := w.want(s, "", sql)
	servers.Eventually(t, "a hit of the tenant's own answer", func() bool {
		hits := w.side.count(HitL1)
		if got := s.ask(false, sql); got != own {
			t.Fatalf("the session reads %s, want %s, the rows of its own tenant", got, own)
		}
		return w.side.count(HitL1) > hits
	})
	inTransaction()
	if got := s.ask(false, sql); got != own {
		t.Errorf("behind the transactions the session reads %s, want %s, the rows of its own tenant", got, own)
	}
}

// A session that takes another role, by whatever statement, is answered as a session of that role.
func TestCase15SessionIsAnsweredByTheRoleThatItTakes(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	w := newTenants(t, 50*time.Millisecond)
	for _, tenant := range []string{"a", "b"} {
		for range 2 {
			s := w.open("super", tenant)
			for _, change := range []string{
				"SET ROLE tenant", "RESET ROLE", "SET ROLE member", "SET ROLE bypass", "SET ROLE tenant", "SET ROLE NONE", "SET SESSION AUTHORIZATION tenant",
				"SET row_security = off", "RESET row_security", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION owner", "SET row_security = off",
				"RESET SESSION AUTHORIZATION", "SELECT set_config('role', 'tenant', false)", "DISCARD ALL",
			} {
				mustExec(t, s.conn, change, pgx.QueryExecModeSimpleProtocol)
				if change == "DISCARD ALL" { // also ends the setting of the tenant, and the role
					mustExec(t, s.conn, "SET app.tenant = '"+tenant+"'", pgx.QueryExecModeSimpleProtocol)
					if got := asked(s.conn, false, "SELECT current_user"); got != "[[super]] <nil>" {
						t.Fatalf("behind %s the session has the role %s, want super", change, got)
					}
				}
				for _, sql := range tenantReads {
					want := asked(w.truthLike(s), false, sql)
					for _, extended := range []bool{false, true, true, false} {
						if got := s.ask(extended, sql); got != want {
							t.Errorf("%s, after %s (extended %v): %s\n got  %s\n want %s", tenant, change, extended, sql, got, want)
						}
					}
				}
			}
		}
	}
}

// truthLike gives the session truth the role, the row_security and the tenant of s, and returns it.
func (w *tenants) truthLike(s *tenantSession) *pgx.Conn {
	w.t.Helper()
	results, err := s.conn.PgConn().Exec(context.Background(), "SELECT current_user, current_setting('row_security')").ReadAll()
	if err != nil {
		w.t.Fatal(err)
	}
	row := results[0].Rows[0]
	asked(w.truth, false, "RESET ALL; RESET SESSION AUTHORIZATION")
	asked(w.truth, false, fmt.Sprintf("SET app.tenant = '%s'; SET row_security = %s; SET SESSION AUTHORIZATION %s", s.tenant, row[1], row[0]))
	return w.truth
}

// Postgres keeps the plan of a prepared statement when the role gets BYPASSRLS: the session that
// prepared the statement goes on being shown the rows of its tenant alone. They must not be kept as
// the answer of all sessions of the role, which see all rows now.
func TestAnswerOfAPlanFromBeforeBypassRLSIsNotKept(t *testing.T) {
	t.Parallel()
	w := newTenants(t, 50*time.Millisecond)
	const sql = "SELECT id FROM letter ORDER BY id"
	old := w.open("tenant", "a")
	if _, err := old.conn.Prepare(t.Context(), "kept", sql); err != nil {
		t.Fatal(err)
	}
	ids := func(s *tenantSession) string {
		statement := sql
		if s == old {
			statement = "kept"
		}
		rows, _ := s.conn.Query(t.Context(), statement) // CollectRows returns its error
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(ids)
	}
	if got := ids(old); got != "[1 3]" {
		t.Fatalf("before the change the tenant reads %s, want [1 3]", got)
	}
	w.exec("ALTER ROLE tenant BYPASSRLS")
	// A session that begins now has the new rights at once, and a key of its own.
	fresh := w.open("tenant", "b")
	servers.Eventually(t, "the old session to read all rows, by way of the cache", func() bool {
		if got := ids(fresh); got != "[1 2 3]" {
			t.Fatalf("a new session of a role with BYPASSRLS reads %s, want [1 2 3]", got)
		}
		return ids(old) == "[1 2 3]" && w.countCached(func() { ids(old) }) == 1
	})
	for range 3 {
		for _, s := range []*tenantSession{old, fresh, w.open("tenant", "b")} {
			if got := ids(s); got != "[1 2 3]" {
				t.Errorf("a session of tenant %s reads %s, want [1 2 3]", s.tenant, got)
			}
		}
	}
}

// A role has BYPASSRLS for a moment between two comparisons of roles, and then is what it was. What
// it has loaded in that moment must not be served afterwards.
func TestBypassRLSOfAMomentIsNoticed(t *testing.T) {
	t.Parallel()
	w := newTenants(t, time.Second) // the time between two comparisons, in which BYPASSRLS is given and taken away
	const sql = "SELECT * FROM letter ORDER BY id"
	w.exec("ALTER ROLE tenant BYPASSRLS")
	s := w.open("tenant", "a")
	for range 3 {
		s.ask(true, sql)
	}
	w.exec("ALTER ROLE tenant NOBYPASSRLS")
	want := w.want(s, "", sql)
	servers.Eventually(t, "the tenant to read its own rows alone again", func() bool { return s.ask(true, sql) == want })
	for range 3 {
		for _, s := range []*tenantSession{s, w.open("tenant", "a")} {
			if got := s.ask(true, sql); got != want {
				t.Errorf("a session of the tenant reads %s, want %s", got, want)
			}
		}
	}
}
