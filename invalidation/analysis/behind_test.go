package analysis

import (
	"strings"
	"testing"
)

// A column of a query in FROM, a CTE or a view has its values from the rows of the
// table behind it, and is looked up there.
var lookedUpBehind = []struct{ name, sql, want string }{
	{"subquery", `SELECT * FROM (SELECT * FROM orders WHERE id = $1) o JOIN users u ON u.id = o.user_id`, "orders/id=$1 users/id=public.orders.user_id"},
	{"subquery, outer guard", `SELECT * FROM (SELECT id, user_id AS x FROM orders) o JOIN users u ON u.id = o.x WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
	{"subquery of a subquery", `SELECT * FROM (SELECT * FROM (SELECT id, user_id AS x FROM orders) i) o JOIN users u ON u.id = o.x WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
	{"view", `SELECT * FROM v_barrier o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
	{"into a subquery", `SELECT * FROM items i JOIN (SELECT id FROM orders WHERE total > 5) o ON o.id = i.order_id WHERE i.id = $1`, "items/id=$1 orders/id=public.items.order_id"},
	{"view on either side", `SELECT * FROM v_barrier o JOIN (SELECT * FROM users) u ON u.id = o.user_id WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
	{"view that joins", `SELECT * FROM v_order v JOIN users m ON m.id = v.uid WHERE v.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
	{"view behind a lookup", `SELECT * FROM items i JOIN v_order v ON v.id = i.order_id JOIN users m ON m.name = v.name WHERE i.id = $1`,
		"items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id users/name=public.users.name"},
	{"left join to a view", `SELECT * FROM orders o LEFT JOIN (SELECT id, manager_id FROM users) u ON u.id = o.user_id LEFT JOIN users m ON m.id = u.manager_id WHERE o.id = $1`,
		"orders/id=$1 users/id=public.orders.user_id users/id=public.users.manager_id"},
	{"CTE", `WITH o AS (SELECT * FROM orders) SELECT * FROM o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
	{"CTE of two readers", `WITH o AS (SELECT * FROM orders WHERE id = $1) SELECT * FROM o JOIN users u ON u.id = o.user_id JOIN o p ON p.total > o.total`, "orders/id=$1 users/id=public.orders.user_id"},
	{"CTE of two readers, outer guard", `WITH o AS (SELECT * FROM orders) SELECT * FROM o JOIN users u ON u.id = o.user_id JOIN o p ON p.total > o.total WHERE o.id = $1`, "orders users/id=public.orders.user_id"},
	{"page", `SELECT * FROM (SELECT * FROM orders WHERE user_id = $1 ORDER BY created_at LIMIT 20) o LEFT JOIN items i ON i.order_id = o.id`, "items/order_id=public.orders.id orders/user_id=$1"},
	{"DISTINCT", `SELECT * FROM (SELECT DISTINCT user_id FROM orders WHERE status = $1) o JOIN users u ON u.id = o.user_id`, "orders/status=$1 users/id=public.orders.user_id"},
	{"GROUP BY", `SELECT * FROM (SELECT user_id, count(*) FROM orders WHERE status = $1 GROUP BY user_id) o JOIN users u ON u.id = o.user_id`, "orders/status=$1 users/id=public.orders.user_id"},
	{"GROUPING SETS", `SELECT * FROM (SELECT user_id, count(*) FROM orders WHERE status = $1 GROUP BY ROLLUP (user_id)) o JOIN users u ON u.id = o.user_id`, "orders/status=$1 users/id=public.orders.user_id"},
	{"window", `SELECT * FROM (SELECT user_id, rank() OVER (ORDER BY total) FROM orders WHERE status = $1) o JOIN users u ON u.id = o.user_id`, "orders/status=$1 users/id=public.orders.user_id"},
	{"lateral", `SELECT * FROM users u CROSS JOIN LATERAL (SELECT * FROM orders o WHERE o.user_id = u.id ORDER BY id LIMIT 1) l JOIN items i ON i.order_id = l.id WHERE u.id = $1`,
		"items/order_id=public.orders.id orders/user_id=$1 users/id=$1"},
	{"scalar subquery on a view", `SELECT (SELECT u.name FROM users u WHERE u.id = v.user_id) FROM v_barrier v WHERE v.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
	{"outer join inside", `SELECT * FROM (SELECT i.id, o.user_id FROM items i LEFT JOIN orders o ON o.id = i.order_id) x JOIN users u ON u.id = x.user_id WHERE x.id = $1`,
		"items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id"},

	// An outer guard of a subquery may be what was looked up in it: the rows looked up
	// in are depended on too.
	{"an outer guard by its own lookup", `SELECT * FROM (SELECT a.id, b.x, b.y FROM fa a JOIN fb b ON b.x = a.y) v JOIN fc c ON c.id = v.y AND c.id = v.x WHERE v.id = $1`,
		"fa/id=$1 fb/x=public.fa.y fb/x=public.fb.y fc/id=public.fb.y"},

	// No column of a table.
	{"expression", `SELECT * FROM (SELECT id, user_id + 0 AS user_id FROM orders) o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders/id=$1 users"},
	{"aggregate", `SELECT * FROM (SELECT max(user_id) AS user_id FROM orders WHERE id = $1) o JOIN users u ON u.id = o.user_id`, "orders/id=$1 users"},
	{"window's value", `SELECT * FROM (SELECT lag(user_id) OVER (ORDER BY id) AS user_id FROM orders WHERE status = $1) o JOIN users u ON u.id = o.user_id`, "orders/status=$1 users"},
	{"merged by a full join", `SELECT * FROM (SELECT id FROM (SELECT id FROM fa WHERE x = 1) a FULL JOIN (SELECT id FROM fb WHERE x = 1) b USING (id)) o JOIN fc ON fc.id = o.id`, "fa/x='1' fb/x='1' fc"},
	{"either arm", `SELECT * FROM (SELECT user_id FROM orders WHERE id = 1 UNION SELECT id FROM users) o JOIN users u ON u.id = o.user_id`, "orders/id='1' users"},
	{"loose collation", `SELECT * FROM (SELECT status COLLATE loose AS s FROM orders WHERE id = $1) o JOIN users u ON u.ci = o.s`, "orders users"},
	{"values", `SELECT * FROM (VALUES (1), (2)) v(id) JOIN users u ON u.id = v.id`, "users"},
	{"recursive", `WITH RECURSIVE r AS (SELECT id, x FROM fa WHERE id = 1 UNION SELECT f.id, f.x FROM fa f JOIN r ON f.id = r.x) SELECT * FROM r JOIN fb ON fb.id = r.x`, "fa fb"},

	// No outer guard reaches the rows.
	{"LIMIT, outer guard", `SELECT * FROM (SELECT * FROM orders ORDER BY id LIMIT 5) o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders users"},
	{"DISTINCT ON, outer guard", `SELECT * FROM (SELECT DISTINCT ON (status) * FROM orders ORDER BY status, total) o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders users"},
	{"aggregated, outer guard", `SELECT * FROM (SELECT user_id, max(id) AS id FROM orders GROUP BY user_id) o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders users"},

	// The side of an outer join that stays whatever the condition says.
	{"left join, kept side", `SELECT * FROM users u LEFT JOIN (SELECT * FROM orders WHERE id = $1) o ON o.user_id = u.id`, "orders/id=$1 users"},
	{"full join", `SELECT * FROM users u FULL JOIN (SELECT * FROM orders WHERE id = $1) o ON o.user_id = u.id`, "orders/id=$1 users"},
	{"condition under OR", `SELECT * FROM (SELECT * FROM orders WHERE id = $1) o JOIN users u ON u.id = o.user_id OR u.active`, "orders/id=$1 users"},
	{"not equal", `SELECT * FROM (SELECT * FROM orders WHERE id = $1) o JOIN users u ON u.id <> o.user_id`, "orders/id=$1 users"},
}

// The column that is compared with what a subquery returns has one of its values.
var learnedFromSubqueries = []struct{ name, sql, want string }{
	{"IN, bound", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE user_id = $1 AND total > 5)`, "orders/user_id=$1 users/id=$1"},
	{"IN, looked up", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE id = $1)`, "orders/id=$1 users/id=public.orders.user_id"},
	{"= ANY", `SELECT * FROM users WHERE id = ANY (SELECT user_id FROM orders WHERE id = $1)`, "orders/id=$1 users/id=public.orders.user_id"},
	{"IN of a join", `SELECT * FROM users WHERE id IN (SELECT o.user_id FROM orders o JOIN items i ON i.order_id = o.id WHERE i.id = $1)`, "items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id"},
	{"IN of a view", `SELECT * FROM users WHERE id IN (SELECT user_id FROM v_barrier WHERE id = $1)`, "orders/id=$1 users/id=public.orders.user_id"},
	{"IN in IN", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE id IN (SELECT order_id FROM items WHERE id = $1))`,
		"items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id"},
	{"IN with LIMIT", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE status = $1 ORDER BY total LIMIT 3)`, "orders/status=$1 users/id=public.orders.user_id"},
	{"IN of a union, bound", `SELECT * FROM fa WHERE id IN (SELECT id FROM fb WHERE id = 1 UNION SELECT id FROM fc WHERE id = 2)`, "fa/id='1'|'2' fb/id='1' fc/id='2'"},
	{"IN, then joined", `SELECT * FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id IN (SELECT id FROM fa WHERE x = $1)`, "fa/x=$1 orders/user_id=public.fa.id users/id=public.fa.id"},
	{"joined, then IN", `SELECT * FROM orders o JOIN users u ON u.id = o.user_id WHERE o.user_id IN (SELECT id FROM fa WHERE x = $1)`, "fa/x=$1 orders/user_id=public.fa.id users/id=public.fa.id"},
	{"IN of a correlated subquery", `SELECT * FROM orders o WHERE o.user_id = $1 AND o.id IN (SELECT i.order_id FROM items i WHERE i.sku = o.status AND i.id = 7)`, "items/id='7' orders/user_id=$1"},
	{"IN of a correlated subquery, bound", `SELECT * FROM users u WHERE u.sm IN (SELECT o.id FROM orders o WHERE o.user_id = u.id AND o.id = $1)`, "orders/id=$1 users/sm=$1"},
	{"IN of a correlated subquery, correlation looked up", `SELECT * FROM users u WHERE u.sm + 0 IN (SELECT 1 FROM orders o WHERE o.user_id = u.id AND o.id = $1) AND 1 IN (SELECT 1 FROM orders o WHERE o.user_id = u.id AND o.id = $2)`, "orders/id=$1 orders/id=$2 users"},
	{"IN of the outer row", `SELECT * FROM users u WHERE u.id IN (SELECT u.sm FROM orders o WHERE o.id = $1)`, "orders/id=$1 users"},
	{"IN in ON of a join", `SELECT * FROM orders o JOIN users u ON u.id IN (SELECT id FROM fa WHERE x = 1) AND o.total > 1`, "fa/x='1' orders users/id=public.fa.id"},
	{"IN in ON, the side that may be missing", `SELECT * FROM orders o LEFT JOIN users u ON u.id IN (SELECT id FROM fa WHERE x = 1)`, "fa/x='1' orders users/id=public.fa.id"},
	{"IN in a subquery, a fact", `SELECT * FROM (SELECT * FROM users WHERE id IN (SELECT id FROM fa WHERE id = 1)) u JOIN orders o ON o.user_id = u.id`, "fa/id='1' orders/user_id='1' users/id='1'"},
	{"IN in a subquery, looked up", `SELECT * FROM (SELECT * FROM users WHERE id IN (SELECT id FROM fa WHERE x = 1)) u JOIN orders o ON o.user_id = u.id`,
		"fa/x='1' orders/user_id=public.fa.id users/id=public.fa.id"},
	{"IN in HAVING", `SELECT user_id FROM orders GROUP BY user_id HAVING user_id IN (SELECT id FROM fa WHERE x = 1)`, "fa/x='1' orders/user_id=public.fa.id"},
	{"IN of what may be NULL", `SELECT * FROM users WHERE id IN (SELECT o.user_id FROM items i LEFT JOIN orders o ON o.id = i.order_id WHERE i.id = $1)`,
		"items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id"},
	{"IN AND OR", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE id = $1) AND (active OR sm = 1)`, "orders/id=$1 users/id=public.orders.user_id"},
	{"equal to a subquery", `SELECT * FROM users WHERE id = (SELECT user_id FROM orders WHERE id = $1)`, "orders/id=$1 users/id=public.orders.user_id"},
	{"equal to a subquery, reversed", `SELECT * FROM users WHERE (SELECT user_id FROM orders WHERE id = $1 ORDER BY total LIMIT 1) = id`, "orders/id=$1 users/id=public.orders.user_id"},
	{"many to many", `SELECT * FROM "fa" WHERE ("fa"."id") IN (SELECT "t1"."x" FROM "fb" AS "t1" INNER JOIN "fc" AS "j" ON ("j"."id") = ("t1"."y") WHERE ("t1"."s" = $1 AND "t1"."x" IS NOT NULL))`,
		"fa/id=public.fb.x fb/s=$1 fc/id=public.fb.y"},

	{"EXISTS, looked up", `SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id AND o.id = $1)`, "orders/id=$1 users/id=public.orders.user_id"},
	{"EXISTS of a join", `SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM orders o JOIN items i ON i.order_id = o.id WHERE u.id = o.user_id AND i.id = $1 LIMIT 1)`,
		"items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id"},
	{"EXISTS of two columns", `SELECT * FROM fa WHERE EXISTS (SELECT FROM fb WHERE (fb.id, fb.x) = (fa.id, fa.x) AND fb.x = 5)`, "fa/x='5' fb/x='5'"},
	{"EXISTS of groups", `SELECT * FROM users u WHERE EXISTS (SELECT o.status FROM orders o WHERE o.user_id = u.id AND o.id = $1 GROUP BY o.status)`, "orders/id=$1 users/id=public.orders.user_id"},
	{"EXISTS in EXISTS", `SELECT * FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND EXISTS (SELECT FROM items i WHERE i.order_id = o.id AND i.id = $1))`,
		"items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id"},
	{"EXISTS in ON, the side that may be missing", `SELECT * FROM orders o LEFT JOIN users u ON EXISTS (SELECT FROM fa WHERE fa.id = u.id AND fa.x = 1)`, "fa/x='1' orders users/id=public.fa.id"},

	// Not so.
	{"NOT EXISTS", `SELECT * FROM users u WHERE NOT EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND o.id = $1)`, "orders/id=$1 users"},
	{"EXISTS under OR", `SELECT * FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND o.id = $1) OR u.active`, "orders/id=$1 users"},
	{"EXISTS of an aggregate", `SELECT * FROM users u WHERE EXISTS (SELECT count(*) FROM orders o WHERE o.user_id = u.id AND o.id = $1)`, "orders/id=$1 users"},
	{"EXISTS of HAVING", `SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id AND o.id = $1 HAVING true)`, "orders/id=$1 users"},
	{"EXISTS of grouping sets", `SELECT * FROM users u WHERE EXISTS (SELECT o.status FROM orders o WHERE o.user_id = u.id AND o.id = $1 GROUP BY ROLLUP (o.status))`, "orders/id=$1 users"},
	{"EXISTS of a union", `SELECT * FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND o.id = $1 UNION ALL SELECT FROM fa)`, "fa orders/id=$1 users"},
	{"EXISTS of one or the other", `SELECT * FROM users u WHERE EXISTS (SELECT FROM orders o WHERE (o.user_id = u.id OR o.total = 1) AND o.id = $1)`, "orders/id=$1 users"},
	{"EXISTS of others", `SELECT * FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id <> u.id AND o.id = $1)`, "orders/id=$1 users"},
	{"EXISTS of an expression", `SELECT * FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = u.id + 1 AND o.id = $1)`, "orders/id=$1 users"},
	{"EXISTS of an outer join's condition", `SELECT * FROM users u WHERE EXISTS (SELECT FROM fa LEFT JOIN orders o ON o.user_id = u.id AND o.id = $1)`, "fa orders/id=$1 users"},
	{"EXISTS in the answer", `SELECT EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND o.id = $1) FROM users u`, "orders/id=$1 users"},
	{"EXISTS in ON, the side that stays", `SELECT * FROM users u LEFT JOIN orders o ON EXISTS (SELECT FROM fa WHERE fa.id = u.id AND fa.x = 1)`, "fa/x='1' orders users"},
	{"ALL says nothing of rows", `SELECT * FROM users u WHERE 1 = ALL (SELECT o.id FROM orders o WHERE o.user_id = u.id AND o.user_id = $1)`, "orders/user_id=$1 users"},
	{"NOT IN", `SELECT * FROM users WHERE id NOT IN (SELECT user_id FROM orders WHERE id = $1)`, "orders/id=$1 users"},
	{"NOT (IN)", `SELECT * FROM users WHERE NOT (id IN (SELECT user_id FROM orders WHERE user_id = $1))`, "orders/user_id=$1 users"},
	{"<> ALL", `SELECT * FROM users WHERE id <> ALL (SELECT user_id FROM orders WHERE user_id = $1)`, "orders/user_id=$1 users"},
	{"= ALL, true of nothing", `SELECT * FROM users WHERE id = ALL (SELECT user_id FROM orders WHERE user_id = $1)`, "orders/user_id=$1 users"},
	{"< ANY", `SELECT * FROM users WHERE id < ANY (SELECT user_id FROM orders WHERE user_id = $1)`, "orders/user_id=$1 users"},
	{"<> ANY", `SELECT * FROM users WHERE id <> ANY (SELECT user_id FROM orders WHERE user_id = $1)`, "orders/user_id=$1 users"},
	{"not equal to a subquery", `SELECT * FROM users WHERE id <> (SELECT user_id FROM orders WHERE id = $1)`, "orders/id=$1 users"},
	{"IN under OR", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE user_id = $1) OR active`, "orders/user_id=$1 users"},
	{"IN in both arms of OR", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE user_id = $1) OR id IN (SELECT x FROM fa WHERE id = $2)`, "fa/id=$2 orders/user_id=$1 users"},
	{"IS NOT TRUE", `SELECT * FROM users WHERE (id IN (SELECT user_id FROM orders WHERE user_id = $1)) IS NOT TRUE`, "orders/user_id=$1 users"},
	{"IS NULL", `SELECT * FROM users WHERE (id IN (SELECT user_id FROM orders WHERE user_id = $1)) IS NULL`, "orders/user_id=$1 users"},
	{"CASE", `SELECT * FROM users WHERE CASE WHEN id IN (SELECT user_id FROM orders WHERE user_id = $1) THEN false ELSE true END`, "orders/user_id=$1 users"},
	{"IN in the answer", `SELECT id IN (SELECT user_id FROM orders WHERE user_id = $1) FROM users`, "orders/user_id=$1 users"},
	{"IN in ON, the side that stays", `SELECT * FROM users u LEFT JOIN orders o ON u.id IN (SELECT id FROM fa WHERE id = 1)`, "fa/id='1' orders users"},
	{"equal in ON, the side that stays", `SELECT * FROM users u LEFT JOIN orders o ON u.id = (SELECT id FROM fa WHERE id = 1)`, "fa/id='1' orders users"},
	{"IN in ON of a full join", `SELECT * FROM users u FULL JOIN orders o ON o.user_id = u.id AND u.id IN (SELECT id FROM fa WHERE id = 1)`, "fa/id='1' orders users"},
	{"IN of an expression", `SELECT * FROM users WHERE id IN (SELECT user_id + 0 FROM orders WHERE id = $1)`, "orders/id=$1 users"},
	{"an expression IN", `SELECT * FROM users WHERE id + 0 IN (SELECT user_id FROM orders WHERE id = $1)`, "orders/id=$1 users"},
	{"IN of an aggregate", `SELECT * FROM users WHERE id IN (SELECT max(user_id) FROM orders WHERE id = $1)`, "orders/id=$1 users"},
	{"IN of numerics", `SELECT * FROM users WHERE id IN (SELECT total FROM orders WHERE id = $1)`, "orders/id=$1 users"},
	{"IN of a loose collation", `SELECT * FROM users WHERE name IN (SELECT ci FROM users WHERE id = $1)`, "users"},
	{"IN of a subquery with no guard", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE total = $1)`, "orders users"},
	{"IN of a union, looked up", `SELECT * FROM fa WHERE id IN (SELECT x FROM fb WHERE id = 1 UNION SELECT x FROM fc WHERE id = 2)`, "fa fb/id='1' fc/id='2'"},
	{"row IN", `SELECT * FROM users WHERE (id, sm) IN (SELECT user_id, 1 FROM orders WHERE id = $1)`, "orders/id=$1 users"},
	{"IN does not guard what else it reads", `SELECT * FROM users u, fa WHERE u.id IN (SELECT user_id FROM orders WHERE id = $1)`, "fa orders/id=$1 users/id=public.orders.user_id"},
	{"equal to a subquery tells it nothing", `SELECT * FROM users WHERE id = $1 AND id = (SELECT user_id FROM orders ORDER BY id LIMIT 1)`, "orders users/id=$1"},
}

func TestLookedUpBehindQueries(t *testing.T) {
	b := setup(t)
	for _, c := range lookedUpBehind {
		t.Run(c.name, func(t *testing.T) { b.want(t, c.sql, c.want) })
	}
}

func TestLearnedFromSubqueries(t *testing.T) {
	b := setup(t)
	for _, c := range learnedFromSubqueries {
		t.Run(c.name, func(t *testing.T) { b.want(t, c.sql, c.want) })
	}
}

// want checks the tags of a statement, and that what is looked up can be.
func (b *bench) want(t *testing.T, sql, want string) {
	t.Helper()
	v := b.analyze(t, request(sql))
	if got := b.show(v); got != want {
		t.Errorf("%s\n got  %s [%s]\n want %s", sql, got, v.Detail, want)
	}
	if v.Joins() != strings.Contains(want, "=public.") {
		t.Errorf("%s: joins %v", sql, v.Joins())
	}
	if !v.Joins() {
		return
	}
	p := Params{}
	for range v.ParamTypes {
		p.Bound = append(p.Bound, Value{Data: []byte("1")})
	}
	lookup, ok := v.LookupSQL(p)
	if !ok {
		t.Fatalf("%s: no lookup", sql)
	}
	if _, err := b.conn.PgConn().Exec(t.Context(), lookup).ReadAll(); err != nil {
		t.Errorf("%s: looking up by %s: %v", sql, lookup, err)
	}
}
