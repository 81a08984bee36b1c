-- What is installed, as one row of one statement, so that the snapshot beside it
-- is the one at which all of it was so. Catalogs are read as plain tables: the
-- pg_get_… functions and casts to reg… types look at newer ones. Everything is
-- ordered, so that equal states give equal text.
SELECT pg_current_snapshot()::text, json_build_object(
	'relations', (
		SELECT json_agg(json_build_object(
			'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname,
			'kind', c.relkind, 'persistence', c.relpersistence,
			'subscribed', EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid)) ORDER BY c.oid)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'm' OR c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND (
			c.oid IN (SELECT t.tgrelid FROM pg_trigger t WHERE starts_with(t.tgname::text, 'zz_freshet_'))
			OR c.oid IN (SELECT i.inhrelid FROM pg_inherits i)
			OR c.oid IN (SELECT i.inhparent FROM pg_inherits i))),
	'inherits', (
		SELECT json_agg(json_build_object('child', i.inhrelid::int8, 'parent', i.inhparent::int8)
			ORDER BY i.inhrelid, i.inhparent)
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')),
	'triggers', (
		SELECT json_agg(json_build_object(
			'table', t.tgrelid::int8, 'name', t.tgname, 'type', t.tgtype, 'enabled', t.tgenabled,
			'old', coalesce(t.tgoldtable, ''), 'new', coalesce(t.tgnewtable, ''),
			'conditional', t.tgqual IS NOT NULL OR cardinality(t.tgattr::int2[]) > 0 OR t.tgdeferrable,
			'arguments', encode(t.tgargs, 'hex'), 'function', t.tgfoid::int8,
			'columns', CASE WHEN t.tgname = 'zz_freshet_insert' THEN (
				SELECT json_agg(a.attname ORDER BY a.attnum)
				FROM pg_attribute a
				WHERE a.attrelid = t.tgrelid AND {{supported}}
				AND position(decode('00', 'hex') || convert_to(a.attname::text, getdatabaseencoding())
					|| decode('00', 'hex') IN decode('00', 'hex') || t.tgargs) > 0) END)
			ORDER BY t.tgrelid, t.tgname)
		FROM pg_trigger t WHERE starts_with(t.tgname::text, 'zz_freshet_')),
	'functions', (
		SELECT json_agg(json_build_object(
			'oid', p.oid::int8, 'name', p.proname, 'source', md5(p.prosrc),
			'definer', p.prosecdef, 'settings', p.proconfig) ORDER BY p.oid)
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'freshet'),
	'events', (
		SELECT json_agg(json_build_object(
			'name', e.evtname, 'event', e.evtevent, 'function', e.evtfoid::int8,
			'enabled', e.evtenabled, 'tags', e.evttags) ORDER BY e.evtname)
		FROM pg_event_trigger e WHERE starts_with(e.evtname::text, 'freshet_')),
	'suspended', EXISTS (SELECT FROM pg_description d JOIN pg_namespace n ON n.oid = d.objoid
		WHERE d.classoid = 'pg_namespace'::regclass AND n.nspname = 'freshet' AND d.description = 'freshet: suspended'),
	'secured', EXISTS (SELECT FROM pg_class c WHERE c.relrowsecurity),
	'tables', (
		SELECT json_agg(c.relname || ' ' || c.relpersistence::text || CASE WHEN EXISTS (
			SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity <> '' AND NOT a.attisdropped
		) THEN ' sequence' ELSE '' END ORDER BY c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'freshet' AND c.relkind IN ('r', 'S'))
)::text
