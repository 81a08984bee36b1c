-- Moves tags of the application's own, for answers that depend on what no table
-- holds: freshet.touch('prices', 'rates'). Whoever may write may say so, in the
-- transaction that makes it true: the event is there if that commits, and not
-- before. It rings and gives up as a trigger does; but what cannot be recorded, as
-- on a standby or in a transaction that is READ ONLY, fails here, because the caller
-- asked for nothing else. A name is spelled as the tag that readers carry: a long one
-- by its MD5, and more than {{names}} move all tags of this kind, as the name * does.
-- Every name moves a tag of the application's own and no other: that of a table, such as
-- 16384, none of that table's. The one thing that it could pass off are the marks that
-- purges and removals have in events of their own: their names are refused.
CREATE OR REPLACE FUNCTION freshet.touch(VARIADIC names text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	rings boolean := false;
BEGIN
	IF EXISTS (SELECT FROM unnest(names) AS n WHERE starts_with(n, '{{reserved}}')) THEN
		RAISE EXCEPTION 'freshet.touch takes no name that begins with {{reserved}}: these are Freshet''s own'
			USING ERRCODE = 'reserved_name', HINT = 'Name it otherwise. freshet.purge(regclass) and freshet uninstall --tables write these themselves.';
	END IF;
	BEGIN
		{{attend}}
		INSERT INTO freshet.outbox (tags)
		SELECT CASE WHEN count(*) > {{names}} THEN '{{wholesale}}' ELSE array_agg(spelled.tag) END
		FROM (
			SELECT DISTINCT '{{prefix}}' || CASE
				WHEN octet_length(convert_to(n, 'UTF8')) > {{length}} THEN 'md5:' || md5(convert_to(n, 'UTF8'))
				ELSE n END AS tag
			FROM unnest(names) AS n WHERE n IS NOT NULL) AS spelled
		HAVING count(*) > 0;
		{{ring}}
	EXCEPTION WHEN OTHERS THEN
		{{failed}}
	END;
END
$freshet$;
GRANT EXECUTE ON FUNCTION freshet.touch(text[]) TO PUBLIC;
