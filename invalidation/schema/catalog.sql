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
			'columns', own.columns, 'types', own.types, 'present', own.present)
			ORDER BY t.tgrelid, t.tgname)
		FROM pg_trigger t CROSS JOIN LATERAL (
			SELECT json_agg(a.attname ORDER BY a.attnum) FILTER (WHERE {{supported}}) AS columns,
				json_agg(a.atttypid::int8 ORDER BY a.attnum) FILTER (WHERE {{supported}}) AS types,
				json_agg(a.attname ORDER BY a.attnum) AS present
			FROM pg_attribute a
			WHERE t.tgname = 'zz_freshet_insert' AND a.attrelid = t.tgrelid AND a.attnum > 0 AND NOT a.attisdropped
			AND position(decode('00', 'hex') || convert_to(a.attname::text, getdatabaseencoding())
				|| decode('00', 'hex') IN decode('00', 'hex') || t.tgargs) > 0) own
		WHERE starts_with(t.tgname::text, 'zz_freshet_')),
	-- Functions of capture that no trigger calls yet, or any more, are left out: installers report
	-- neither, and nothing depends on them.
	'functions', (
		SELECT json_agg(json_build_object(
			'oid', p.oid::int8, 'name', p.proname, 'source', md5(p.prosrc),
			'definer', p.prosecdef, 'settings', p.proconfig) ORDER BY p.oid)
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'freshet'
		AND (NOT starts_with(p.proname::text, 'capture_') OR p.oid IN (SELECT t.tgfoid FROM pg_trigger t))),
	'events', (
		SELECT json_agg(json_build_object(
			'name', e.evtname, 'event', e.evtevent, 'function', e.evtfoid::int8,
			'enabled', e.evtenabled, 'tags', e.evttags) ORDER BY e.evtname)
		FROM pg_event_trigger e WHERE starts_with(e.evtname::text, 'freshet_')),
	-- Whether somebody's commands set them off. A setting in a way not known counts as off.
	'silenced', coalesce(current_setting('event_triggers', true) <> 'on', false) OR EXISTS (
		SELECT FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS value
		WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
		AND value ILIKE 'event\_triggers=%' AND lower(value) <> 'event_triggers=on'),
	'suspended', EXISTS (SELECT FROM pg_description d JOIN pg_namespace n ON n.oid = d.objoid
		WHERE d.classoid = 'pg_namespace'::regclass AND n.nspname = 'freshet' AND d.description = 'freshet: suspended'),
	'secured', EXISTS (SELECT FROM pg_class c WHERE c.relrowsecurity),
	-- Everything that decides whether a row goes in, and what it then holds. How
	-- defaults of other tables are written depends on settings.
	'tables', (
		SELECT json_agg(json_build_object(
			'name', c.relname, 'kind', c.relkind, 'persistence', c.relpersistence,
			'shape', concat_ws('; ',
				(SELECT string_agg(concat_ws(' ', a.attname, (SELECT y.typname FROM pg_type y WHERE y.oid = a.atttypid), CASE WHEN a.attnotnull THEN 'not null' END,
						CASE WHEN c.relname = 'outbox' THEN '= ' || (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END,
						CASE WHEN a.attidentity <> '' THEN 'identity' END), ', ' ORDER BY a.attname)
					FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
				(SELECT string_agg(k.contype::text, '' ORDER BY k.contype) FROM pg_constraint k
					WHERE k.conrelid = c.oid AND k.contype <> 'n'),
				(SELECT nullif(count(*), 1) || ' indexes' FROM pg_index x WHERE x.indrelid = c.oid),
				CASE WHEN c.relrowsecurity THEN 'row security' END,
				CASE WHEN c.relhasrules THEN 'rules' END,
				(SELECT min('trigger') FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
				(SELECT min('inheritance') FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)))) ORDER BY c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'freshet' AND c.relkind NOT IN ('i', 'I', 't')),
	-- Whose subscribers need our tables.
	'published', (SELECT json_agg(b.pubname ORDER BY b.pubname) FROM pg_publication b WHERE b.puballtables
		OR EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = b.pubname AND t.schemaname = 'freshet')),
	-- Whether it was altered and altered back: a row's version is another each time.
	'versions', (
		SELECT json_agg(concat_ws(' ', n.xmin, c.relname, c.xmin) ORDER BY c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'freshet' AND c.relkind NOT IN ('i', 'I', 't')),
	-- Roles with whose rights our triggers run, and who could not write an event.
	'unable', (
		SELECT json_agg(o.rolname ORDER BY o.rolname)
		FROM pg_namespace n CROSS JOIN LATERAL (
			SELECT DISTINCT r.oid, r.rolname FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
			WHERE p.pronamespace = n.oid AND p.prosecdef) o
		WHERE n.nspname = 'freshet' AND NOT (has_schema_privilege(o.oid, n.oid, 'USAGE')
			AND coalesce((SELECT bool_and(has_table_privilege(o.oid, c.oid, 'INSERT')) FROM pg_class c
				WHERE c.relnamespace = n.oid AND c.relname = 'outbox'), true)
			AND coalesce((SELECT bool_and(has_table_privilege(o.oid, c.oid, 'SELECT, DELETE, UPDATE')) FROM pg_class c
				WHERE c.relnamespace = n.oid AND c.relname = 'incarnation'), true)
			AND coalesce((SELECT bool_and(has_function_privilege(o.oid, p.oid, 'EXECUTE')) FROM pg_proc p
				WHERE p.pronamespace = n.oid AND p.proname IN ('record', 'attended', 'root', 'table_of', 'revoked', 'disarm')), true)))
)::text
