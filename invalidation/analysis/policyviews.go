package analysis

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// A condition of a policy is stored as it was written, with the views in it by their OIDs alone. When
// Postgres rewrites a statement it puts the query of each such view in its place; so the analysis
// reads these queries as conditions beside those of the policies. The tables in a view are read as
// its owner, however deep it stands; where it has security_invoker as the client's role, be the
// policy's own table read as the owner of another view. What decides that is what Postgres goes by
// when it loads a view's rule: its owner and its options, of whose changes events tell, as of those
// of its query. (TestPoliciesThatReadViews)

// policyViewLevelsMax bounds how deep views in conditions may read views.
const policyViewLevelsMax = 8

// view is what is known of a view that a condition reads.
type view struct {
	query *node // nil if it is not understood, for the reason no
	no    error
	as    uint32 // as whom its tables are read; 0 for the client's role
}

// viewsSQL gives the queries of views ($1), their owners, and which have security_invoker.
const viewsSQL = `
	SELECT c.oid, w.ev_action::pg_catalog.text, c.relowner,
	       coalesce((SELECT o.option_value::bool FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'security_invoker'), false)
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid AND w.ev_type = '1'
	WHERE c.oid = ANY ($1) AND c.relkind = 'v'`

// withViews returns conditions and behind them the queries of the views that they read, at whatever
// depth, but for those that were seen.
func (c *catalog) withViews(ctx context.Context, conn *pgx.Conn, policies []policy, seen map[uint32]bool) (all []policy, err error) {
	defer catch(&err)
	fresh := policies
	for range policyViewLevelsMax {
		found := map[uint32]bool{}
		for _, p := range fresh {
			for _, oid := range relationsIn(p.condition, true) {
				if !seen[oid] {
					found[oid], seen[oid] = true, true
				}
			}
		}
		if len(found) == 0 {
			return policies, nil
		}
		views, err := c.loadViews(ctx, conn, found)
		if err != nil {
			return nil, err
		}
		fresh = nil
		for _, v := range views {
			if v.no != nil {
				return nil, v.no
			}
			fresh = append(fresh, policy{v.query, v.as})
		}
		policies = append(policies, fresh...)
	}
	return nil, refuse(ReasonTooComplex, "policies that read views of views")
}

// loadViews returns views, which it reads if they are not known.
func (c *catalog) loadViews(ctx context.Context, conn *pgx.Conn, wanted map[uint32]bool) (all []view, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if unread := missing(c.views, wanted); len(unread) > 0 {
		rows, err := conn.Query(ctx, viewsSQL, unread)
		if err != nil {
			return nil, fmt.Errorf("read views of policies: %w", err)
		}
		var oid, owner uint32
		var text string
		var invoker bool
		if _, err = pgx.ForEachRow(rows, []any{&oid, &text, &owner, &invoker}, func() error {
			c.views[oid] = readView(text)
			if v := c.views[oid]; !invoker {
				v.as = owner
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read views of policies: %w", err)
		}
	}
	for oid := range wanted {
		v := c.views[oid]
		if v == nil {
			return nil, refuse(ReasonRowSecurity, "a policy reads a view that is gone")
		}
		all = append(all, *v)
	}
	return all, nil
}

// readView reads the query of a view.
func readView(text string) *view {
	tree, err := readTree(text)
	if err != nil {
		return &view{no: err}
	}
	query, err := onlyQuery(tree)
	if err != nil {
		return &view{no: err}
	}
	return &view{query: withoutLocations(query)}
}

// relationsIn lists the views in a tree, or the other relations. Before version 16 the query of a
// view names the view itself, as its old and its new row.
func relationsIn(tree *node, views bool) (oids []uint32) {
	walk(tree, func(n *node) bool {
		if n.tag == "RANGETBLENTRY" && n.int("rtekind") == rteRelation && (n.atom("relkind") == "v") == views {
			oids = append(oids, n.oid("relid"))
		}
		return true
	})
	return oids
}
