package analysis

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Row security filters the rows of a table by who reads them. It does not apply
// at all to superusers, to roles with BYPASSRLS and, unless it is forced, to those
// with the privileges of the table's owner. What is read where it applies depends on
// policies, too: see policies.go.
//
// Postgres asks this of the table that the query names, never of its partitions or
// children, and for the current role; or, within a view without security_invoker,
// for the view's owner. As whom a table is read stands in the tree.

// securedRead is an occurrence of a table with row security in a tree.
type securedRead struct {
	table uint32
	as    uint32 // the role whose rights count; 0 for the client's
	// filtered is set if Postgres filters the rows for the role of the analysis or,
	// where as is set, for that.
	filtered bool
}

// role is what counts of one.
type role struct {
	name string
	// bypasses is set if no row security applies to the role.
	bypasses bool
	// doubtful is set if it would be, but a change of that could go unnoticed.
	doubtful bool
	// certain is set if a change of what row security asks of the role is noticed, however
	// soon it is changed back.
	certain bool
	// owners are the roles whose privileges it has, of those asked for.
	owners map[uint32]bool
}

// dropSecurityQuals takes out of a tree what row security put in for the role of
// the analysis, which is another than the client's: without it the tree is that of
// a role to which it does not apply. It returns the entries that had some.
func dropSecurityQuals(query *node) map[*node]bool {
	filtered := map[*node]bool{}
	walk(query, func(n *node) bool {
		if n.tag == "RANGETBLENTRY" {
			for i := range n.fields {
				if f := &n.fields[i]; f.name == "securityQuals" && f.value != nil {
					filtered[n], f.value = true, nil
				}
			}
		}
		return true
	})
	return filtered
}

// securedReads lists the tables with row security in a tree. Postgres marks every
// query in which it met one, and makes a plan anew when the role changes if the
// outermost is marked. Releases before 14.14, 15.9, 16.5 and 17.1 forget that
// for tables further down, and would answer one role with the plan of another.
func (c *catalog) securedReads(query *node, filtered map[*node]bool) (reads []securedRead, err error) {
	defer catch(&err)
	walk(query, func(q *node) bool {
		if q.tag != "QUERY" {
			return true
		}
		for _, e := range q.nodes("rtable") {
			if e.int("rtekind") != rteRelation || e.atom("relkind") == "v" {
				continue
			}
			if r := c.relation(e.oid("relid")); r != nil && r.rowSecurity {
				reads = append(reads, securedRead{e.oid("relid"), readAs(q, e), filtered[e]})
			}
		}
		return true
	})
	if query.bool("hasRowSecurity") != (len(reads) > 0) {
		return nil, refuse(ReasonRowSecurity, "Postgres and its catalog do not agree: a table is being changed, or this release keeps plans of other roles")
	}
	return reads, nil
}

// readAs returns the role as which a query reads a table, 0 for the client's.
func readAs(query, entry *node) uint32 {
	if entry.optional("checkAsUser") != nil { // before version 16
		return entry.oid("checkAsUser")
	}
	infos, i := query.nodes("rteperminfos"), entry.int("perminfoindex")
	if i < 1 || i > len(infos) || infos[i-1].oid("relid") != entry.oid("relid") {
		panic(refuse(ReasonUnknownNode, "table without permissions"))
	}
	return infos[i-1].oid("checkAsUser")
}

// rolesSQL asks what Postgres asks of roles ($1) and owners of tables ($2).
//
// No event tells of a change of a role; the follower compares, every second or so.
// A role that was given BYPASSRLS for a moment in between looks as it did before,
// and rows loaded in that moment would be kept for a role that must not see them.
// So a follower that may read pg_authid compares the versions of its rows. What
// depends on these counts only where the analysis, which has the same role, may
// read it too, or where the operator says that roles are steady ($3): then what the
// follower compares by value, in pg_roles, is enough. Memberships have versions that
// everybody may read, but up to version 15 whether they are inherited stands in
// pg_authid.
//
// What would need no word of the operator's does not pay. Each load could be put between
// two questions of the sidecar's own, for pg_current_snapshot() and what the role may:
// if both snapshots are one, no transaction with an id has ended in between, in whatever
// database, and so no ALTER ROLE. But a server that is written to ends one every
// millisecond or so, while each load would cost two questions more.
const rolesSQL = `
	SELECT r.oid, r.rolname::text, (r.rolsuper OR r.rolbypassrls) AND k.attributes, (r.rolsuper OR r.rolbypassrls) AND NOT k.attributes, k.attributes,
	       ARRAY(SELECT o.oid FROM pg_catalog.unnest($2::oid[]) o(oid)
	             WHERE o.oid = r.oid OR (k.attributes OR k.memberships AND NOT r.rolsuper)
	               AND EXISTS (SELECT FROM pg_catalog.pg_roles e WHERE e.oid = o.oid) AND pg_catalog.pg_has_role(r.oid, o.oid, 'USAGE'))
	FROM pg_catalog.pg_roles r,
	     (SELECT $3 OR pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS attributes,
	             pg_catalog.current_setting('server_version_num')::int4 >= 160000 AS memberships) k
	WHERE r.oid = ANY ($1)`

