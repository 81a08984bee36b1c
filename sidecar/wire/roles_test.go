package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
)

// auditsRarely makes a sidecar that compares roles, which no event reports, by itself only once an
// hour: within a test only because of a command that passes through it, or because the test asks.
func auditsRarely(_ *engine.Options, f *invalidation.FollowerOptions) { f.Verify = time.Hour }

// TestRoleCommandsAreSeenAtOnce takes a right away from a role by a command that passes through the
// sidecar. No event reports the command. All the same, each session of that role is refused its
// next read as by Postgres, also a session that has read from the cache before.
func TestRoleCommandsAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	const sql = "SELECT version FROM item WHERE id = 7"
	for name, c := range map[string]struct{ attributes, commands string }{
		"REVOKE of a role":         {"", "REVOKE {group} FROM {member}"},
		"REVOKE in a transaction":  {"", "BEGIN; REVOKE {group} FROM {member}; COMMIT"},
		"REVOKE in a block of SQL": {"", "DO $$ BEGIN REVOKE {group} FROM {member}; END $$"},
		"ALTER GROUP":              {"", "ALTER GROUP {group} DROP USER {member}"},
		"NOSUPERUSER":              {"SUPERUSER", "REVOKE {group} FROM {member}; ALTER USER {member} NOSUPERUSER"},
		"NOINHERIT":                {"", "ALTER ROLE {member} NOINHERIT; REVOKE {group} FROM {member}; GRANT {group} TO {member}"},
		"DROP ROLE":                {"", "DROP ROLE {member}"},
		"DROP and CREATE ROLE":     {"", "DROP ROLE {member}; CREATE ROLE {member} LOGIN"},
		"DROP OWNED":               {"", "DROP OWNED BY {group}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bed := newRolesTestbed(t, itemSchema)
			s := bed.sidecar(auditsRarely)
			group, member := bed.database+"_group", bed.database+"_member"
			named := func(sql string) string { return strings.NewReplacer("{group}", group, "{member}", member).Replace(sql) }
			bed.exec(named("CREATE ROLE {group}; GRANT SELECT ON item TO {group}; CREATE ROLE {member} LOGIN " + c.attributes + "; GRANT {group} TO {member}"))
			t.Cleanup(func() { bed.exec(named("DROP OWNED BY {group}; DROP ROLE {group}; DROP ROLE IF EXISTS {member}")) })
			dsn := "host=%s port=%d user=%s dbname=%s"
			open := bed.connect(fmt.Sprintf(dsn, s.dir, testPort, member, bed.database))
			plain := bed.connect(bed.postgres.DSN(bed.database) + " user=" + member)
			issuer := s.connect()
			mustExec(t, issuer, named("SET ROLE {member}"))
			for _, conn := range []*pgx.Conn{open, issuer} {
				servers.Eventually(t, "a hit", func() bool {
					before := s.count(HitL1)
					asked(conn, false, sql)
					return s.count(HitL1) > before
				})
			}
			mustExec(t, issuer, "RESET ROLE")
			mustExec(t, issuer, named(c.commands))
			want := asked(plain, false, sql)
			if got := asked(open, false, sql); got != want {
				t.Errorf("a session that was open before reads %s, Postgres says %s", got, want)
			}
			if want != "42501" {
				t.Errorf("Postgres says %s, want the error 42501: this shows nothing", want)
			}
			if _, err := issuer.Exec(t.Context(), named("SET ROLE {member}")); err == nil {
				if got := asked(issuer, false, sql); got != "42501" {
					t.Errorf("the session that issued the command reads %s, want the error 42501", got)
				}
			}
		})
	}
}

