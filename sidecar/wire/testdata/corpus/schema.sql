-- What the corpus reads and writes. All tables of public are watched.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, version int NOT NULL DEFAULT 0);
INSERT INTO item SELECT i, 'item ' || i, i % 3 FROM generate_series(1, 30) i;

CREATE TABLE customer (id int PRIMARY KEY, name varchar(40) NOT NULL, email text UNIQUE, born date, active bool NOT NULL DEFAULT true,
	feeling mood, address pair, tags text[] NOT NULL DEFAULT '{}', settings jsonb NOT NULL DEFAULT '{}');
INSERT INTO customer VALUES
	(1, 'Ada', 'ada@example.org', '1815-12-10', true, 'happy', '(1,"Main Street")', '{a,b}', '{"theme": "dark", "n": 1, "list": [1, 2, 3]}'),
	(2, 'Blaise', 'blaise@example.org', '1623-06-19', false, 'sad', '(2,)', '{}', '{"theme": "light", "nested": {"a": {"b": [true, null]}}}'),
	(3, 'Çelebi', NULL, NULL, true, NULL, NULL, '{"with space","with,comma",NULL}', '{}'),
	(4, 'Дмитрий', 'dm@example.org', '1834-02-08', true, 'ok', '(,)', '{x}', '{"n": 2.50, "theme": null}'),
	(5, '李善蘭', 'li@example.org', '1811-01-22', false, 'ok', '(5,"quote "" and \\")', '{a}', '[1, "two"]');

CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, placed timestamptz NOT NULL, total numeric(10,2) NOT NULL, status text NOT NULL);
INSERT INTO orders SELECT i, i % 5 + 1, '2024-01-31 22:00:00+00'::timestamptz + i * interval '1 day 7 hours', (i * 37 % 100) + 0.5, (ARRAY['new', 'paid', 'sent'])[i % 3 + 1]
	FROM generate_series(1, 40) i;
CREATE TABLE line (order_id int REFERENCES orders, n int, item_id int REFERENCES item, quantity int NOT NULL CHECK (quantity > 0), price numeric NOT NULL, PRIMARY KEY (order_id, n));
INSERT INTO line SELECT o, n, (o * 7 + n) % 30 + 1, n + o % 2, (o * n) % 13 + 0.25 FROM generate_series(1, 40) o, generate_series(1, 3) n WHERE (o + n) % 4 > 0;
CREATE TABLE employee (id int PRIMARY KEY, name text NOT NULL, boss int REFERENCES employee, salary int, dept text);
INSERT INTO employee VALUES (1, 'root', NULL, 900, 'top'), (2, 'left', 1, 500, 'a'), (3, 'right', 1, 500, 'b'), (4, 'leaf', 2, 100, 'a'), (5, 'loner', NULL, NULL, NULL), (6, 'low', 4, 50, 'a');
CREATE TABLE empty (id int, t text);
CREATE TABLE one_column (n int);
INSERT INTO one_column VALUES (1), (2), (NULL);
CREATE TABLE document (id int PRIMARY KEY, body json, data jsonb, path jsonpath);
INSERT INTO document VALUES
	(1, '{"a":  1, "b": [1,2,{"c": null}], "a": 2}', '{"a": 1, "b": [1, 2, {"c": null}], "price": 9.95, "tags": ["x", "y"]}', '$.b[*]'),
	(2, '[]', '[]', '$'), (3, '"text"', '"text"', '$.a'), (4, 'null', 'null', NULL), (5, NULL, NULL, NULL),
	(6, '{"name": "ä\u00f6\ud83d\ude00", "deep": {"er": {"still": true}}}', '{"name": "äö", "deep": {"er": {"still": true}}}', '$.deep.**');