// loadRoles reads what is missing of the roles as which tables with row security
// are read, and of the client's.
func (c *catalog) loadRoles(ctx context.Context, conn *pgx.Conn, reads []securedRead, client uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var oids, owners []uint32
	for _, read := range reads {
		owner := c.relations[read.table].owner
		for _, oid := range []uint32{read.as, client} {
			if known := c.roles[oid]; oid != 0 && (known == nil || !known.asked(owner)) {
				oids, owners = append(oids, oid), append(owners, owner)
			}
		}
	}
	if len(oids) == 0 {
		return nil
	}
	// What is known of a role is replaced, so it is asked about the other owners too.
	for _, oid := range oids {
		if known := c.roles[oid]; known != nil {
			owners = slices.AppendSeq(owners, maps.Keys(known.owners))
		}
	}
	rows, err := conn.Query(ctx, rolesSQL, oids, owners, c.steadyRoles)
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	var oid uint32
	var r role
	var has []uint32
	if _, err = pgx.ForEachRow(rows, []any{&oid, &r.name, &r.bypasses, &r.doubtful, &r.certain, &has}, func() error {
		fresh := r
		fresh.owners = map[uint32]bool{}
		for _, owner := range owners {
			fresh.owners[owner] = slices.Contains(has, owner)
		}
		c.roles[oid] = &fresh
		return nil
	}); err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	return nil
}

// asked tells whether it is known if the role has the privileges of another.
func (r *role) asked(owner uint32) bool {
	_, ok := r.owners[owner]
	return ok
}

// role returns what was loaded of a role, or nil.
func (c *catalog) role(oid uint32) *role {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.roles[oid]
}

// applies tells whether the table's row security applies to a role, as Postgres
// decides it; nil is a role that is not known.
func (r *relation) applies(to *role) bool {
	switch {
	case !r.rowSecurity:
		return false
	case to == nil:
		return true
	case to.bypasses:
		return false
	case r.forced:
		return true
	}
	return !to.owners[r.owner]
}

// checkRowSecurity refuses reads that row security filters in a way that could change
// unnoticed, or that nobody keys. Where the tree was made for the very role that counts,
// Postgres itself has said whether it filters.
func (s *statement) checkRowSecurity() {
	for _, read := range s.secured {
		table, role := s.catalog.relation(read.table), s.catalog.reader(read, s.request.Role)
		applies := table.applies(role)
		if applies && (!s.request.Keyed || role == nil || !role.certain) || !applies && read.as != 0 && read.filtered {
			panic(refuse(ReasonRowSecurity, explainRowSecurity(table, role, read.as != 0, s.request.Keyed)))
		}
	}
	for _, p := range s.policies {
		s.checkTree(p.condition)
	}
}

func explainRowSecurity(table *relation, role *role, view, keyed bool) string {
	name := table.schema + "." + table.name
	switch {
	case role == nil:
		return name
	case role.doubtful:
		return name + "; role " + role.name + " bypasses it, but a change of that could go unnoticed, as the upstream's role may not read pg_authid"
	case view && (role.certain || !keyed):
		return name + " applies to role " + role.name + ", the owner of a view"
	case !role.certain && keyed:
		return name + " applies to role " + role.name + "; a change of the role could go unnoticed, as the upstream's role may not read pg_authid"
	}
	return name + " applies to role " + role.name
}

// hides tells whether the client's role would not see all rows of a table that it
// reads by itself. A statement can read them all the same, as the owner of a view.
func (s *statement) hides(oid uint32) bool {
	table := s.catalog.relation(oid)
	return table.applies(s.catalog.role(s.request.Role))
}

// securedTables lists the tables whose row security does not apply, and those where it does.
func (s *statement) securedTables() (exempt, filtered []string) {
	for _, read := range s.secured {
		r := s.catalog.relation(read.table)
		if name := r.schema + "." + r.name; r.applies(s.catalog.reader(read, s.request.Role)) {
			filtered = append(filtered, name)
		} else {
			exempt = append(exempt, name)
		}
	}
	slices.Sort(exempt)
	slices.Sort(filtered)
	return slices.Compact(exempt), slices.Compact(filtered)
}

// policyTables lists the tables that the conditions of policies read, and the views of these.
func (s *statement) policyTables() (oids []uint32) {
	for _, p := range s.policies {
		oids = append(oids, relationsIn(p.condition, false)...)
	}
	slices.Sort(oids)
	return slices.Compact(oids)
}
