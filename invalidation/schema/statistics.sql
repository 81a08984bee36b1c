-- How many values the columns of tables have, by Postgres' statistics, as pg_stats.n_distinct
-- says it. pg_stats shows a table's to who may read it; followers own nothing, and choose by
-- them which column's values an answer depends on.
CREATE OR REPLACE FUNCTION freshet.statistics(relations oid[]) RETURNS TABLE (relation oid, attribute smallint, n_distinct real)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
	SELECT c.oid, a.attnum, s.n_distinct
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	CROSS JOIN LATERAL (
		SELECT s.n_distinct FROM pg_stats s
		WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
		ORDER BY s.inherited DESC LIMIT 1) s
	WHERE c.oid = ANY (relations) AND c.relkind IN ('r', 'p')
$freshet$;
REVOKE ALL ON FUNCTION freshet.statistics(oid[]) FROM PUBLIC;
