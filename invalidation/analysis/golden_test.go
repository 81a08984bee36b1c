package analysis

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// golden lists statements with what must come out: tag templates by table name
// ("users/id=$1", a bare table is the whole-table tag), or "no: reason".
var golden = []struct{ name, sql, want string }{
	// One table.
	{"primary key", `SELECT * FROM users WHERE id = $1`, `users/id=$1`},
	{"reversed", `SELECT * FROM users WHERE $1 = id`, `users/id=$1`},
	{"constant", `SELECT * FROM users WHERE id = 7`, `users/id='7'`},
	{"wide constant", `SELECT * FROM orders WHERE id = 9223372036854775807`, `orders/id='9223372036854775807'`},
	{"negative constant", `SELECT * FROM users WHERE id = -7`, `users/id='-7'`},
	{"text", `SELECT * FROM users WHERE email = $1`, `users/email=$1`},
	{"text constant", `SELECT * FROM users WHERE email = 'a@b'`, `users/email='a@b'`},
	{"quoted quote", `SELECT * FROM users WHERE email = 'O''Neill'`, `users/email='O'Neill'`},
	{"not ASCII", `SELECT 'ü', id FROM users WHERE email = 'né'`, `users/email='né'`},
	{"escape string", `SELECT * FROM users WHERE email = E'a\tb'`, "users/email='a\tb'"},
	{"dollar string", `SELECT * FROM users WHERE email = $$a$$`, `users/email='a'`},
	{"varchar", `SELECT * FROM users WHERE name = $1`, `users/name=$1`},
	{"varchar cut to length", `SELECT * FROM users WHERE name = $1::varchar(3)`, `users`},
	{"smallint", `SELECT * FROM users WHERE sm = 3`, `users/sm='3'`},
	{"smallint widened", `SELECT * FROM users WHERE sm::int8 = $1`, `users/sm=$1`},
	{"uuid", `SELECT * FROM users WHERE u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`, `users/u='a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`},
	{"bool column", `SELECT * FROM users WHERE active`, `users/active='true'`},
	{"not bool column", `SELECT * FROM users WHERE NOT active`, `users/active='false'`},
	{"bool is true", `SELECT * FROM users WHERE active IS TRUE`, `users/active='true'`},
	{"bool is false", `SELECT * FROM users WHERE active IS FALSE`, `users/active='false'`},
	{"bool is not true", `SELECT * FROM users WHERE active IS NOT TRUE`, `users`},
	{"bool equals", `SELECT * FROM users WHERE active = 'yes'`, `users/active='true'`},
	{"single value before bool", `SELECT * FROM users WHERE active AND id = 5`, `users/id='5'`},
	{"single value before list", `SELECT * FROM users WHERE id IN (1, 2) AND email = $1`, `users/email=$1`},
	{"single value before array", `SELECT * FROM users WHERE id = ANY ($2) AND email = $1`, `users/email=$1`},
	{"equals null", `SELECT * FROM users WHERE id = NULL`, `users`},
	{"is null", `SELECT * FROM users WHERE id IS NULL`, `users`},
	{"numeric", `SELECT * FROM users WHERE num = 1.0`, `users`},
	{"integer column against numeric", `SELECT * FROM users WHERE id = 7.0`, `users`},
	{"char(n)", `SELECT * FROM users WHERE ch = 'a'`, `users`},
	{"enum", `SELECT * FROM users WHERE mood = 'ok'`, `users`},
	{"loose collation", `SELECT * FROM users WHERE ci = 'A'`, `users`},
	{"COLLATE on the column", `SELECT * FROM users WHERE email COLLATE "C" = $1`, `users`},
	{"COLLATE loose on the value", `SELECT * FROM users WHERE email = $1 COLLATE loose`, `users`},
	{"cast of the column", `SELECT * FROM users WHERE id::text = $1`, `users`},
	{"arithmetic on the value", `SELECT * FROM users WHERE id = $1 + 0`, `users`},
	{"narrower parameter", `SELECT * FROM users WHERE id = $1::int4`, `users/id=$1`},
	{"narrowed parameter", `SELECT * FROM users WHERE id = ($1::int8)::int4`, `users`},
	{"unwatched column", `SELECT * FROM users WHERE manager_id = $1`, `users`},
	{"comparison", `SELECT * FROM users WHERE id >= $1`, `users`},
	{"not equal", `SELECT * FROM users WHERE id <> $1`, `users`},
	{"is not distinct", `SELECT * FROM users WHERE id IS NOT DISTINCT FROM $1`, `users`},
	{"like", `SELECT * FROM users WHERE email LIKE $1`, `users`},
	{"no condition", `SELECT * FROM users`, `users`},
	{"TABLE", `TABLE users`, `users`},
	{"no table", `SELECT 1`, ``},
	{"VALUES", `VALUES (1, 'a')`, ``},
	{"in parentheses", `(SELECT * FROM users WHERE id = $1)`, `users/id=$1`},
	{"comments", "/* a /* b */ */ SELECT * -- c\nFROM users WHERE id = $1", `users/id=$1`},
	{"semicolon", `SELECT * FROM users WHERE id = $1;`, `users/id=$1`},
	{"case and quotes", `select * FROM "users" WHERE USERS.ID = $1`, `users/id=$1`},

	// Lists.
	{"IN", `SELECT * FROM users WHERE id IN (1, $1, 3)`, `users/id='1'|$1|'3'`},
	{"IN of NULL alone", `SELECT * FROM users WHERE id IN (NULL::int, NULL::int)`, `users/id=`},
	{"IN with NULL", `SELECT * FROM users WHERE id IN (1, NULL)`, `users/id='1'`},
	{"IN with an expression", `SELECT * FROM users WHERE id IN (1, 1 + 1)`, `users`},
	{"NOT IN", `SELECT * FROM users WHERE id NOT IN (1, 2)`, `users`},
	{"ANY array parameter", `SELECT * FROM users WHERE id = ANY ($1)`, `users/id=any($1)`},
	{"ANY text array parameter", `SELECT * FROM users WHERE email = ANY ($1)`, `users/email=any($1)`},
	{"ANY array constructor", `SELECT * FROM users WHERE id = ANY (ARRAY[1, $1])`, `users/id='1'|$1`},
	{"ANY array text", `SELECT * FROM users WHERE id = ANY ('{1,2}')`, `users/id='1'|'2'`},
	{"ANY array text, quoted items", `SELECT * FROM users WHERE email = ANY ('{a,"b c",NULL}'::text[])`, `users/email='a'|'b c'|'NULL'`},
	{"ANY array text with escapes", `SELECT * FROM users WHERE email = ANY ('{"a\"b"}')`, `users`},
	{"ANY empty array text", `SELECT * FROM users WHERE id = ANY ('{}')`, `users/id=`},
	{"ANY array text of two dimensions", `SELECT * FROM users WHERE id = ANY ('{{1},{2}}')`, `users`},
	{"ANY array text through text", `SELECT * FROM users WHERE id = ANY ('{1}'::text::int8[])`, `users`},
	{"ALL", `SELECT * FROM users WHERE id = ALL ($1)`, `users`},
	{"row IN", `SELECT * FROM users WHERE (id, active) IN ((1, true), (2, false))`, `users/id='1'|'2'`},
	{"row equality", `SELECT * FROM orders WHERE (user_id, status) = ($1, 'x')`, `orders/user_id=$1`},
	{"long list", `SELECT * FROM users WHERE id IN (` + strings.Repeat("1,", 300) + `1)`, `users`},

	// AND, OR, NOT.
	{"and", `SELECT * FROM orders WHERE user_id = $1 AND status = 'paid'`, `orders/user_id=$1`},
	{"or, same column", `SELECT * FROM orders WHERE user_id = $1 OR user_id = $2`, `orders/user_id=$1|$2`},
	{"or, other column", `SELECT * FROM orders WHERE user_id = $1 OR id = $2`, `orders`},
	{"or of ands", `SELECT * FROM orders WHERE (user_id = $1 AND status = 'a') OR (status = 'b' AND user_id = $2)`, `orders/user_id=$1|$2`},
	{"or with an unguarded arm", `SELECT * FROM orders WHERE user_id = $1 OR total > 5`, `orders`},
	{"not equal by NOT", `SELECT * FROM orders WHERE NOT (user_id = $1)`, `orders`},
	{"not of or", `SELECT * FROM orders WHERE NOT (user_id = $1 OR user_id = $2)`, `orders`},
	{"case", `SELECT * FROM orders WHERE CASE WHEN user_id = $1 THEN true END`, `orders`},
	{"coalesce", `SELECT * FROM orders WHERE coalesce(user_id, 0) = $1`, `orders`},

	// Joins.
	{"join, known through the edge", `SELECT o.*, u.name FROM orders o JOIN users u ON o.user_id = u.id WHERE u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"join, many to one", `SELECT o.*, u.* FROM orders o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, `orders/id=$1 users/id=public.orders.user_id`},
	{"comma join", `SELECT count(*) FROM orders o, users u WHERE o.user_id = u.id AND u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"join USING", `SELECT * FROM items JOIN (SELECT id AS order_id FROM orders) o USING (order_id) WHERE order_id = $1`, `items/order_id=$1 orders/id=$1`},
	{"NATURAL LEFT JOIN", `SELECT * FROM items NATURAL LEFT JOIN (SELECT id AS order_id FROM orders) o WHERE order_id = $1`, `items/order_id=$1 orders/id=$1`},
	{"three tables, one value", `SELECT 1 FROM users u JOIN orders o ON o.user_id = u.id JOIN items i ON i.order_id = o.id WHERE i.order_id = $1`, `items/order_id=$1 orders/id=$1 users/id=public.orders.user_id`},
	{"left join, left known", `SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"left join, ON guards the right", `SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.status = 'x'`, `orders/status='x' users`},
	{"left join, ON does not guard the left", `SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id AND u.id = $1`, `orders users`},
	{"left join, right known in WHERE", `SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE o.user_id = $1`, `orders/user_id=$1 users`},
	{"left join, IS NULL in WHERE", `SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE o.id IS NULL AND u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"right join, ON guards the left", `SELECT * FROM users u RIGHT JOIN orders o ON o.user_id = u.id AND u.active`, `orders users/active='true'`},
	{"full join, WHERE", `SELECT * FROM orders o FULL JOIN users u ON u.id = o.user_id WHERE u.id = $1`, `orders users/id=$1`},
	{"full join, ON guards nothing", `SELECT * FROM orders o FULL JOIN users u ON u.id = o.user_id AND u.id = 5`, `orders users`},
	{"full join USING, merged column", `SELECT * FROM fa FULL JOIN fb USING (id) WHERE id = $1`, `fa fb`},
	{"left join USING", `SELECT * FROM fa LEFT JOIN fb USING (id) WHERE id = $1`, `fa/id=$1 fb/id=$1`},
	{"right join USING", `SELECT * FROM fa RIGHT JOIN fb USING (id) WHERE id = $1`, `fa/id=$1 fb/id=$1`},
	{"self join", `SELECT * FROM fa a JOIN fa b ON b.x = a.id WHERE a.id = $1`, `fa/id=$1 fa/x=$1`},
	{"self join, one side free", `SELECT * FROM fa a JOIN fa b ON b.y > a.id WHERE a.id = $1`, `fa`},
	{"nested outer joins", `SELECT * FROM fa LEFT JOIN (fb JOIN fc ON fc.id = fb.id) ON fb.id = fa.id WHERE fa.id = $1`, `fa/id=$1 fb/id=$1 fc/id=$1`},
	{"joined integers of other width", `SELECT * FROM users u JOIN fa ON fa.id = u.id WHERE u.id = $1`, `fa/id=$1 users/id=$1`},
	{"value list", `SELECT * FROM users u JOIN (VALUES (1), (2)) v(id) ON v.id = u.id`, `users`},
	{"function in FROM", `SELECT * FROM generate_series(1, 3) g JOIN users u ON u.id = g`, `users`},
	{"unnest", `SELECT * FROM unnest($1::int[]) AS t(id) JOIN users u USING (id)`, `users`},

	// Subqueries.
	{"subquery in FROM", `SELECT * FROM (SELECT * FROM orders) o WHERE o.user_id = $1`, `orders/user_id=$1`},
	{"subquery with LIMIT", `SELECT * FROM (SELECT * FROM orders ORDER BY id LIMIT 5) o WHERE o.user_id = $1`, `orders`},
	{"subquery with OFFSET", `SELECT * FROM (SELECT * FROM orders OFFSET 1) o WHERE o.user_id = $1`, `orders`},
	{"subquery with a window", `SELECT * FROM (SELECT *, rank() OVER (ORDER BY total) FROM orders) o WHERE o.user_id = $1`, `orders`},
	{"own LIMIT", `SELECT * FROM orders WHERE user_id = $1 ORDER BY id LIMIT $2 OFFSET 3`, `orders/user_id=$1`},
	{"own window", `SELECT rank() OVER (PARTITION BY user_id ORDER BY total ROWS 3 PRECEDING) FROM orders WHERE user_id = $1`, `orders/user_id=$1`},
	{"grouped column", `SELECT * FROM (SELECT user_id, count(*) FROM orders GROUP BY user_id) o WHERE o.user_id = $1`, `orders/user_id=$1`},
	{"aggregated column", `SELECT * FROM (SELECT max(user_id) AS user_id FROM orders) o WHERE o.user_id = $1`, `orders`},
	{"grouping sets", `SELECT * FROM (SELECT user_id, count(*) FROM orders GROUP BY ROLLUP (user_id)) o WHERE o.user_id = $1`, `orders`},
	{"having", `SELECT user_id, sum(total) FROM orders WHERE user_id = $1 GROUP BY user_id HAVING count(*) > 2`, `orders/user_id=$1`},
	{"having guards what is grouped by", `SELECT user_id FROM orders GROUP BY user_id HAVING user_id = $1`, `orders/user_id=$1`},
	{"having of grouping sets", `SELECT user_id, status FROM orders GROUP BY ROLLUP (user_id, status) HAVING user_id = $1`, `orders/user_id=$1`},
	{"having of an aggregate", `SELECT user_id FROM orders GROUP BY user_id HAVING max(id) = $1`, `orders`},
	{"distinct", `SELECT * FROM (SELECT DISTINCT user_id, status FROM orders) o WHERE o.user_id = $1`, `orders/user_id=$1`},
	{"distinct on, compared", `SELECT * FROM (SELECT DISTINCT ON (user_id) user_id, id FROM orders ORDER BY user_id, id) o WHERE o.user_id = $1`, `orders/user_id=$1`},
	{"distinct on, not compared", `SELECT * FROM (SELECT DISTINCT ON (status) user_id, id FROM orders ORDER BY status, id) o WHERE o.user_id = $1`, `orders`},
	{"deep subqueries", strings.Repeat("SELECT * FROM (", 40) + "SELECT * FROM users WHERE id = $1" + strings.Repeat(") x", 40), `users/id=$1`},
	{"deep subqueries, outer guard", strings.Repeat("SELECT * FROM (", 40) + "SELECT * FROM users" + strings.Repeat(") x", 40) + " WHERE id = $1", `users/id=$1`},
	{"too deep subqueries", strings.Repeat("SELECT * FROM (", 70) + "SELECT * FROM users" + strings.Repeat(") x", 70), `no: too_complex`},
	{"expression column", `SELECT * FROM (SELECT id + 1 AS id FROM orders) o WHERE o.id = $1`, `orders`},
	{"fact from the subquery", `SELECT * FROM (SELECT * FROM users WHERE id = $1) u JOIN orders o ON o.user_id = u.id`, `orders/user_id=$1 users/id=$1`},
	{"lateral", `SELECT * FROM users u, LATERAL (SELECT * FROM orders o WHERE o.user_id = u.id ORDER BY o.id DESC LIMIT 3) l WHERE u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"scalar subquery", `SELECT (SELECT count(*) FROM orders o WHERE o.user_id = u.id) FROM users u WHERE u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"scalar subquery as value", `SELECT * FROM users WHERE id = (SELECT max(id) FROM users)`, `users`},
	{"exists", `SELECT * FROM users u WHERE u.id = $1 AND EXISTS (SELECT FROM orders o WHERE o.user_id = u.id)`, `orders/user_id=$1 users/id=$1`},
	{"not exists", `SELECT * FROM users u WHERE u.id = $1 AND NOT EXISTS (SELECT FROM orders o WHERE o.user_id = u.id)`, `orders/user_id=$1 users/id=$1`},
	{"exists guards the outer", `SELECT * FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND o.user_id = $1)`, `orders/user_id=$1 users/id=$1`},
	{"in subquery", `SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE id = $1)`, `orders/id=$1 users/id=public.orders.user_id`},
	{"in subquery, outer guard", `SELECT * FROM users WHERE id = $1 AND id IN (SELECT user_id FROM orders)`, `orders/user_id=$1 users/id=$1`},
	{"not in subquery", `SELECT * FROM users WHERE id = $1 AND id NOT IN (SELECT user_id FROM orders)`, `orders users/id=$1`},
	{"in subquery with LIMIT", `SELECT * FROM users WHERE id = $1 AND id IN (SELECT user_id FROM orders LIMIT 3)`, `orders users/id=$1`},
	{"subquery in HAVING", `SELECT user_id FROM orders WHERE user_id = $1 GROUP BY user_id HAVING EXISTS (SELECT FROM items WHERE order_id = $2)`, `items/order_id=$2 orders/user_id=$1`},
	{"subquery in LIMIT", `SELECT * FROM users WHERE id = $1 LIMIT (SELECT count(*) FROM items)`, `items users/id=$1`},
	{"subquery in ORDER BY", `SELECT * FROM users u WHERE id = $1 ORDER BY (SELECT count(*) FROM orders o WHERE o.user_id = u.id)`, `orders/user_id=$1 users/id=$1`},
	{"array subquery", `SELECT ARRAY(SELECT id FROM orders WHERE user_id = $1)`, `orders/user_id=$1`},
	{"union", `SELECT id FROM users WHERE email = $1 UNION SELECT user_id FROM orders WHERE user_id = $2`, `orders/user_id=$2 users/email=$1`},
	{"union, outer guard", `SELECT * FROM (SELECT id FROM users UNION ALL SELECT user_id FROM orders) x WHERE id = $1`, `orders/user_id=$1 users/id=$1`},
	{"union with LIMIT, outer guard", `SELECT * FROM (SELECT id FROM users UNION ALL SELECT user_id FROM orders LIMIT 3) x WHERE id = $1`, `orders users`},
	{"except, outer guard", `SELECT * FROM (SELECT id FROM fa EXCEPT SELECT id FROM fb) x WHERE id = $1`, `fa/id=$1 fb/id=$1`},
	{"union, facts of all arms", `SELECT * FROM (SELECT id FROM fa WHERE id = 1 UNION SELECT id FROM fb WHERE id = 2) x JOIN fc ON fc.id = x.id`, `fa/id='1' fb/id='2' fc/id='1'|'2'`},
	{"union under a loose collation", `SELECT * FROM (SELECT status FROM orders UNION SELECT status COLLATE loose FROM orders) x WHERE status COLLATE "C" = 'a'`, `orders`},

	// CTEs.
	{"cte", `WITH o AS (SELECT * FROM orders) SELECT * FROM o WHERE user_id = $1`, `orders/user_id=$1`},
	{"cte, grouped", `WITH o AS (SELECT user_id, sum(total) FROM orders GROUP BY user_id) SELECT * FROM users u JOIN o ON o.user_id = u.id WHERE u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"cte, guarded inside", `WITH o AS (SELECT * FROM orders WHERE user_id = $1) SELECT * FROM o a, o b`, `orders/user_id=$1`},
	{"cte, two readers", `WITH o AS (SELECT * FROM orders) SELECT * FROM o a JOIN o b ON a.id = b.id WHERE a.user_id = $1`, `orders`},
	{"cte, fact for two readers", `WITH o AS (SELECT * FROM fa WHERE id = $1) SELECT * FROM o a JOIN fb ON fb.id = a.id JOIN o b ON true`, `fa/id=$1 fb/id=$1`},
	{"cte of a cte", `WITH a AS (SELECT * FROM orders), b AS (SELECT * FROM a) SELECT * FROM b WHERE user_id = $1`, `orders/user_id=$1`},
	{"cte read in a sublink", `WITH o AS (SELECT * FROM orders) SELECT (SELECT count(*) FROM o WHERE o.user_id = u.id) FROM users u WHERE u.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"cte names that differ in a blank", "WITH \"a b\" AS (SELECT * FROM fa), \"a\nb\" AS (SELECT * FROM fb) SELECT 1 FROM \"a b\", \"a\nb\"", `no: unknown_node`},
	{"unused cte", `WITH o AS (SELECT * FROM orders) SELECT * FROM users WHERE id = $1`, `orders users/id=$1`},
	{"recursive", `WITH RECURSIVE r AS (SELECT id, manager_id FROM users WHERE id = $1 UNION ALL SELECT u.id, u.manager_id FROM users u JOIN r ON u.manager_id = r.id) SELECT * FROM r`, `users`},
	{"recursive, outer guard", `WITH RECURSIVE r AS (SELECT id, x FROM fa UNION ALL SELECT f.id, f.x FROM fa f JOIN r ON f.x = r.id) SELECT * FROM r WHERE id = 5`, `fa`},
	{"search clause", `WITH RECURSIVE r AS (SELECT id, x FROM fa UNION ALL SELECT f.id, f.x FROM fa f JOIN r ON f.x = r.id) SEARCH DEPTH FIRST BY id SET o SELECT * FROM r`, `no: unknown_node`},

	// Views, partitions, inheritance, schemas.
	{"view", `SELECT * FROM v_nested WHERE uid = $1`, `orders/user_id=$1 users/id=$1`},
	{"grouping view", `SELECT * FROM v_agg WHERE user_id = $1`, `orders/user_id=$1`},
	{"view with LIMIT", `SELECT * FROM v_top WHERE user_id = $1`, `orders`},
	{"security barrier view", `SELECT * FROM v_barrier WHERE user_id = $1`, `orders/user_id=$1`},
	{"view with a date", `SELECT * FROM v_today WHERE user_id = $1`, `orders/user_id=$1`},
	{"view with the clock", `SELECT * FROM v_now WHERE user_id = $1`, `no: clock`},
	{"partitioned", `SELECT * FROM events WHERE tenant_id = $1 AND at >= '2026-01-01'`, `events/tenant_id=$1`},
	{"partition", `SELECT * FROM events_2025 WHERE tenant_id = $1`, `events/tenant_id=$1`},
	{"partition, whole", `SELECT * FROM events_2025`, `events`},
	{"inheritance", `SELECT * FROM base WHERE id = $1`, `base/id=$1`},
	{"inheritance child", `SELECT * FROM derived WHERE id = $1`, `base/id=$1`},
	{"ONLY", `SELECT * FROM ONLY base WHERE id = $1`, `base/id=$1`},
	{"other schema", `SELECT * FROM alt.users WHERE id = $1`, `alt.users/id=$1`},
	{"same name in two schemas", `SELECT * FROM alt.users a JOIN users b ON a.id = b.id WHERE a.id = $1`, `alt.users/id=$1 users/id=$1`},
	{"nothing watched but the table", `SELECT * FROM settings WHERE k = $1`, `settings`},

	// What object mappers send.
	{"parent of a child", `SELECT "orders"."id" FROM "orders" INNER JOIN "users" ON ("orders"."user_id" = "users"."id") WHERE "users"."id" = 7 ORDER BY "orders"."id" ASC LIMIT 21`, `orders/user_id='7' users/id='7'`},
	{"children of a parent", `SELECT u.id, o.id FROM users AS u LEFT OUTER JOIN orders AS o ON u.id = o.user_id WHERE u.id = $1 ORDER BY o.created_at DESC LIMIT $2`, `orders/user_id=$1 users/id=$1`},
	{"a page of children", `SELECT o.* FROM orders o LEFT JOIN users u ON u.id = o.user_id WHERE o.user_id = $1 ORDER BY o.created_at DESC, o.id LIMIT 20 OFFSET 40`, `orders/user_id=$1 users/id=$1`},
	{"count of children", `SELECT COUNT(*) FROM orders WHERE user_id = $1`, `orders/user_id=$1`},
	{"count with an alias", `SELECT COUNT(*) AS "__count" FROM "orders" WHERE ("orders"."user_id" = 7 AND "orders"."status" IN ('paid', 'sent'))`, `orders/user_id='7'`},
	{"one exists", `SELECT (1) AS "a" FROM "users" WHERE "users"."email" = 'a@b' LIMIT 1`, `users/email='a@b'`},
	{"exists", `SELECT EXISTS (SELECT 1 FROM orders WHERE user_id = $1)`, `orders/user_id=$1`},
	{"select exists with AS one", `SELECT 1 AS one FROM users WHERE users.email = $1 AND users.id != $2 LIMIT $3`, `users/email=$1`},
	{"prefetch", `SELECT items.* FROM items WHERE items.order_id IN ($1, $2, $3)`, `items/order_id=$1|$2|$3`},
	{"prefetch by an array", `SELECT * FROM items WHERE order_id = ANY($1::int[])`, `items/order_id=any($1)`},
	{"counts of children", `SELECT order_id, count(*) FROM items WHERE order_id = ANY($1) GROUP BY order_id`, `items/order_id=any($1)`},
	{"lateral rows as JSON", `SELECT u.id, "__o"."data" FROM users u LEFT JOIN LATERAL (SELECT coalesce(json_agg("__r"), '[]') AS data FROM (SELECT o.id FROM orders o WHERE u.id = o.user_id LIMIT 5) "__r") "__o" ON true WHERE u.id = $1 LIMIT 1`, `orders/user_id=$1 users/id=$1`},
	{"filter by a child", `SELECT DISTINCT u.* FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = $1 AND o.status = 'paid'`, `orders/user_id=$1 users/id=$1`},
	{"not deleted", `SELECT * FROM orders WHERE orders.deleted IS NULL AND orders.id = $1 LIMIT 1`, `orders/id=$1`},
	{"chain of equalities", `SELECT 1 FROM users a JOIN orders b ON a.id = b.user_id JOIN orders c ON c.user_id = b.user_id WHERE a.id = $1`, `orders/user_id=$1 users/id=$1`},
	{"polymorphic child", `SELECT * FROM fa WHERE fa.s = 'Order' AND fa.id = $1`, `fa/id=$1`},

	// Expressions that may stay.
	{"stable formatting", `SELECT to_char(created_at, 'YYYY'), created_at::text, date_trunc('day', created_at), created_at::date FROM orders WHERE id = $1`, `orders/id=$1`},
	{"json", `SELECT to_jsonb(w), row_to_json(w), json_build_object('a', w.id) FROM users w WHERE w.id = $1`, `users/id=$1`},
	{"json aggregate", `SELECT json_agg(o ORDER BY o.id) FILTER (WHERE o.total > 1), string_agg(status, ',') FROM orders o WHERE user_id = $1`, `orders/user_id=$1`},
	{"json path", `SELECT extra->'a'->>'b', extra @> '{"now": 1}' FROM users WHERE id = $1`, `users/id=$1`},
	{"ordered-set aggregate", `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders WHERE user_id = $1`, `orders/user_id=$1`},
	{"whole row", `SELECT w, (w.p).a, (w).email FROM users w WHERE w.id = $1`, `users/id=$1`},
	{"rows and arrays", `SELECT ROW(1, id), ARRAY[1, 2], words[1], (1, 2) < (3, 4), greatest(1, 2) FROM users WHERE id = $1`, `users/id=$1`},
	{"conditionals", `SELECT CASE sm WHEN 1 THEN 'a' ELSE 'b' END, coalesce(name, 'x'), nullif(sm, 1), id IS DISTINCT FROM 1 FROM users WHERE id = $1`, `users/id=$1`},
	{"role and schema", `SELECT current_user, session_user, current_schema, current_database() FROM users WHERE id = $1`, `users/id=$1`},
	{"text search", `SELECT to_tsvector('english', email) @@ plainto_tsquery('english', $2) FROM users WHERE id = $1`, `users/id=$1`},
	{"named argument", `SELECT make_date(year => 2024, month => 1, day => 2) FROM users WHERE id = $1`, `users/id=$1`},
	{"set-returning", `SELECT unnest(words), id FROM users WHERE id = $1`, `users/id=$1`},
	{"text to number", `SELECT email::int, words::int[] FROM users WHERE id = $1`, `users/id=$1`},
	{"date literal", `SELECT * FROM orders WHERE user_id = $1 AND created_at > '2026-01-01' AND created_at < date '2026-02-01'`, `orders/user_id=$1`},
	{"interval literal", `SELECT at + interval '1 day' FROM users WHERE id = $1`, `users/id=$1`},
	{"time zone", `SELECT at AT TIME ZONE 'UTC' FROM users WHERE id = $1`, `users/id=$1`},
	{"clock word in a text", `SELECT 'call me now', id FROM users WHERE email = 'today@now.example'`, `users/email='today@now.example'`},
	{"domain column", `SELECT pos FROM users WHERE id = $1`, `users/id=$1`},
	{"grouping function", `SELECT status, grouping(status), count(*) FROM orders WHERE user_id = $1 GROUP BY GROUPING SETS ((status), ())`, `orders/user_id=$1`},

	// Refusals.
	{"insert", `INSERT INTO users (id) VALUES (1)`, `no: not_select`},
	{"explain", `EXPLAIN SELECT 1`, `no: not_select`},
	{"select into", `SELECT * INTO foo FROM users`, `no: not_select`},
	{"empty", ``, `no: not_select`},
	{"comment only", `-- SELECT 1`, `no: not_select`},
	{"two statements", `SELECT 1; SELECT 2`, `no: multiple_statements`},
	{"syntax error", `SELECT FROM WHERE`, `no: sql_error`},
	{"no such table", `SELECT * FROM nothing`, `no: sql_error`},
	{"NUL", "SELECT '\x00'", `no: sql_error`},
	{"not UTF8", "SELECT '\xff'", `no: sql_error`},
	{"writing cte", `WITH d AS (DELETE FROM users WHERE id = $1 RETURNING *) SELECT * FROM d`, `no: data_modifying_cte`},
	{"for update", `SELECT * FROM users WHERE id = $1 FOR UPDATE`, `no: row_locks`},
	{"for share in a subquery", `SELECT * FROM (SELECT * FROM users FOR SHARE) u`, `no: row_locks`},
	{"volatile", `SELECT random(), * FROM users`, `no: volatile_function`},
	{"volatile in WHERE", `SELECT * FROM users WHERE id < random()`, `no: volatile_function`},
	{"volatile operator argument", `SELECT * FROM users ORDER BY gen_random_uuid()`, `no: volatile_function`},
	{"sleep", `SELECT pg_sleep(0)`, `no: volatile_function`},
	{"advisory lock", `SELECT pg_advisory_lock(1)`, `no: volatile_function`},
	{"snapshot", `SELECT pg_current_snapshot()`, `no: stable_function`},
	{"catalog function", `SELECT pg_get_viewdef(1::oid)`, `no: stable_function`},
	{"records from JSON", `SELECT * FROM json_to_recordset('[{"a":"now"}]') AS x(a timestamptz)`, `no: stable_function`},
	{"user function in FROM", `SELECT * FROM f_sql($1)`, `no: user_function`},
	{"user function", `SELECT f_imm(1), * FROM users`, `no: user_function`},
	{"user plpgsql function", `SELECT f_plpgsql(1)`, `no: user_function`},
	{"user aggregate", `SELECT a_sum(sm::int) FROM users`, `no: user_function`},
	{"user operator", `SELECT * FROM alt.users WHERE other OPERATOR(alt.=) $1`, `no: user_function`},
	{"now", `SELECT * FROM orders WHERE created_at > now() - interval '1 day'`, `no: clock`},
	{"current_date", `SELECT CURRENT_DATE`, `no: clock`},
	{"localtimestamp", `SELECT LOCALTIMESTAMP(2)`, `no: clock`},
	{"age of one", `SELECT age(created_at) FROM orders`, `no: clock`},
	{"yesterday", `SELECT * FROM orders WHERE created_at > 'yesterday'`, `no: clock_literal`},
	{"date today", `SELECT date 'Today'`, `no: clock_literal`},
	{"now with a time", `SELECT timestamp 'today10:00'`, `no: clock_literal`},
	{"now in a cast", `SELECT 'now'::timestamptz`, `no: clock_literal`},
	{"now in an array", `SELECT '{now}'::timestamptz[]`, `no: clock_literal`},
	{"now in a range", `SELECT '[now,)'::tstzrange`, `no: clock_literal`},
	{"now hidden by an escape", `SELECT E'n\x6fw'::timestamptz`, `no: clock_literal`},
	{"now hidden by a Unicode escape", `SELECT U&'n\006fw'::timestamptz`, `no: clock_literal`},
	{"now in dollars", `SELECT $$now$$::timestamptz`, `no: clock_literal`},
	{"now continued", "SELECT 'n'\n'ow'::timestamptz", `no: clock_literal`},
	{"time with time zone", `SELECT '10:00'::timetz`, `no: clock_literal`},
	{"text to timestamp", `SELECT email::timestamptz FROM users`, `no: unsafe_cast`},
	{"text constant to timestamp", `SELECT ('now'::text)::timestamptz`, `no: unsafe_cast`},
	{"texts to timestamps", `SELECT words::timestamptz[] FROM users`, `no: unsafe_cast`},
	{"to a domain", `SELECT sm::positive FROM users`, `no: unsafe_cast`},
	{"regclass parameter", `SELECT * FROM users WHERE id = ($1::regclass)::oid::int8`, `no: unsafe_result_type`},
	{"nextval", `SELECT nextval('numbers')`, `no: sequence`},
	{"nextval behind a view", `SELECT * FROM v_next`, `no: sequence`},
	{"sequence as a table", `SELECT last_value FROM numbers`, `no: sequence`},
	{"setting", `SELECT current_setting('app.x')`, `no: setting_dependent`},
	{"set_config", `SELECT set_config('app.x', '1', false)`, `no: setting_dependent`},
	{"tablesample", `SELECT * FROM users TABLESAMPLE bernoulli (10)`, `no: tablesample`},
	{"ctid", `SELECT ctid, * FROM users WHERE id = $1`, `no: system_column`},
	{"xmin in WHERE", `SELECT 1 FROM users WHERE xmin::text = '5'`, `no: system_column`},
	{"tableoid", `SELECT tableoid, * FROM events`, `no: system_column`},
	{"regclass", `SELECT 'users'::regclass`, `no: unsafe_result_type`},
	{"regrole", `SELECT 'postgres'::regrole::text`, `no: unsafe_result_type`},
	{"regclass column", `SELECT * FROM regs`, `no: unsafe_result_type`},
	{"regclass in a whole row", `SELECT to_json(r) FROM regs r`, `no: unsafe_result_type`},
	{"row security", `SELECT * FROM docs WHERE id = $1`, `no: row_security`},
	{"row security behind a view of somebody exempt", `SELECT * FROM v_docs`, `docs`},
	{"unwatched", `SELECT * FROM unwatched`, `no: unwatched_table`},
	{"one of two unwatched", `SELECT * FROM users JOIN unwatched USING (id)`, `no: unwatched_table`},
	{"unwatched, never read", `SELECT 1 FROM users WHERE false AND EXISTS (SELECT FROM unwatched)`, `no: unwatched_table`},
	{"materialized view", `SELECT * FROM mv`, `no: materialized_view`},
	{"catalog", `SELECT * FROM pg_class`, `no: catalog_table`},
	{"information schema", `SELECT * FROM information_schema.tables`, `no: catalog_table`},
	{"statistics", `SELECT * FROM pg_stat_activity`, `no: stable_function`},
	{"xml", `SELECT xmlelement(name a)`, `no: unknown_node`},
	{"xmltable", `SELECT * FROM xmltable('/a' PASSING ('<a/>'::xml) COLUMNS x int PATH 'x')`, `no: unknown_node`},
	{"deep nesting", `SELECT ` + strings.Repeat("1 + (", 300) + `1` + strings.Repeat(")", 300), `no: too_complex`},
	{"long statement", `SELECT '` + strings.Repeat("x", statementMax) + `'`, `no: too_complex`},

	// Identifiers that look like a tree.
	{"hostile alias", `SELECT u.id AS "a b)c{d} :x <> \ [ 1 ] {VAR" FROM users AS "a b)c{d} :x <> \ [ 1 ] {VAR"(id) JOIN users u ON u.id = "a b)c{d} :x <> \ [ 1 ] {VAR".id WHERE u.id = $1`, `users/id=$1`},
	{"hostile alias, fields", `SELECT 1 FROM users AS ":rtekind 1 :relid 0 {}" WHERE ":rtekind 1 :relid 0 {}".id = $1`, `users/id=$1`},
	{"alias of brackets", `SELECT 1 FROM users AS "` + strings.Repeat(")", 30) + `" WHERE id = $1`, `users/id=$1`},
	{"long alias of brackets, even", `SELECT 1 FROM users AS "` + strings.Repeat(")", 63) + `" WHERE id = $1`, `no: unknown_node`},
	{"long alias of brackets, odd", `SELECT 1 FROM users AS "a` + strings.Repeat("}", 62) + `" WHERE id = $1`, `no: unknown_node`},
	{"alias <>", `SELECT 1 FROM users AS "<>" WHERE "<>".id = $1`, `users/id=$1`},
	{"alias of a number", `SELECT 1 FROM users AS "1" WHERE "1".id = $1`, `users/id=$1`},
	{"alias with line breaks", "SELECT 1 FROM users AS \"é\nü\t:\" WHERE \"é\nü\t:\".id = $1", `users/id=$1`},
	{"odd column name", `SELECT "odd name" FROM users WHERE id = $1`, `users/id=$1`},
	{"hostile constant", `SELECT '} :location -1 {CONST [ 1 ] (', id FROM users WHERE id = $1`, `users/id=$1`},
}

func TestGolden(t *testing.T) {
	b := setup(t)
	for _, c := range golden {
		t.Run(c.name, func(t *testing.T) {
			v := b.analyze(t, request(c.sql))
			if got := b.show(v); got != c.want {
				t.Errorf("%s\n got  %s [%s]\n want %s", c.sql, got, v.Detail, c.want)
			}
			if v.Cacheable != (v.Reason == "") {
				t.Errorf("cacheable %v with reason %q", v.Cacheable, v.Reason)
			}
			if !v.Cacheable && !slices.Contains(Reasons(), v.Reason) {
				t.Errorf("reason %s is not listed", v.Reason)
			}
		})
	}
}

// The tags of an execution are hashed without being spelled: they are those of the texts.
func TestFenceTagsAreThoseOfTheTexts(t *testing.T) {
	b := setup(t)
	for _, c := range golden {
		v := b.analyze(t, request(c.sql))
		for _, value := range []Value{{Data: []byte("1")}, {Data: []byte("{1,2,2}")}, {Data: []byte("t")}, {Null: true}, {Data: []byte(strings.Repeat("x", 99))}} {
			p := Params{Bound: slices.Repeat([]Value{value}, len(v.ParamTypes))}
			texts, ok := v.AppendTags(nil, p)
			tags, told := v.FenceTags(p)
			if ok != told {
				t.Errorf("%s: told %v, and %v", c.sql, ok, told)
			}
			for i, text := range texts {
				if tags[i] != fence.NewTag(text) {
					t.Errorf("%s: the tag of %s is another", c.sql, text)
				}
			}
			if want := len(texts) + 1 + len(v.appendRoleTags(nil)) + len(v.Relations); ok && len(tags) != want {
				t.Errorf("%s: %d tags, want %d", c.sql, len(tags), want)
			}
		}
	}
}

// Every reason is met by some golden statement, or by the test that is named.
func TestReasons(t *testing.T) {
	elsewhere := []Reason{
		ReasonUnsupportedServer, // TestOtherServerEncoding
		ReasonTemporaryTable,    // TestForeignAndTemporaryTables
		ReasonForeignTable,
	}
	for _, r := range Reasons() {
		if r.Advice() == "" || strings.ToLower(string(r)) != string(r) {
			t.Errorf("reason %q advises %q", r, r.Advice())
		}
		met := slices.Contains(elsewhere, r)
		for _, c := range golden {
			met = met || c.want == "no: "+string(r)
		}
		if !met {
			t.Errorf("no statement meets %s", r)
		}
	}
	if Reason("other").Advice() != "" {
		t.Error("advice for a reason that is none")
	}
}

// The types a client declares in Parse decide what is compared.
func TestDeclaredParameterTypes(t *testing.T) {
	b := setup(t)
	for _, c := range []struct {
		sql  string
		typ  uint32
		want string
	}{
		{`SELECT * FROM users WHERE id = $1`, 0, `users/id=$1`},
		{`SELECT * FROM users WHERE id = $1`, typeInt4, `users/id=$1`},
		{`SELECT * FROM users WHERE id = $1`, typeInt2, `users/id=$1`},
		{`SELECT * FROM users WHERE id = $1`, 1700, `users`},
		{`SELECT * FROM users WHERE email = $1`, typeVarchar, `users/email=$1`},
		{`SELECT * FROM users WHERE email = $1`, 19, `users`},
		{`SELECT * FROM users WHERE ch = $1`, typeText, `users`},
		{`SELECT * FROM users WHERE id::oid = $1`, 2205, `no: unsafe_result_type`},
		{`SELECT * FROM users WHERE id = $1`, typeText, `no: sql_error`},
	} {
		v := b.analyze(t, request(c.sql, c.typ))
		if got := b.show(v); got != c.want {
			t.Errorf("%s with type %d: got %s [%s], want %s", c.sql, c.typ, got, v.Detail, c.want)
		}
	}
}

// Names mean what the client's search_path and settings make of them.
func TestSearchPathAndSettings(t *testing.T) {
	b := setup(t)
	analyze := func(sql string, path []string, settings map[string]string) string {
		return b.show(b.analyze(t, Request{SQL: sql, SearchPath: path, Settings: settings}))
	}
	const sql = `SELECT * FROM users WHERE id = $1`
	for _, c := range []struct {
		sql      string
		path     []string
		settings map[string]string
		want     string
	}{
		{sql, []string{"pg_catalog", "public"}, nil, `users/id=$1`},
		{sql, []string{"pg_catalog", "alt", "public"}, nil, `alt.users/id=$1`},
		{sql, []string{"pg_catalog", `no "such" schema`, "public"}, nil, `users/id=$1`},
		{sql, []string{"pg_catalog"}, nil, `no: sql_error`},
		{sql, nil, nil, `no: sql_error`},
		{sql, []string{"pg_temp_3", "pg_catalog", "public"}, nil, `no: temporary_table`},
		{`SELECT * FROM public.users WHERE email = $1::text`, []string{"pg_catalog", "alt"}, nil, `users/email=$1`},
		{`SELECT * FROM public.users WHERE email = $1::text`, []string{"alt", "pg_catalog"}, nil, `no: user_function`},
		{`SELECT * FROM users WHERE id IN (1, 2) AND active = NULL`, []string{"public"}, map[string]string{"Transform_Null_Equals": "on"}, `users/id='1'|'2'`},
		{`SELECT * FROM users WHERE email = 'a\\b'`, []string{"public"}, map[string]string{"standard_conforming_strings": "off"}, `users/email='a\b'`},
		{`SELECT * FROM users WHERE email = 'a\\b'`, []string{"public"}, map[string]string{"standard_conforming_strings": "on"}, `users/email='a\\b'`},
		{sql, []string{"public"}, map[string]string{"TimeZone": "Nowhere/Land"}, `no: setting_dependent`},
		{sql, []string{"public"}, map[string]string{"TimeZone": "Europe/Berlin", "work_mem": "nonsense"}, `users/id=$1`},
		{sql, []string{"public"}, map[string]string{"client_encoding": "LATIN1"}, `no: unsupported_server`},
		{sql, []string{"public"}, map[string]string{"client_encoding": "utf-8"}, `users/id=$1`},
	} {
		if got := analyze(c.sql, c.path, c.settings); got != c.want {
			t.Errorf("%s with %q, %v: got %s, want %s", c.sql, c.path, c.settings, got, c.want)
		}
	}
}

func TestVerdictNamesWhatItReads(t *testing.T) {
	b := setup(t)
	v := b.analyze(t, request(`SELECT * FROM v_nested JOIN events_2025 e ON e.tenant_id = uid WHERE uid = $1`))
	if got, want := strings.Join(v.Tables, " "), "public.events public.orders public.users"; got != want {
		t.Errorf("tables: got %s, want %s", got, want)
	}
	if len(v.Relations) != 3 {
		t.Errorf("relations: got %d, want 3", len(v.Relations))
	}
	for _, name := range []string{"v_nested", "v_order", "events_2025", "orders", "users"} {
		var oid uint32
		if err := b.conn.QueryRow(t.Context(), `SELECT $1::text::regclass::oid`, name).Scan(&oid); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(v.Mentioned, oid) {
			t.Errorf("%s is not mentioned", name)
		}
	}
	if len(v.Mentioned) != 5 {
		t.Errorf("mentioned: got %d, want 5", len(v.Mentioned))
	}
	if len(v.ParamTypes) != 1 || v.ParamTypes[0] != typeInt8 {
		t.Errorf("parameter types: got %v, want [20]", v.ParamTypes)
	}
}

// A foreign table and a temporary one need more than the schema file.
func TestForeignAndTemporaryTables(t *testing.T) {
	b := setup(t)
	b.exec(t, `CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none;
		CREATE FOREIGN TABLE ft (id int) SERVER far; CREATE TEMP TABLE tt (id int)`)
	var temporary string
	if err := b.conn.QueryRow(t.Context(), `SELECT pg_my_temp_schema()::regnamespace::text`, pgx.QueryExecModeSimpleProtocol).Scan(&temporary); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		`SELECT * FROM ft`:                      `no: foreign_table`,
		`SELECT * FROM ` + temporary + `.tt`:    `no: temporary_table`,
		`SELECT * FROM pg_catalog.pg_namespace`: `no: catalog_table`,
	} {
		if got := b.show(b.analyze(t, request(sql))); got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
}
