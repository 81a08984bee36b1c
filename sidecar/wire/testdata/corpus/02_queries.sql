-- Joins, subqueries, set operations, aggregates and windows.
-- hits: 450
SELECT * FROM customer ORDER BY id;
SELECT * FROM orders WHERE customer_id = 2 ORDER BY id;
SELECT o.*, c.name FROM orders o JOIN customer c ON c.id = o.customer_id WHERE o.id = 7;
SELECT c.name, o.id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id AND o.total > 90 ORDER BY c.id, o.id;
SELECT c.name, o.id FROM orders o RIGHT JOIN customer c ON o.customer_id = c.id AND o.status = 'none' ORDER BY c.id, o.id;
SELECT a.id, b.id FROM (SELECT id FROM item WHERE id < 4) a FULL JOIN (SELECT id FROM item WHERE id BETWEEN 3 AND 5) b USING (id) ORDER BY 1, 2;
SELECT a.id, b.id FROM item a CROSS JOIN item b WHERE a.id < 3 AND b.id < 3 ORDER BY 1, 2;
SELECT * FROM item NATURAL JOIN (SELECT id, 'x' AS more FROM item WHERE id < 3) x ORDER BY id;
SELECT id, name FROM item JOIN (VALUES (1, 'a'), (2, 'b')) v (id, letter) USING (id) ORDER BY id;
SELECT c.id, x.id, x.total FROM customer c, LATERAL (SELECT o.id, o.total FROM orders o WHERE o.customer_id = c.id ORDER BY o.total DESC, o.id LIMIT 2) x ORDER BY 1, 2;
SELECT c.id, x.n FROM customer c LEFT JOIN LATERAL (SELECT count(*) AS n FROM orders o WHERE o.customer_id = c.id AND o.total > 80) x ON true ORDER BY 1;
SELECT e.name, b.name AS boss FROM employee e LEFT JOIN employee b ON b.id = e.boss ORDER BY e.id;
SELECT a.id FROM item a JOIN item b ON a.id = b.version JOIN item c ON c.id = b.id WHERE c.id < 9 ORDER BY 1, b.id;
SELECT o.id, l.n, i.name FROM orders o JOIN line l ON l.order_id = o.id JOIN item i ON i.id = l.item_id WHERE o.customer_id = 3 ORDER BY 1, 2;
SELECT i.name, sum(l.quantity) FROM item i JOIN line l ON l.item_id = i.id GROUP BY i.id ORDER BY 2 DESC, i.id LIMIT 5;
SELECT name FROM customer c WHERE EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id AND o.total > 95) ORDER BY id;
SELECT name FROM customer c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.status = 'paid' AND o.id < 3) ORDER BY id;
SELECT id FROM item WHERE id IN (SELECT item_id FROM line WHERE quantity > 3) ORDER BY id;
SELECT id FROM item WHERE id NOT IN (SELECT item_id FROM line) ORDER BY id;
SELECT id FROM item WHERE id > ALL (SELECT id FROM customer) AND id < ANY (SELECT id * 2 FROM customer) ORDER BY id;
SELECT id, (SELECT count(*) FROM line l WHERE l.item_id = i.id) AS uses FROM item i WHERE id <= 5 ORDER BY id;
SELECT (SELECT name FROM item WHERE id = 3), (SELECT NULL::int), (SELECT id FROM item WHERE false);
SELECT (SELECT id FROM item WHERE id < 3);
SELECT ARRAY(SELECT id FROM item WHERE version = 0 ORDER BY id DESC);
SELECT (1, 'item 1') IN (SELECT id, name FROM item), ROW(1, 2) = (SELECT 1, 2);
SELECT * FROM (SELECT id, name FROM item ORDER BY id DESC LIMIT 5) x ORDER BY id LIMIT 2 OFFSET 1;
SELECT id FROM item WHERE id < 4 UNION SELECT id FROM customer ORDER BY 1;
SELECT id FROM item WHERE id < 3 UNION ALL SELECT id FROM customer WHERE id < 3 ORDER BY 1;
SELECT id FROM item INTERSECT SELECT id FROM customer ORDER BY 1;
SELECT id FROM customer EXCEPT SELECT version FROM item ORDER BY 1;
SELECT version FROM item EXCEPT ALL SELECT n FROM one_column ORDER BY 1 LIMIT 4;
(SELECT id FROM item ORDER BY id LIMIT 1) UNION (SELECT id FROM item ORDER BY id DESC LIMIT 1) ORDER BY 1;
SELECT 1 AS a UNION SELECT 2.5 UNION SELECT NULL ORDER BY a NULLS FIRST;
SELECT DISTINCT version FROM item ORDER BY version;
SELECT DISTINCT ON (version) version, id, name FROM item ORDER BY version, id DESC;
SELECT count(*), count(DISTINCT version), sum(id), avg(id), min(name), max(name), stddev(id), variance(version), bool_and(id > 0), bool_or(id > 29), every(id > 1) FROM item;
SELECT version, count(*) FROM item GROUP BY version HAVING count(*) > 5 ORDER BY version;
SELECT status, customer_id, sum(total) FROM orders GROUP BY ROLLUP (status, customer_id) ORDER BY status NULLS LAST, customer_id NULLS LAST;
SELECT status, customer_id, count(*) FROM orders GROUP BY CUBE (status, customer_id) ORDER BY 1 NULLS LAST, 2 NULLS LAST;
SELECT status, grouping(status), count(*) FROM orders GROUP BY GROUPING SETS ((status), ()) ORDER BY 2, 1;
SELECT string_agg(name, ',' ORDER BY id), array_agg(id ORDER BY id DESC), json_agg(id ORDER BY id), jsonb_object_agg(name, id) FROM item WHERE id < 4;
SELECT count(*) FILTER (WHERE version = 1), sum(id) FILTER (WHERE false), percentile_cont(0.5) WITHIN GROUP (ORDER BY id), percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY id), mode() WITHIN GROUP (ORDER BY version) FROM item;
SELECT corr(id, version), covar_pop(id, version), regr_slope(id, version), bit_and(id), bit_or(id), bit_xor(id), range_agg(int4range(id, id + 1)) FROM item WHERE id < 10;
SELECT rank(3) WITHIN GROUP (ORDER BY id), cume_dist(3) WITHIN GROUP (ORDER BY id) FROM item;
SELECT sum(n), count(n), avg(n), max(n) FROM one_column;
SELECT sum(id), count(*), max(t), array_agg(id) FROM empty;
SELECT id, row_number() OVER (ORDER BY id DESC), rank() OVER (PARTITION BY version ORDER BY id), dense_rank() OVER (ORDER BY version), percent_rank() OVER (ORDER BY version), cume_dist() OVER (ORDER BY version), ntile(4) OVER (ORDER BY id) FROM item ORDER BY id LIMIT 8;
SELECT id, lag(id, 2, -1) OVER w, lead(name) OVER w, first_value(id) OVER w, last_value(id) OVER w, nth_value(id, 2) OVER w FROM item WHERE id < 8 WINDOW w AS (PARTITION BY version ORDER BY id) ORDER BY id;
SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), sum(id) OVER (ORDER BY version RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES), count(*) OVER (ORDER BY version GROUPS 1 PRECEDING) FROM item WHERE id < 8 ORDER BY id;
SELECT status, sum(sum(total)) OVER (ORDER BY status) FROM orders GROUP BY status ORDER BY status;
SELECT placed::date AS day, avg(total) OVER (ORDER BY placed RANGE BETWEEN '3 days' PRECEDING AND CURRENT ROW) FROM orders WHERE id < 8 ORDER BY placed;
WITH big AS (SELECT * FROM orders WHERE total > 80) SELECT count(*), sum(total) FROM big;
WITH a AS (SELECT 1 AS n), b AS (SELECT n + 1 AS n FROM a) SELECT a.n, b.n FROM a, b;
WITH x AS MATERIALIZED (SELECT id FROM item WHERE id < 4), y AS NOT MATERIALIZED (SELECT id FROM customer) SELECT x.id FROM x JOIN y USING (id) ORDER BY 1;
WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n), count(*) FROM t;
WITH RECURSIVE chain AS (SELECT id, name, boss, 1 AS depth FROM employee WHERE boss IS NULL UNION ALL SELECT e.id, e.name, e.boss, c.depth + 1 FROM employee e JOIN chain c ON e.boss = c.id) SELECT * FROM chain ORDER BY depth, id;
WITH RECURSIVE chain AS (SELECT id, boss FROM employee WHERE id = $1 UNION ALL SELECT e.id, e.boss FROM employee e JOIN chain c ON e.id = c.boss) SELECT id FROM chain;
\bind 6
\bind 1
\bind 99
WITH RECURSIVE g (id, boss) AS (SELECT id, boss FROM employee UNION SELECT e.id, e.boss FROM employee e, g WHERE e.boss = g.id) SEARCH DEPTH FIRST BY id SET ord CYCLE id SET looped USING p SELECT id, looped FROM g ORDER BY id, looped LIMIT 5;
WITH unused AS (SELECT 1/0) SELECT 1;
SELECT * FROM active_customer ORDER BY id;
SELECT * FROM order_total WHERE id < 5 ORDER BY id;
SELECT * FROM nested_view ORDER BY total, name LIMIT 5;
SELECT name FROM active_customer WHERE id = $1;
\bind 1
\bind 2
SELECT * FROM part ORDER BY id;
SELECT * FROM part WHERE region = 'south' ORDER BY id;
SELECT * FROM part_south_low ORDER BY id;
SELECT tableoid::regclass, id FROM part ORDER BY id;
SELECT * FROM animal ORDER BY id;
SELECT * FROM ONLY animal;
SELECT * FROM dog ORDER BY id;
SELECT p.relname, a.* FROM animal a, pg_class p WHERE a.tableoid = p.oid ORDER BY a.id;
SELECT ctid IS NOT NULL, xmin IS NOT NULL FROM item WHERE id = 1;
SELECT item FROM item WHERE id = 1;
SELECT item.* FROM item, customer WHERE item.id = customer.id ORDER BY item.id;
SELECT (item).name, row_to_json(item), to_jsonb(item) FROM item WHERE id < 3 ORDER BY id;
SELECT (c.address).b, c.tags[1], c.settings->>'theme' FROM customer c ORDER BY id;
SELECT count(*) FROM customer WHERE feeling = 'ok';
SELECT * FROM customer WHERE email = $1;
\bind ada@example.org
\bind nobody
\bind \N
SELECT id, name FROM customer WHERE active AND feeling > 'sad' ORDER BY id;
SELECT id FROM customer WHERE born < $1 ORDER BY id;
\bind 1800-01-01
\bind today
\bind 1.1.1800
SELECT id, total FROM orders WHERE status = $1 AND total BETWEEN $2 AND $3 ORDER BY total, id;
\bind paid | 10 | 50.5
\bind new | 0 | 1000
\bind none | \N | 1
SELECT c.name, count(o.id), coalesce(sum(o.total), 0) FROM customer c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = $1 GROUP BY c.id;
\bind 1
\bind 5
\bind 6
SELECT o.id, o.total FROM orders o JOIN customer c ON c.id = o.customer_id WHERE c.email = $1 AND o.status = ANY ($2) ORDER BY o.id LIMIT $3;
\bind ada@example.org | {paid,sent} | 3
\bind li@example.org | {new} | 100
SELECT id FROM item ORDER BY version, id FETCH FIRST 5 ROWS ONLY;
SELECT id FROM item ORDER BY version FETCH FIRST 1 ROW WITH TIES;
SELECT id FROM item ORDER BY id OFFSET 28;
SELECT id FROM item ORDER BY id LIMIT ALL OFFSET 29;
SELECT id FROM item ORDER BY id USING > LIMIT 2;
SELECT name, id FROM item ORDER BY 2 DESC, name LIMIT 2;
SELECT * FROM generate_series(1, 10, 3) g, generate_series(10, 1, -4) h;
SELECT * FROM generate_series('2024-01-01'::timestamp, '2024-01-03', '12 hours') WITH ORDINALITY AS t (moment, n);
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b', 'c']) AS t (n, s);
SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY['x', 'y', 'z'])) AS t (a, b);
SELECT * FROM json_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') AS t (a int, b text);
SELECT generate_series(1, 3), generate_series(1, 2);
SELECT id, unnest(tags) FROM customer ORDER BY id, 2;
SELECT * FROM items_of(1);
SELECT add_one(id) FROM item WHERE id < 3 ORDER BY id;
SELECT * FROM item TABLESAMPLE SYSTEM (100) ORDER BY id LIMIT 2;
SELECT * FROM item WHERE id = 1 FOR UPDATE;
SELECT * FROM item WHERE id = 1 FOR SHARE NOWAIT;
SELECT * FROM item WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED;
SELECT * FROM item WHERE id = 1 FOR KEY SHARE OF item;
SELECT id, body FROM wide WHERE id IN (1, 26) ORDER BY id;
SELECT length(body), n FROM wide ORDER BY id;
SELECT string_agg(body, '') FROM wide;
SELECT relname FROM pg_class WHERE relname = 'item' ORDER BY 1;
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnum > 0 ORDER BY attnum;
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_name = 'orders' AND table_schema = 'public' ORDER BY ordinal_position;
SELECT status, count FROM frozen ORDER BY status;
SELECT nextval('counter'), currval('counter'), lastval();
SELECT last_value, is_called FROM counter;
SELECT pg_advisory_lock(1), pg_try_advisory_lock(2), pg_advisory_unlock(1), pg_advisory_unlock_all();
SELECT * FROM item WHERE id = 3 AND name = 'item 3' AND version >= 0;
SELECT max(id) FROM item WHERE version = (SELECT max(version) FROM item);
SELECT count(*) FROM item a, item b, item c WHERE a.id = b.id AND b.id = c.id AND a.version = 1;
SELECT CASE WHEN EXISTS (SELECT FROM item WHERE id = 99) THEN 'yes' ELSE 'no' END;
SELECT count(*) OVER (), id FROM item WHERE false;
SELECT * FROM empty;
SELECT id, t FROM empty WHERE id = $1;
\bind 1
