-- One long session, as somebody might type it.
SELECT 'SELECT value FROM setting WHERE name = ''currency''' FROM generate_series(1, 50) \gexec

\echo types, formats, empty results
SELECT * FROM item ORDER BY id;
SELECT * FROM item ORDER BY id;
\x on
SELECT * FROM item WHERE id = 1;
SELECT * FROM item WHERE id = 1;
\x off
SELECT id, name FROM item WHERE id = 99;
SELECT id, name FROM item WHERE id = 99;
SELECT FROM item;
SELECT FROM item;
TABLE sold ORDER BY name;
TABLE sold ORDER BY name;
VALUES (1, 'one'), (2, NULL);
SELECT name, price AS "the price", price * 2 FROM item WHERE price < 100 ORDER BY name \gdesc
SELECT i.name, s.amount FROM item i LEFT JOIN sale s ON s.item = i.id ORDER BY 1, 2 \crosstabview
;

\echo settings that change what an answer looks like
SELECT changed, made, weight, photo FROM item WHERE id = 1;
SET TimeZone = 'Asia/Tokyo';
SELECT changed, made, weight, photo FROM item WHERE id = 1;
SET DateStyle = 'German';
SELECT changed, made, weight, photo FROM item WHERE id = 1;
SET bytea_output = 'escape';
SELECT changed, made, weight, photo FROM item WHERE id = 1;
BEGIN;
SET LOCAL extra_float_digits = 0;
SELECT 0.1::float8 + 0.2::float8, weight FROM item WHERE id = 1;
ROLLBACK;
SELECT 0.1::float8 + 0.2::float8, weight FROM item WHERE id = 1;
SELECT set_config('TimeZone', 'UTC', false);
SELECT changed, made, weight, photo FROM item WHERE id = 1;
RESET ALL;
SELECT changed, made, weight, photo FROM item WHERE id = 1;
\echo own writes
SELECT q FROM generate_series(1, 10) i, LATERAL (VALUES
    (1, format('UPDATE item SET stock = %s WHERE id = 3 RETURNING stock', i)),
    (2, 'SELECT stock FROM item WHERE id = 3'),
    (3, 'SELECT stock FROM item WHERE id = 3')) v (n, q) ORDER BY i, n \gexec
SELECT stock FROM item WHERE id = 1 \gset
UPDATE item SET stock = :stock + 5 WHERE id = 1;
SELECT stock FROM item WHERE id = 1;
INSERT INTO sale (item, amount) SELECT id, 7 FROM item WHERE id < 3;
TABLE sold ORDER BY name;
DELETE FROM sale WHERE amount = 7;
TABLE sold ORDER BY name;

\echo transactions
BEGIN;
SELECT stock FROM item WHERE id = 1;
UPDATE item SET stock = 77 WHERE id = 1;
SELECT stock FROM item WHERE id = 1;
SAVEPOINT here;
UPDATE item SET stock = 78 WHERE id = 1;
ROLLBACK TO here;
SELECT stock FROM item WHERE id = 1;
ROLLBACK;
SELECT stock FROM item WHERE id = 1;
BEGIN;
UPDATE item SET stock = 55 WHERE id = 1;
COMMIT;
SELECT stock FROM item WHERE id = 1;
BEGIN;
UPDATE item SET stock = -1 WHERE id = 1;
SELECT stock FROM item WHERE id = 1;
SELECT value FROM setting WHERE name = 'currency';
COMMIT;
SELECT stock FROM item WHERE id = 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT stock FROM item WHERE id = 1;
COMMIT AND CHAIN;
SHOW transaction_isolation;
ROLLBACK;
\set AUTOCOMMIT off
SELECT stock FROM item WHERE id = 1;
UPDATE item SET stock = 56 WHERE id = 1;
ROLLBACK;
\set AUTOCOMMIT on
SELECT stock FROM item WHERE id = 1;

\echo errors and notices
\set VERBOSITY verbose
SELECT stock / 0 FROM item WHERE id = 1;
\echo :SQLSTATE :LAST_ERROR_MESSAGE
SELECT nothing FROM item;
SELEC 1;
INSERT INTO item (id, name, price, stock) VALUES (1, 'again', 1, 1);
INSERT INTO sale (item, amount) VALUES (99, 1);
UPDATE item SET stock = -1;
SELECT 1; SELECT 1 / 0; SELECT 2;
SELECT 1 \; SELECT 1 / 0 \; SELECT 2;
DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE WARNING 'a warning' USING HINT = 'none', ERRCODE = '01003'; END $$;
DROP TABLE IF EXISTS nowhere;
ROLLBACK;
SET statement_timeout = '50ms';
SELECT pg_sleep(10);
RESET statement_timeout;
\set VERBOSITY default

\echo several statements in one message
SELECT stock FROM item WHERE id = 1 \; UPDATE item SET stock = 60 WHERE id = 1 \; SELECT stock FROM item WHERE id = 1;
SELECT stock FROM item WHERE id = 1;
BEGIN \; UPDATE item SET stock = 61 WHERE id = 1 \; ROLLBACK;
SELECT stock FROM item WHERE id = 1;
;
-- only a comment

\echo copy
COPY item (id, name, price, stock, tags) TO STDOUT;
COPY (SELECT name, price FROM item ORDER BY name) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *);
COPY sale (item, amount) FROM STDIN;
1	100
2	200
\.
SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY 2;
COPY sale (item, amount) FROM STDIN WITH (FORMAT csv);
1,300
1,many
\.
COPY sale (item, amount) FROM STDIN;
1	400
99	400
\.
SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY 2;
BEGIN;
\copy sale (item, amount) from program 'echo 3,500' csv
ROLLBACK;
SELECT count(*) FROM sale;

\echo prepared statements and cursors
PREPARE priced (int) AS SELECT name, price FROM item WHERE id = $1;
EXECUTE priced (1);
EXECUTE priced (1);
EXECUTE priced ('one');
DEALLOCATE priced;
EXECUTE priced (1);
BEGIN;
DECLARE every CURSOR FOR SELECT id FROM item ORDER BY id;
FETCH 2 FROM every;
MOVE 1 IN every;
FETCH 1 FROM every;
CLOSE every;
COMMIT;
\set FETCH_COUNT 2
SELECT id, name FROM item ORDER BY id;
\unset FETCH_COUNT

\echo notifications
LISTEN shop;
NOTIFY shop, 'open';
SELECT value FROM setting WHERE name = 'currency';
SELECT pg_notify('shop', 'closed');
UNLISTEN *;
NOTIFY shop, 'unheard';

\echo what must never be kept
SELECT nextval('sale_id_seq') > 0 AS next, currval('sale_id_seq') - lastval() AS same;
SELECT nextval('sale_id_seq') - currval('sale_id_seq') AS same;
SELECT now() = now(), clock_timestamp() > now();
SELECT id FROM item WHERE id = 1 FOR UPDATE;
WITH moved AS (UPDATE item SET stock = stock + 1 WHERE id = 1 RETURNING stock) SELECT * FROM moved;
WITH moved AS (UPDATE item SET stock = stock + 1 WHERE id = 1 RETURNING stock) SELECT * FROM moved;
SELECT stock FROM item WHERE id = 1;

\echo the catalog
\dt
\d item
\dv+ sold
EXPLAIN (COSTS off) SELECT value FROM setting WHERE name = 'currency';
