-- What a name means changes, and the tables themselves.
SELECT value FROM setting WHERE name = 'currency';
SELECT value FROM setting WHERE name = 'currency';

\echo another schema comes first
CREATE SCHEMA other;
CREATE TABLE other.setting AS SELECT 'currency' AS name, 'XXX' AS value;
SET search_path = other, public;
SELECT value FROM setting WHERE name = 'currency';
RESET search_path;
SELECT value FROM setting WHERE name = 'currency';
DROP SCHEMA other CASCADE;

\echo the schema changes
SELECT * FROM setting WHERE name = 'vat';
ALTER TABLE setting ADD COLUMN note text DEFAULT 'none';
SELECT * FROM setting WHERE name = 'vat';
ALTER TABLE setting DROP COLUMN note;
SELECT * FROM setting WHERE name = 'vat';
ALTER TABLE setting RENAME COLUMN value TO worth;
SELECT * FROM setting WHERE name = 'vat';
SELECT value FROM setting WHERE name = 'vat';
ALTER TABLE setting RENAME COLUMN worth TO value;
SELECT value FROM setting WHERE name = 'vat';
CREATE TABLE fresh AS SELECT 1 AS n;
SELECT n FROM fresh;
UPDATE fresh SET n = 2;
SELECT n FROM fresh;
SELECT n FROM fresh;
TRUNCATE fresh;
SELECT n FROM fresh;
DROP TABLE fresh;
SELECT n FROM fresh;
CREATE OR REPLACE VIEW sold AS SELECT 'nothing'::text AS name, 0::bigint AS amount;
TABLE sold;
CREATE OR REPLACE VIEW sold AS SELECT i.name, sum(s.amount) AS amount FROM item i JOIN sale s ON s.item = i.id GROUP BY i.name;
TABLE sold ORDER BY name;

\echo a temporary table hides another
CREATE TEMP TABLE setting (name text, value text);
SELECT value FROM setting WHERE name = 'currency';
DROP TABLE pg_temp.setting;
SELECT value FROM setting WHERE name = 'currency';
