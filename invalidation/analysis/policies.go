package analysis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/settings"
)

// Where row security applies to a reader, the answer depends on the conditions of the table's
// policies, too: on the tables that they read, whatever their rows, and on the settings of the
// application's own that they ask for by a constant name (current_setting('app.tenant')). The
// former are tags, the latter belong in the key (Verdict.Settings), besides the role.
//
// Which policies apply to a role depends on its memberships. All of a table that concern SELECT
// are taken: more tags and settings than are needed cost hits, not truth. Their conditions are
// read as Postgres has stored them, before rewriting: of a view in one the query is read too, see
// policyviews.go. Whatever would be refused in a statement is refused in a condition.
//
// A change of a policy is a change of the schema, as is one of whether row security is on or
// forced. A change of a role is not: where one could go unnoticed for a moment, nothing that
// is filtered is cached (see rolesSQL):
//
//  1. a tenant's role is given BYPASSRLS, and reads all rows;
//  2. it is taken away again, before anybody compares;
//  3. the answer of 1 would be that of every session of the role.

// policyLevelsMax bounds how deep conditions may read tables that have policies themselves.
const policyLevelsMax = 4

// policy is the condition of a policy as one reader meets it, or the query of a view that one
// reads.
type policy struct {
	condition *node
	as        uint32 // the role whose rights count for the tables in it; 0 for the client's
}

// conditionsSQL gives the conditions of policies that concern SELECT, of tables ($1).
const conditionsSQL = `
	SELECT p.polrelid, p.polqual::pg_catalog.text FROM pg_catalog.pg_policy p
	WHERE p.polrelid = ANY ($1) AND p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL`

// condition is what is known of a policy's condition: a tree, or why it is not understood.
type condition struct {
	tree *node
	no   error
}

// loadConditions reads the policies of tables.
func (c *catalog) loadConditions(ctx context.Context, conn *pgx.Conn, tables []uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := map[uint32]bool{}
	for _, table := range tables {
		wanted[table] = true
	}
	unread := missing(c.conditions, wanted)
	if len(unread) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, conditionsSQL, unread)
	if err != nil {
		return fmt.Errorf("read policies: %w", err)
	}
	found := map[uint32][]condition{}
	var table uint32
	var text string
	if _, err = pgx.ForEachRow(rows, []any{&table, &text}, func() error {
		found[table] = append(found[table], readCondition(text))
		return nil
	}); err != nil {
		return fmt.Errorf("read policies: %w", err)
	}
	for _, table := range unread {
		c.conditions[table] = found[table]
	}
	return nil
}

// readCondition reads the condition of a policy. Where its constants stood is of a text that
// is not the statement's.
func readCondition(text string) condition {
	tree, err := readTree(text)
	root, ok := tree.(*node)
	switch {
	case err != nil:
		return condition{no: err}
	case !ok:
		return condition{no: refuse(ReasonUnknownNode, "a policy's condition")}
	}
	return condition{tree: withoutLocations(root)}
}

// withoutLocations takes out of a stored tree where its constants stood.
func withoutLocations(root *node) *node {
	walk(root, func(n *node) bool {
		for i := range n.fields {
			if n.fields[i].name == "location" {
				n.fields[i].value = atom("-1")
			}
		}
		return true
	})
	return root
}

