package invalidation

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// role is the OID of a role.
func (db *database) role(name string) (oid uint32) {
	db.t.Helper()
	if err := db.QueryRow(db.t.Context(), "SELECT oid FROM pg_roles WHERE rolname = $1", name).Scan(&oid); err != nil {
		db.t.Fatalf("oid of role %s: %v", name, err)
	}
	return oid
}

// What is done to a role ends what it has read, what its members have, and what depends on
// whatever role; and what no answer depends on ends nothing.
func TestChangesOfRolesEndWhatTheyTouch(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	database := db.value("SELECT current_database()")
	f := db.follow(func(o *FollowerOptions) { o.Verify = time.Hour })
	db.run("CREATE ROLE base", "CREATE ROLE middle IN ROLE base", "CREATE ROLE leaf IN ROLE middle", "CREATE ROLE alone", "CREATE ROLE another")
	names := []string{"base", "middle", "leaf", "alone", "another"}
	f.Suspect()
	f.confirmNow()
	for _, c := range []struct {
		change string
		ended  []string // names of roles; "roles" for what depends on whatever role
	}{
		{"ALTER ROLE alone SET search_path = elsewhere", nil},
		{"ALTER ROLE leaf IN DATABASE " + database + " SET work_mem = '5MB'", nil},
		{"ALTER DATABASE " + database + " SET TimeZone = 'Asia/Tokyo'", nil},
		{"ALTER ROLE ALL SET statement_timeout = 1000", nil},
		{"ALTER ROLE leaf PASSWORD 'x' CREATEDB CONNECTION LIMIT 3 VALID UNTIL '2030-01-01' LOGIN", nil},
		{"CREATE ROLE fresh IN ROLE base", nil},
		{"GRANT another TO fresh", []string{"roles"}}, // which is known by then
		{"DROP ROLE fresh", []string{"roles"}},
		{"GRANT base TO alone", []string{"alone", "roles"}},
		{"REVOKE base FROM alone", []string{"alone", "roles"}},
		{"REVOKE base FROM middle", []string{"middle", "leaf", "roles"}},
		{"GRANT another TO base", []string{"base", "roles"}},
		{"ALTER ROLE middle NOINHERIT", []string{"middle", "leaf", "roles"}},
		{"ALTER ROLE leaf SUPERUSER", []string{"leaf", "roles"}},
		{"ALTER ROLE alone BYPASSRLS", []string{"alone", "roles"}},
		{"ALTER ROLE alone RENAME TO lonely; ALTER ROLE lonely RENAME TO alone", nil},
		{"ALTER ROLE leaf RENAME TO twig", []string{"leaf", "roles"}},
	} {
		head := f.load(fence.SchemaText)
		entries := map[string]*fence.Ticket{"roles": f.load(fence.RolesText)}
		for _, name := range names {
			if name == "leaf" && db.value("SELECT count(*) FROM pg_roles WHERE rolname = 'leaf'") == "0" {
				continue
			}
			entries[name] = f.load(fence.RoleText(db.role(name)))
		}
		resets := fmt.Sprint(f.Stats().Resets)
		db.run(c.change)
		f.Suspect()
		f.confirmNow()
		for name, entry := range entries {
			f.wantAdmitted(entry, !slices.Contains(c.ended, name), fmt.Sprintf("an entry of %s behind %s", name, c.change))
		}
		f.wantAdmitted(head, true, "an entry of none of them behind "+c.change)
		if got := fmt.Sprint(f.Stats().Resets); got != resets {
			t.Errorf("%s: resets %s, were %s", c.change, got, resets)
		}
	}
}

// A role that is made, read by and changed before anybody compares is new to the comparison.
// What it has read is ended all the same.
func TestChangesOfANewRole(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	f := db.follow(func(o *FollowerOptions) { o.Verify = time.Hour })
	db.run("CREATE ROLE base")
	f.Suspect()
	f.confirmNow()
	db.run("CREATE ROLE fresh IN ROLE base")
	own := f.load(fence.RoleText(db.role("fresh")), fence.RolesText)
	other := f.load(fence.RolesText)
	db.run("REVOKE base FROM fresh")
	f.Suspect()
	f.confirmNow()
	f.wantAdmitted(own, false, "what a new role read by a membership that it has lost")
	f.wantAdmitted(other, true, "what others have read")
}

