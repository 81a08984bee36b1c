package servers

import (
	"strings"
	"testing"
)

// What tests do to roles on a server that others share is found at the end, also where nothing of it is
// left.
func TestChangeOfRolesOnASharedServerIsFoundAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql   string
		found bool
	}{
		"a database alone":        {sql: "CREATE DATABASE other"},
		"a role that stays":       {sql: "CREATE ROLE stays", found: true},
		"a role that is dropped":  {sql: "CREATE ROLE goes; DROP ROLE goes", found: true},
		"a limit of a role":       {sql: "ALTER ROLE postgres CONNECTION LIMIT -1", found: true},
		"a membership":            {sql: "GRANT pg_monitor TO freshet_follower", found: true},
		"a setting of a database": {sql: "ALTER DATABASE postgres SET work_mem = '1MB'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			launch, ended := launchOfSteadyRoles(PostgresOptions{})
			p, err := launch()
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Execute(t.Context(), "postgres", c.sql); err != nil {
				t.Fatal(err)
			}
			var found error
			if Eventually(t, "the server to count", func() bool { found = ended(p); return (found != nil) == c.found }); found != nil && !strings.Contains(found.Error(), "SharedPostgresOfRoles") {
				t.Errorf("the change is told as %q, want the server named that is for it", found)
			}
		})
	}
}
