-- Every relation that a pattern may match, with the columns that can be watched.
SELECT coalesce(json_agg(json_build_object(
	'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname,
	'kind', c.relkind, 'persistence', c.relpersistence,
	'version', c.xmin::text, 'triggered', c.relhastriggers,
	'subscribed', EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid),
	'parents', (SELECT json_agg(i.inhparent::int8) FROM pg_inherits i WHERE i.inhrelid = c.oid),
	'columns', (
		SELECT json_agg(json_build_object('name', a.attname, 'chosen', k.key OR k.indexed OR k.referencing)
			ORDER BY k.key DESC, a.attnum)
		FROM pg_attribute a
		CROSS JOIN LATERAL (SELECT
			EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary
				AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])) AS key,
			EXISTS (SELECT FROM pg_index x JOIN pg_class xc ON xc.oid = x.indexrelid JOIN pg_am m ON m.oid = xc.relam
				WHERE x.indrelid = c.oid AND x.indisvalid AND m.amname = 'btree'
				AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])) AS indexed,
			EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f'
				AND a.attnum = ANY (f.conkey)) AS referencing) k
		WHERE a.attrelid = c.oid AND {{supported}})
	) ORDER BY c.oid), '[]')::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'freshet', 'pg_toast')
AND NOT starts_with(n.nspname::text, 'pg_toast_temp_')
