-- Writes of all kinds, with what they return, and reads between them.
TRUNCATE scratch, stock RESTART IDENTITY;
SELECT count(*) FROM scratch;
INSERT INTO scratch VALUES (1, 'one'), (2, 'two', NULL), (3, 'three', DEFAULT);
SELECT * FROM scratch ORDER BY id;
INSERT INTO scratch (t, id) VALUES ('four', 4) RETURNING *;
INSERT INTO scratch VALUES (5, 'five') RETURNING id, n * 2 AS twice, upper(t);
INSERT INTO scratch VALUES ($1, $2, $3) RETURNING id;
\bind 6 | six | 6
\bind 7 | \N | \N
\bind 6 | again | 1
\bind x | six | 6
SELECT * FROM scratch WHERE id = $1;
\bind 6
\bind 7
INSERT INTO scratch SELECT id + 100, name, version FROM item WHERE id < 4;
INSERT INTO scratch DEFAULT VALUES;
INSERT INTO scratch VALUES (1, 'conflict') ON CONFLICT DO NOTHING;
INSERT INTO scratch VALUES (1, 'conflict') ON CONFLICT (id) DO UPDATE SET t = excluded.t || ' of ' || scratch.t RETURNING *;
INSERT INTO scratch VALUES (200, 'conflict of one') ON CONFLICT (t) DO UPDATE SET n = 99 WHERE scratch.n < 50 RETURNING *;
INSERT INTO scratch VALUES (201, 'conflict of one') ON CONFLICT ON CONSTRAINT scratch_t_key DO NOTHING RETURNING *;
INSERT INTO scratch AS s (id, t) OVERRIDING USER VALUE VALUES (8, 'eight');
SELECT * FROM scratch ORDER BY id;
UPDATE scratch SET n = n + 1;
UPDATE scratch SET t = 'second' WHERE id = 2 RETURNING *;
UPDATE scratch SET t = $2 WHERE id = $1 RETURNING t, length(t);
\bind 3 | third
\bind 99 | none
\bind 3 | \N
UPDATE scratch s SET n = i.version FROM item i WHERE i.id = s.id AND s.id < 4 RETURNING s.id, s.n, i.name;
UPDATE scratch SET (t, n) = (SELECT name, version FROM item WHERE item.id = scratch.id) WHERE id = 1;
UPDATE scratch SET n = DEFAULT WHERE id = 5;
UPDATE ONLY scratch SET n = 0 WHERE false;
SELECT * FROM scratch ORDER BY id;
DELETE FROM scratch WHERE id > 100 RETURNING id;
DELETE FROM scratch USING item WHERE item.id = scratch.id AND item.version = 1 AND scratch.id > 4;
DELETE FROM scratch WHERE id = $1;
\bind 8
\bind 8
SELECT count(*), sum(n) FROM scratch;
MERGE INTO scratch s USING (VALUES (1, 'merged'), (50, 'new')) v (id, t) ON s.id = v.id WHEN MATCHED THEN UPDATE SET t = v.t WHEN NOT MATCHED THEN INSERT (id, t) VALUES (v.id, v.t);
MERGE INTO scratch s USING item i ON s.id = i.id WHEN MATCHED AND s.n IS NULL THEN DELETE WHEN MATCHED THEN DO NOTHING;
SELECT * FROM scratch ORDER BY id;
WITH moved AS (DELETE FROM scratch WHERE id < 3 RETURNING *) INSERT INTO scratch SELECT id + 300, t || '!', n FROM moved RETURNING id;
WITH w AS (INSERT INTO scratch VALUES (400, 'by cte') RETURNING *) SELECT * FROM w;
WITH w AS (UPDATE scratch SET n = 1 RETURNING id) SELECT count(*) FROM w;
WITH a AS (SELECT 1), w AS (DELETE FROM scratch WHERE id = 400 RETURNING t) SELECT t FROM w, a;
INSERT INTO stock (item, left_over) VALUES ('nut', 5), ('bolt', 0) RETURNING *;
INSERT INTO stock (id, item, left_over) OVERRIDING SYSTEM VALUE VALUES (77, 'x', 1) RETURNING *;
UPDATE stock SET left_over = left_over - 1 WHERE item = 'nut' RETURNING left_over, double_left;
UPDATE stock SET left_over = left_over - 1 WHERE item = 'bolt';
SELECT item, left_over, double_left FROM stock ORDER BY id;
DELETE FROM stock;
INSERT INTO part VALUES (90, 'north', 1), (91, 'south', 2), (92, 'west', 3);
SELECT tableoid::regclass::text, id, region FROM part WHERE id >= 90 ORDER BY id;
SELECT id, region, n FROM part WHERE id >= 90 ORDER BY id;
UPDATE part SET region = 'south' WHERE id = 90 RETURNING id, region;
SELECT id, region, n FROM part WHERE region = 'south' AND id >= 90 ORDER BY id;
DELETE FROM part_south WHERE id >= 90;
DELETE FROM part WHERE id >= 90;
SELECT count(*) FROM part;
INSERT INTO dog VALUES (9, 'new', true);
UPDATE animal SET name = 'renamed' WHERE id = 9;
SELECT id, name FROM animal ORDER BY id;
DELETE FROM animal WHERE id = 9;
SELECT id, name FROM animal ORDER BY id;
INSERT INTO updatable VALUES (60, 'through a view');
UPDATE updatable SET t = 'changed' WHERE id = 60 RETURNING *;
SELECT * FROM updatable ORDER BY id;
UPDATE updatable SET id = 100 WHERE id = 60;
DELETE FROM updatable WHERE id = 60;
CALL fill(2);
SELECT id, t FROM scratch WHERE id > 1000 ORDER BY id;
INSERT INTO later VALUES (1), (1);
INSERT INTO later VALUES (1, 99);
BEGIN;
INSERT INTO later VALUES (2, 99);
SELECT * FROM later;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
SELECT * FROM later;
COPY scratch FROM STDIN;
\data
501	copied	1
502	\N	2
503	with\ttab	\N
\.
SELECT * FROM scratch WHERE id BETWEEN 500 AND 599 ORDER BY id;
COPY scratch (id, t) FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', NULL 'nil', QUOTE '''');
\data
id;t
510;'quo;ted'
511;nil
\.
COPY scratch FROM STDIN;
\data
520	x	not a number
\.
COPY scratch FROM STDIN;
\data
521	x
\.
COPY scratch FROM STDIN;
\data
501	duplicate	1
\.
COPY scratch FROM STDIN;
\data
530	given up	1
\fail the client gave up
COPY scratch FROM STDIN WHERE id > 540;
\data
540	no	1
541	yes	1
\.
COPY scratch FROM STDIN (FORMAT binary);
\data
no binary
\.
COPY scratch FROM STDIN;
\data
\.
COPY nothing FROM STDIN;
\data
1
\.
SELECT id, t, n FROM scratch WHERE id BETWEEN 500 AND 599 ORDER BY id;
COPY (SELECT * FROM scratch WHERE id BETWEEN 500 AND 599 ORDER BY id) TO STDOUT;
COPY item TO STDOUT (FORMAT csv, HEADER true, FORCE_QUOTE (name));
COPY item (name) TO STDOUT (DELIMITER '|');
COPY item TO STDOUT (FORMAT binary);
COPY (SELECT 1, NULL, E'a\tb', 'ä') TO STDOUT (NULL 'none');
COPY (SELECT 1, NULL, 'a,"b"', '') TO STDOUT CSV;
COPY (VALUES (1), (2)) TO STDOUT;
COPY (INSERT INTO scratch VALUES (599, 'by copy') RETURNING *) TO STDOUT;
COPY empty TO STDOUT;
COPY (SELECT 1/0) TO STDOUT;
COPY (SELECT id / (id - 3) FROM item ORDER BY id) TO STDOUT;
SELECT count(*) FROM scratch;
LOCK TABLE scratch IN EXCLUSIVE MODE;
SELECT nextval('counter');
SELECT setval('counter', 40), nextval('counter');
SELECT setval('counter', 1, false);
SELECT lo_create(4711), lo_unlink(4711);
SELECT lo_from_bytea(4712, '\x0102');
SELECT lo_get(4712), lo_unlink(4712);
TRUNCATE scratch;
SELECT * FROM scratch;
TRUNCATE TABLE ONLY stock RESTART IDENTITY CASCADE;