CREATE TABLE event (id int PRIMARY KEY, day date, at timestamp, at_tz timestamptz, clock time, clock_tz timetz, lasts interval);
INSERT INTO event VALUES
	(1, '2024-02-29', '2024-02-29 23:59:59.999999', '2024-02-29 23:59:59.999999+00', '23:59:59.999999', '23:59:59+05:30', '1 mon 2 days 03:04:05.678'),
	(2, '0001-01-01 BC', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '00:00', '00:00+00', '-1 year -11 mons'),
	(3, 'infinity', 'infinity', '-infinity', '24:00', '12:00-12', '1000 years'),
	(4, '2000-03-26', '2000-03-26 02:30:00', '2000-03-26 01:30:00+00', '02:30', '02:30+01', '-00:00:00.000001'), (5, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE part (id int NOT NULL, region text NOT NULL, n int) PARTITION BY LIST (region);
CREATE TABLE part_north PARTITION OF part FOR VALUES IN ('north');
CREATE TABLE part_south PARTITION OF part FOR VALUES IN ('south') PARTITION BY RANGE (id);
CREATE TABLE part_south_low PARTITION OF part_south FOR VALUES FROM (1) TO (100);
CREATE TABLE part_rest PARTITION OF part DEFAULT;
INSERT INTO part SELECT i, (ARRAY['north', 'south', 'east'])[i % 3 + 1], i * i FROM generate_series(1, 12) i;
CREATE TABLE animal (id int PRIMARY KEY, name text);
CREATE TABLE dog (barks bool) INHERITS (animal);
INSERT INTO animal VALUES (1, 'generic');
INSERT INTO dog VALUES (2, 'rex', true), (3, 'mute', false);
CREATE TABLE secret (id int PRIMARY KEY, owner text, body text);
INSERT INTO secret VALUES (1, 'reader', 'of reader'), (2, 'writer', 'of writer');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = current_user);
CREATE TABLE article (id int PRIMARY KEY, title text, body text, words tsvector GENERATED ALWAYS AS (to_tsvector('english', coalesce(title, '') || ' ' || coalesce(body, ''))) STORED);
INSERT INTO article VALUES (1, 'The Fat Cats', 'sat on a mat and ate many rats'), (2, 'Dogs', 'running, jumping & barking'), (3, NULL, NULL);
CREATE TABLE scratch (id int PRIMARY KEY, t text, n int DEFAULT 7, UNIQUE (t));
CREATE TABLE stock (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text NOT NULL, left_over int NOT NULL CHECK (left_over >= 0), double_left int GENERATED ALWAYS AS (left_over * 2) STORED);
CREATE TABLE later (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, up int REFERENCES item DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE wide AS SELECT i AS id, repeat(chr(96 + i), 3000) AS body, i * 1.5 AS n FROM generate_series(1, 26) i;

CREATE VIEW active_customer AS SELECT id, name, feeling FROM customer WHERE active;
CREATE VIEW order_total WITH (security_barrier) AS SELECT o.id, o.status, sum(l.quantity * l.price) AS total FROM orders o JOIN line l ON l.order_id = o.id GROUP BY o.id, o.status;
CREATE VIEW nested_view AS SELECT c.name, t.total FROM active_customer c JOIN orders o ON o.customer_id = c.id JOIN order_total t ON t.id = o.id;
CREATE VIEW invoker_view WITH (security_invoker) AS SELECT * FROM secret;
CREATE VIEW updatable AS SELECT id, t FROM scratch WHERE id < 100 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW frozen AS SELECT status, count(*) FROM orders GROUP BY status;

CREATE FUNCTION noisy(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'noisy %', n USING DETAIL = 'detail', HINT = 'hint'; RETURN n; END $$;
CREATE FUNCTION add_one(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + 1';
CREATE FUNCTION items_of(v int) RETURNS SETOF item LANGUAGE sql STABLE AS 'SELECT * FROM item WHERE version = v ORDER BY id';
CREATE FUNCTION change_zone(z text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('TimeZone', z, false); RETURN z; END $$;
CREATE FUNCTION make_temporary() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMPORARY TABLE item (id int, name text, version int); INSERT INTO item VALUES (3, 'temporary', 0); END $$;
CREATE FUNCTION fails(code text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'failed on purpose' USING ERRCODE = code, TABLE = 'item', COLUMN = 'id', CONSTRAINT = 'none', DATATYPE = 'int4', SCHEMA = 'public'; END $$;
CREATE PROCEDURE fill(n int) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP INSERT INTO scratch VALUES (1000 + i, 'filled ' || i); COMMIT; END LOOP; END $$;
CREATE SEQUENCE counter;

CREATE ROLE reader LOGIN;
CREATE ROLE writer LOGIN;
CREATE ROLE nobody;
GRANT USAGE ON SCHEMA public TO reader, writer;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader, writer;
GRANT INSERT, UPDATE, DELETE ON scratch, secret TO writer;
REVOKE SELECT ON employee FROM reader;
GRANT SELECT (id, name) ON employee TO reader;
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.item (id int PRIMARY KEY, name text NOT NULL, version int NOT NULL DEFAULT 0);
INSERT INTO elsewhere.item VALUES (3, 'elsewhere', 9);
CREATE SCHEMA reader AUTHORIZATION reader;
CREATE TABLE reader.item AS SELECT 3 AS id, 'of reader' AS name, 8 AS version;
GRANT USAGE ON SCHEMA elsewhere TO reader, writer;
GRANT SELECT ON ALL TABLES IN SCHEMA elsewhere, reader TO reader, writer;