// A role that comes and goes between two comparisons leaves nothing to be found.
func TestRoleOfAMoment(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	f := db.follow(func(o *FollowerOptions) { o.Verify = time.Hour })
	f.confirmNow()
	db.run("CREATE ROLE fleeting")
	oid := db.role("fleeting")
	if f.KnowsRole(oid) {
		t.Error("a role is known before anybody compared")
	}
	f.confirmNow() // which the question has had compare
	if !f.KnowsRole(oid) || !f.KnowsRole(0) {
		t.Error("a role is not known behind the comparison that was asked for")
	}
	entry := f.load(fence.RoleText(oid))
	db.run("DROP ROLE fleeting")
	f.Suspect()
	f.confirmNow()
	f.wantAdmitted(entry, false, "what a role has read that was dropped")
}

// Since version 16 who makes a role may give it to others, and is a member that has nothing of
// it. That he made one ends nothing, and that he took more for a moment ends what he read.
func TestMembershipsThatOnlyGive(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	if db.value("SELECT current_setting('server_version_num')::int >= 160000") != "true" {
		t.Skip("memberships have options since version 16")
	}
	f := db.follow(func(o *FollowerOptions) { o.Verify = time.Hour })
	db.run("CREATE ROLE vault CREATEROLE")
	f.Suspect()
	f.confirmNow()
	vault := fence.RoleText(db.role("vault"))
	entry := f.load(vault)
	db.run("SET ROLE vault", "CREATE ROLE lease", "RESET ROLE")
	f.Suspect()
	f.confirmNow()
	f.wantAdmitted(entry, true, "what the maker of a role has read")
	db.run("SET ROLE vault", "GRANT lease TO vault WITH INHERIT TRUE", "REVOKE lease FROM vault", "RESET ROLE",
		"GRANT lease TO vault WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
	f.Suspect()
	f.confirmNow()
	entry = f.load(vault)
	db.run("GRANT lease TO vault WITH INHERIT TRUE", "GRANT lease TO vault WITH INHERIT FALSE")
	f.Suspect()
	f.confirmNow()
	f.wantAdmitted(entry, false, "what a role read while it inherited for a moment")
}

// The interleaving at the top of roles.go.
func TestRolesReportedByTwoFollowers(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	db.run("CREATE ROLE base", "CREATE ROLE someone", "CREATE ROLE alone")
	find := func() silent {
		t.Helper()
		found, err := readSilent(t.Context(), db.Conn)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	report := func(found, before silent) (tags []string) {
		t.Helper()
		db.run("TRUNCATE freshet.outbox")
		if err := found.record(t.Context(), db.Conn, before.sum, found.endedBy(&before)); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow(t.Context(), "SELECT coalesce((SELECT tags FROM freshet.outbox), '{}')").Scan(&tags); err != nil {
			t.Fatal(err)
		}
		return tags
	}
	someone, alone := fence.RoleText(db.role("someone")), fence.RoleText(db.role("alone"))
	first := find()
	if got := report(first, silent{}); !slices.Equal(got, []string{fence.SchemaText}) {
		t.Errorf("the first who records reports %q", got)
	}
	db.run("GRANT base TO someone")
	given := find()
	if got := report(given, first); !slices.Equal(got, []string{someone, fence.RolesText}) {
		t.Errorf("B reports %q", got)
	}
	if got := report(given, first); len(got) != 0 {
		t.Errorf("what B has reported, A reports again: %q", got)
	}
	db.run("REVOKE base FROM someone", "ALTER ROLE alone NOINHERIT")
	taken := find()
	if got := taken.endedBy(&first); !slices.Equal(got, []string{alone, fence.RolesText}) {
		t.Errorf("to A, %q has changed", got)
	}
	if got := report(taken, first); !slices.Equal(got, []string{fence.SchemaText}) {
		t.Errorf("A, who has not compared what B reported, reports %q", got)
	}
}
