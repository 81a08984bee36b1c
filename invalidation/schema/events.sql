-- Event triggers: what no trigger on a table can see. They write into the same
-- outbox, in the transaction of the command. The tag "schema" says that names,
-- rights or definitions changed; "schema/<oid>" that one table's definition did,
-- in a way that leaves the meaning of every name alone. What fails in them, for
-- reasons of ours only, fails no command.

-- The root of the tree of partitions or inheritance children that a table is in.
CREATE OR REPLACE FUNCTION freshet.root(relation oid) RETURNS oid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	parent oid;
BEGIN
	LOOP
		SELECT i.inhparent INTO parent FROM pg_inherits i
		WHERE i.inhrelid = relation ORDER BY i.inhseqno LIMIT 1;
		IF NOT FOUND THEN
			RETURN relation;
		END IF;
		relation := parent;
	END LOOP;
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.root(oid) FROM PUBLIC;

-- The table that an object belongs to, NULL if to none.
CREATE OR REPLACE FUNCTION freshet.table_of(class oid, object oid) RETURNS oid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $freshet$
	SELECT CASE class
		WHEN 'pg_class'::regclass THEN
			coalesce((SELECT x.indrelid FROM pg_index x WHERE x.indexrelid = object), object)
		WHEN 'pg_trigger'::regclass THEN
			(SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = object)
		WHEN 'pg_statistic_ext'::regclass THEN
			(SELECT s.stxrelid FROM pg_statistic_ext s WHERE s.oid = object)
		WHEN 'pg_constraint'::regclass THEN
			(SELECT nullif(c.conrelid, 0) FROM pg_constraint c WHERE c.oid = object)
	END
$freshet$;
REVOKE ALL ON FUNCTION freshet.table_of(oid, oid) FROM PUBLIC;

-- The tags of the tables whose rights the transaction has changed, and maybe of some that
-- others have: a command says of GRANT and REVOKE no more than that it concerned tables. A
-- row that the transaction made is no older than the transaction, in a subtransaction or not.
-- What reads a view does not carry its tag, and without any table something is amiss. A
-- partition that is not watched is read by itself by consent, under its own tag.
CREATE OR REPLACE FUNCTION freshet.revoked() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $freshet$
	WITH touched AS (
		SELECT c.oid, c.relkind FROM pg_class c WHERE age(c.xmin) <= 0
		UNION SELECT c.oid, c.relkind FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE age(a.xmin) <= 0
	)
	SELECT CASE WHEN t.relkind IN ('r', 'p') THEN 'schema/' || o.oid ELSE 'schema' END
	FROM touched t, LATERAL (VALUES (t.oid), (freshet.root(t.oid))) AS o(oid) WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f')
	UNION SELECT 'schema' WHERE NOT EXISTS (SELECT FROM touched t WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f'))
$freshet$;
REVOKE ALL ON FUNCTION freshet.revoked() FROM PUBLIC;

-- A capture function names columns. When one of them is renamed or dropped, the
-- function would fail at every write to the table; so the command that does it also
-- takes the triggers off. It holds the table's lock anyway. The
-- table is not watched from then on, until it is installed again.
CREATE OR REPLACE FUNCTION freshet.disarm() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	armed record;
BEGIN
	FOR armed IN
		SELECT t.tgname, n.nspname, c.relname
		FROM pg_trigger t
		JOIN pg_class c ON c.oid = t.tgrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE starts_with(t.tgname::text, 'zz_freshet_') AND t.tgnargs <> (
			-- The arguments are zero-terminated names.
			SELECT count(*) FROM pg_attribute a
			WHERE a.attrelid = t.tgrelid AND a.attnum > 0 AND NOT a.attisdropped
			AND position(decode('00', 'hex') || convert_to(a.attname::text, getdatabaseencoding())
				|| decode('00', 'hex') IN decode('00', 'hex') || t.tgargs) > 0)
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %I.%I', armed.tgname, armed.nspname, armed.relname);
	END LOOP;
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.disarm() FROM PUBLIC;

-- DETACH PARTITION CONCURRENTLY hides rows before the transaction that would
-- report its end commits; its beginning commits with the hiding. That form
-- cannot be run inside a function, so the client's text has the words.
CREATE OR REPLACE FUNCTION freshet.on_ddl_start() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
BEGIN
	IF coalesce(current_query() ILIKE '%detach%' AND current_query() ILIKE '%concurrently%', true) THEN
		BEGIN
			INSERT INTO freshet.outbox (tags) SELECT '{schema}' WHERE freshet.attended();
		EXCEPTION WHEN OTHERS THEN
			{{failed}}
		END;
	END IF;
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.on_ddl_start() FROM PUBLIC;

CREATE OR REPLACE FUNCTION freshet.on_ddl_end() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	commands bigint;
	changed text[];
BEGIN
	BEGIN
		SELECT count(*), array_agg(DISTINCT t.tag) FILTER (WHERE t.tag IS NOT NULL)
		INTO commands, changed
		FROM pg_event_trigger_ddl_commands() c
		LEFT JOIN LATERAL (
			SELECT freshet.root(freshet.table_of(c.classid, c.objid)) AS root,
				c.command_tag IN ('CREATE INDEX', 'ALTER INDEX', 'CREATE TRIGGER', 'ALTER TRIGGER',
					'CREATE STATISTICS', 'ALTER STATISTICS', 'COMMENT', 'SECURITY LABEL', 'REINDEX',
					'REFRESH MATERIALIZED VIEW', 'CREATE PUBLICATION', 'ALTER PUBLICATION') AS harmless,
				c.command_tag = 'ALTER DEFAULT PRIVILEGES'
					OR c.command_tag IN ('GRANT', 'REVOKE') AND c.object_type IN ('TABLE', 'SEQUENCE') AS rights
		) r ON true
		LEFT JOIN LATERAL (
			SELECT 'schema' AS tag WHERE r.harmless IS NOT TRUE AND r.rights IS NOT TRUE
			UNION ALL SELECT 'schema/' || r.root WHERE r.harmless
			-- Who may read more is shown what he was shown before; no table has OID 0.
			UNION ALL SELECT 'schema/0' WHERE r.rights
			UNION ALL SELECT freshet.revoked() WHERE c.command_tag = 'REVOKE' AND c.object_type = 'TABLE'
			UNION ALL SELECT r.root || s.suffix FROM (VALUES (''), ('/*')) AS s(suffix)
				WHERE c.command_tag = 'REFRESH MATERIALIZED VIEW'
		) t ON true
		-- Temporary objects are of one session; what installing changes is verified,
		-- not reported.
		WHERE c.schema_name IS NULL OR c.schema_name <> 'pg_temp'
			AND (c.schema_name <> 'freshet' OR current_setting('freshet.installing', true) IS DISTINCT FROM 'on');

		-- An unreported command is a DROP, which sql_drop reports, or a CREATE IF NOT
		-- EXISTS that did nothing, or one that only touched what is left out above, or
		-- an ALTER TABLE that is part of REFRESH CONCURRENTLY, which is reported itself;
		-- for any other be careful.
		IF commands = 0 AND (TG_TAG = 'DROP OWNED' OR TG_TAG <> 'ALTER TABLE' AND TG_TAG !~ '^(DROP|CREATE) ')
			AND NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands()) THEN
			changed := '{schema}';
		END IF;
		IF changed IS NOT NULL THEN
			INSERT INTO freshet.outbox (tags) SELECT changed WHERE freshet.attended();
		END IF;
	EXCEPTION WHEN OTHERS THEN
		{{failed}}
	END;
	IF TG_TAG = 'ALTER TABLE' OR TG_TAG LIKE 'DROP %' AND TG_TAG <> 'DROP TRIGGER' THEN
		BEGIN
			PERFORM freshet.disarm();
		EXCEPTION WHEN OTHERS THEN
			NULL; -- A trigger that names a column that is gone survives it.
		END;
	END IF;
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.on_ddl_end() FROM PUBLIC;

