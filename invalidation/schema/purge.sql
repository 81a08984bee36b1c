-- Ends every answer that depends on a watched table, in every process and in Redis:
-- SELECT freshet.purge('public.orders'), for what no trigger sees, such as a file that
-- was restored below Postgres. The event is there if the transaction commits, as that of
-- a write. A partition or child stands for its whole tree. Nobody but the owner may call
-- it, unless the owner grants that: whoever could, could have everything loaded again and
-- again. What is not watched, or cannot be recorded, is an error.
CREATE OR REPLACE FUNCTION freshet.purge(relation regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	rings boolean := false;
	top oid := freshet.root(relation);
BEGIN
	IF relation IS NULL THEN
		RETURN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = top AND starts_with(t.tgname::text, '{{triggers}}')) THEN
		RAISE EXCEPTION 'nothing to purge: % is not watched', relation
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SHOW freshet.tables lists the tables that are; freshet install --watch adds others.';
	END IF;
	BEGIN
		{{attend}}
		INSERT INTO freshet.outbox (tags) VALUES (ARRAY[top::text, top::text || '/*', '{{purged}}']);
		DELETE FROM freshet.distrusted d WHERE top = ANY (d.roots);
		{{ring}}
	EXCEPTION WHEN OTHERS THEN
		{{failed}}
	END;
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.purge(regclass) FROM PUBLIC;