// TestMembershipChangeEndsTheEntriesOfItsMembersAlone gives and takes away a membership, and
// BYPASSRLS, at Postgres directly. The membership is not the member's own: member is in middle, and
// middle is put into group. Three entries are there before: what member reads of a table with row
// security, what other reads of a view of that table which member owns, and what other reads of
// another table. Once the sidecar has compared roles, the first two are what Postgres answers, and
// the third is still a hit.
func TestMembershipChangeEndsTheEntriesOfItsMembersAlone(t *testing.T) {
	t.Parallel()
	const own, view, elsewhere = "SELECT count(*) FROM item", "SELECT * FROM peek", "SELECT count(*) FROM plain"
	bed := newRolesTestbed(t, itemSchema+"; CREATE TABLE plain (id int PRIMARY KEY); CREATE VIEW peek AS SELECT count(*) FROM item")
	bed.steadyRoles = true
	s := bed.sidecar(auditsRarely)
	names := strings.NewReplacer("{group}", bed.database+"_group", "{middle}", bed.database+"_middle", "{member}", bed.database+"_member", "{other}", bed.database+"_other")
	bed.exec(names.Replace(`CREATE ROLE {group}; CREATE ROLE {middle}; CREATE ROLE {member} LOGIN IN ROLE {middle}; CREATE ROLE {other} LOGIN; GRANT SELECT ON item TO {member};
		ALTER VIEW peek OWNER TO {member}; GRANT SELECT ON plain, peek TO {other}; GRANT SELECT ON plain TO {group};
		ALTER TABLE item ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON item TO {member} USING (id < 3); CREATE POLICY all_of_it ON item TO {group} USING (true)`))
	t.Cleanup(func() {
		bed.exec(names.Replace("DROP VIEW peek; DROP OWNED BY {group}, {middle}, {member}, {other}; DROP ROLE {group}, {middle}, {member}, {other}"))
	})
	through := func(role string) *pgx.Conn {
		return bed.connect(fmt.Sprintf("host=%s port=%d user=%s dbname=%s", s.dir, testPort, names.Replace(role), bed.database))
	}
	reader, bystander := through("{member}"), through("{other}")
	plain := bed.connect(bed.postgres.DSN(bed.database) + " user=" + names.Replace("{member}"))
	hit := func(conn *pgx.Conn, sql string) (answer string) {
		servers.Eventually(t, "a hit of "+sql, func() bool {
			before := s.count(HitL1)
			answer = asked(conn, false, sql)
			return s.count(HitL1) > before
		})
		return answer
	}
	follows := func(conn *pgx.Conn, sql, command, want string) {
		for range 2 {
			if got := asked(conn, false, sql); got != want {
				// allFound looks for "the sidecar says" in this message.
				t.Errorf("behind %s, to %s the sidecar says %s, Postgres says %s", command, sql, got, want)
			}
		}
	}
	hit(bystander, elsewhere)
	for _, command := range []string{"GRANT {group} TO {middle}", "REVOKE {group} FROM {middle}", "ALTER ROLE {member} BYPASSRLS", "ALTER ROLE {member} NOBYPASSRLS"} {
		before := hit(reader, own)
		hit(bystander, view)
		if strings.HasPrefix(command, "REVOKE") {
			hit(reader, elsewhere) // member may read this table only while it is in group
		}
		bed.exec(names.Replace(command))
		want := asked(plain, false, own)
		if want == before {
			t.Fatalf("behind %s Postgres says %s as before: this shows nothing", command, want)
		}
		compared := fence.Now()
		s.follower.Suspect()
		servers.Eventually(t, "a look that compares roles", func() bool { s.follower.Wake(); return s.fence.LookBegan() > compared })
		follows(reader, own, command, want)
		follows(bystander, view, command, want)
		follows(reader, elsewhere, command, asked(plain, false, elsewhere))
		misses := s.count(Miss)
		if asked(bystander, false, elsewhere); s.count(Miss) != misses {
			t.Errorf("behind %s a read of another role of another table is a miss, want a hit", command)
		}
	}
}

// roleRules are planted mistakes: each takes away a rule of which entries the change of a role
// ends.
var roleRules = []mutant.Named{
	{Name: "members of a role that has changed keep what they read", Edits: []mutant.Edit{{
		File: "invalidation/roles.go", As: mutant.Statements,
		Old: "spread(changed, before.members, s.members)",
		New: "",
	}}},
	{Name: "answers do not name the role that read them", Edits: []mutant.Edit{{
		File: "invalidation/analysis/fencetags.go", As: mutant.Condition,
		Old: "v.role != 0",
		New: "false",
	}, {
		File: "invalidation/analysis/fencetags.go", As: mutant.Condition,
		Old: "v.role == 0 || v.otherRoles",
		New: "false",
	}}},
	{Name: "answers that depend on other roles name the reader's alone", Edits: []mutant.Edit{{
		File: "invalidation/analysis/fencetags.go", As: mutant.Condition,
		Old: "v.role == 0 || v.otherRoles",
		New: "false",
	}}},
	{Name: "the event of a changed role ends nothing", Edits: []mutant.Edit{{
		File: "invalidation/look.go", As: mutant.Statements,
		Old: "s.roles = s.roles || fence.IsRoleText(text)",
		New: "event.Tags[i] = fence.NewTag(\"nothing\")",
	}}},
}

// TestPlantedRoleMistakesAreFound: with each of roleRules, a reader is shown an answer from before
// the change of a role.
func TestPlantedRoleMistakesAreFound(t *testing.T) {
	t.Parallel()
	allFound(t, roleRules, "TestMembershipChangeEndsTheEntriesOfItsMembersAlone")
}