// loadPolicies reads the policies that filter reads for their readers, with those of the
// tables that they read in turn. It adds what they mention to wanted.
func (c *catalog) loadPolicies(ctx context.Context, conn *pgx.Conn, reads []securedRead, client uint32, wanted needs) (policies []policy, inner []securedRead, err error) {
	pending, views := reads, map[uint32]bool{}
	var seen []securedRead
	for range policyLevelsMax {
		var filtered []securedRead
		var tables []uint32
		for _, read := range pending {
			reader := securedRead{table: read.table, as: read.as}
			if slices.Contains(seen, reader) || !c.relation(read.table).applies(c.reader(read, client)) {
				continue
			}
			seen, filtered, tables = append(seen, reader), append(filtered, reader), append(tables, read.table)
		}
		if len(filtered) == 0 {
			return policies, inner, nil
		}
		if err := c.loadConditions(ctx, conn, tables); err != nil {
			return nil, nil, err
		}
		var fresh []policy
		for _, read := range filtered {
			for _, found := range c.conditionsOf(read.table) {
				if found.no != nil {
					return nil, nil, found.no
				}
				fresh = append(fresh, policy{found.tree, read.as})
			}
		}
		if fresh, err = c.withViews(ctx, conn, fresh, views); err != nil {
			return nil, nil, err
		}
		mentioned := newNeeds()
		for _, p := range fresh {
			more, err := collect(p.condition)
			if err != nil {
				return nil, nil, err
			}
			mentioned.add(more)
		}
		if err := c.load(ctx, conn, mentioned); err != nil {
			return nil, nil, err
		}
		wanted.add(mentioned)
		policies = append(policies, fresh...)
		if pending, err = c.readsOf(fresh); err != nil {
			return nil, nil, err
		}
		if err := c.loadRoles(ctx, conn, pending, client); err != nil {
			return nil, nil, err
		}
		inner = append(inner, pending...)
	}
	return nil, nil, refuse(ReasonTooComplex, "policies that read tables with policies")
}

// readsOf lists the tables with row security that conditions read, each as whom it is read.
func (c *catalog) readsOf(policies []policy) (reads []securedRead, err error) {
	defer catch(&err)
	for _, p := range policies {
		for _, oid := range relationsIn(p.condition, false) {
			if r := c.relation(oid); r != nil && r.rowSecurity {
				reads = append(reads, securedRead{table: oid, as: p.as})
			}
		}
	}
	return reads, nil
}

// conditionsOf returns what was loaded of a table's policies.
func (c *catalog) conditionsOf(table uint32) []condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conditions[table]
}

// reader returns the role as which a table is read, nil if it is not known.
func (c *catalog) reader(read securedRead, client uint32) *role {
	if read.as != 0 {
		return c.role(read.as)
	}
	return c.role(client)
}

// add adds what another tree mentions.
func (n needs) add(more needs) {
	for _, pair := range [...][2]map[uint32]bool{
		{n.relations, more.relations}, {n.functions, more.functions}, {n.types, more.types}, {n.collations, more.collations}, {n.operators, more.operators},
	} {
		for oid := range pair[1] {
			pair[0][oid] = true
		}
	}
}

// readsSetting notes the setting that a call of current_setting asks for. It reports false if
// that is not one of the application's own with a constant name, or if nobody keys it.
func (s *statement) readsSetting(call *node) bool {
	args := call.nodes("args")
	if !s.request.Keyed || len(args) == 0 || args[0].tag != "CONST" {
		return false
	}
	name, ok := constText(args[0])
	return ok && s.keySetting(name)
}

// keySetting notes a setting that the answer depends on. It reports false if it is none of the
// application's own.
func (s *statement) keySetting(name string) bool {
	name = strings.ToLower(name)
	if _, free := settings.Local(name); !free || !plainSetting(name) {
		return false
	}
	if !slices.Contains(s.settings, name) {
		s.settings = append(s.settings, name)
	}
	return true
}

// plainSetting reports whether a name can be told from what surrounds it in a list.
func plainSetting(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == "" && len(name) < 128
}

// pinnedLiterals are the ordinals of literals that name settings: statements that differ in
// one depend on different settings.
func (s *statement) pinnedLiterals() (pinned []int) {
	walk(s.query, func(n *node) bool {
		if n.tag != "FUNCEXPR" {
			return true
		}
		if f := s.catalog.function(n.oid("funcid")); f == nil || !f.readsSettings(n.oid("funcid")) {
			return true
		}
		walk(n.field("args"), func(arg *node) bool {
			if arg.tag == "CONST" {
				if i := s.text.literalAt(arg.int("location")); i >= 0 {
					pinned = append(pinned, i)
				}
			}
			return true
		})
		return true
	})
	return pinned
}

// readsSettings reports whether a function is Postgres' current_setting.
func (f *function) readsSettings(oid uint32) bool {
	return oid < firstUserOID && f.schema == "pg_catalog" && f.name == "current_setting"
}