CREATE OR REPLACE FUNCTION freshet.on_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
BEGIN
	-- While schema freshet itself is being dropped there is nowhere to report to.
	IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() d
		WHERE d.original AND NOT d.is_temporary
		AND (d.schema_name IS DISTINCT FROM 'freshet' OR current_setting('freshet.installing', true) IS DISTINCT FROM 'on'))
		AND to_regnamespace('freshet') IS NOT NULL THEN
		INSERT INTO freshet.outbox (tags) SELECT '{schema}' WHERE freshet.attended();
	END IF;
EXCEPTION WHEN OTHERS THEN
	{{failed}}
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.on_drop() FROM PUBLIC;

-- Made anew only where they are missing or not as they should be. Who may not make
-- them does without: then the followers compare definitions (definitions.sql).
DO $freshet$
DECLARE
	wanted record;
BEGIN
	FOR wanted IN SELECT * FROM (VALUES
		('freshet_ddl_start', 'ddl_command_start', 'on_ddl_start', 'WHEN TAG IN (''ALTER TABLE'')'),
		('freshet_ddl_end', 'ddl_command_end', 'on_ddl_end', ''),
		('freshet_drop', 'sql_drop', 'on_drop', '')
	) AS w(name, event, function, filter)
	LOOP
		CONTINUE WHEN EXISTS (SELECT FROM pg_event_trigger e
			WHERE e.evtname = wanted.name AND e.evtevent = wanted.event AND e.evtenabled = 'A'
			AND e.evtfoid = to_regproc('freshet.' || wanted.function));
		EXECUTE format('DROP EVENT TRIGGER IF EXISTS %I', wanted.name);
		EXECUTE format('CREATE EVENT TRIGGER %I ON %s %s EXECUTE FUNCTION freshet.%I()',
			wanted.name, wanted.event, wanted.filter, wanted.function);
		EXECUTE format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', wanted.name);
	END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
	RAISE WARNING 'role % may not create event triggers: what others do to the schema is noticed within the staleness bound, and not at once', current_user
	USING HINT = 'Let a role install that may: a superuser, or what the provider has in its place.';
END
$freshet$;
