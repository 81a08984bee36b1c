package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// auditsRarely leaves it to the sidecar to notice what no event reports.
func auditsRarely(_ *engine.Options, f *invalidation.FollowerOptions) { f.Verify = time.Hour }

// TestRoleCommandsAreSeenAtOnce: what a command that passes through the sidecar does to a
// role, which no event reports, every session of the sidecar sees that the role has, also
// those that began before.
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
		"made anew":                {"", "DROP ROLE {member}; CREATE ROLE {member} LOGIN"},
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
				t.Errorf("a session that was open reads %s, of Postgres %s", got, want)
			}
			if want != "42501" {
				t.Errorf("Postgres says %s: this shows nothing", want)
			}
			if _, err := issuer.Exec(t.Context(), named("SET ROLE {member}")); err == nil {
				if got := asked(issuer, false, sql); got != "42501" {
					t.Errorf("the session that issued the command reads %s", got)
				}
			}
		})
	}
}
