CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('ok', 'sad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);

CREATE TABLE users (
    id int8 PRIMARY KEY, email text, name varchar(40), active bool, sm int2, u uuid, num numeric,
    ch char(5), ci text COLLATE loose, mood mood, manager_id int8, born date, at timestamptz, extra jsonb,
    p pair, pos positive, words text[], "odd name" int);
CREATE TABLE orders (
    id int PRIMARY KEY, user_id int8, status text, total numeric, created_at timestamptz, deleted bool);
CREATE TABLE items (id int PRIMARY KEY, order_id int, sku text, qty int);
CREATE TABLE docs (id int PRIMARY KEY, owner text);
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE TABLE events (tenant_id int, at timestamptz, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE base (id int, note text);
CREATE TABLE derived (more int) INHERITS (base);
CREATE TABLE settings (k text, v text);
CREATE TABLE regs (id int, kind regclass);
CREATE TABLE unwatched (id int);
CREATE SEQUENCE numbers;
CREATE MATERIALIZED VIEW mv AS SELECT * FROM orders;

CREATE VIEW v_order AS SELECT o.id, o.user_id AS uid, u.name FROM orders o JOIN users u ON u.id = o.user_id;
CREATE VIEW v_nested AS SELECT * FROM v_order WHERE name <> 'x';
CREATE VIEW v_agg AS SELECT user_id, count(*) AS n FROM orders GROUP BY user_id;
CREATE VIEW v_top AS SELECT * FROM orders ORDER BY id LIMIT 10;
CREATE VIEW v_barrier WITH (security_barrier) AS SELECT * FROM orders WHERE status = 'paid';
CREATE VIEW v_today AS SELECT * FROM orders WHERE created_at > timestamptz '2026-01-01';
CREATE VIEW v_now AS SELECT * FROM orders WHERE created_at > now();
CREATE VIEW v_docs AS SELECT * FROM docs;
CREATE VIEW v_next AS SELECT nextval('numbers') AS n;

CREATE SCHEMA alt;
CREATE TABLE alt.users (id int8, other text);
CREATE FUNCTION alt.same(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR alt.= (FUNCTION = alt.same, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION f_sql(int8) RETURNS SETOF users STABLE LANGUAGE sql AS 'SELECT * FROM users WHERE id = $1';
CREATE FUNCTION f_imm(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION f_plpgsql(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE AGGREGATE a_sum(int) (SFUNC = int4pl, STYPE = int);

-- For the differential test: integers of every width, text of both kinds; k
-- names a row and is in no query.
CREATE TABLE fa (id int, x int, y int8, s text, k int);
CREATE TABLE fb (id int8, x int, y int, s varchar(9), k int);
CREATE TABLE fc (id int2, x int8, y int, s text, k int);
CREATE VIEW fv1 AS SELECT id, x, s FROM fa WHERE y = 1;
CREATE VIEW fv2 AS SELECT fb.id, fc.x, fb.s FROM fb LEFT JOIN fc ON fc.id = fb.x AND fc.y = 2;
CREATE VIEW fv3 AS SELECT id, count(*)::int AS x, max(s) AS s FROM fa GROUP BY id;
