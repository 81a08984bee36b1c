-- Freshet's own objects. Everything lives in schema freshet; DROP SCHEMA
-- freshet CASCADE and the three event triggers is all there is to remove.
-- Running this again changes nothing.

SET LOCAL client_min_messages = warning;

CREATE SCHEMA IF NOT EXISTS freshet;
-- Anyone may ask for the incarnation; the tables stay closed.
GRANT USAGE ON SCHEMA freshet TO PUBLIC;

-- Whether anybody may ever read what the calling transaction would write into the
-- outbox. Capture asks where nobody awake and no sleeper is to be found, and DDL.
-- Without a follower for the time of patience, capture gives up and writes nothing:
-- an outbox that nobody reads must not fill the disk.
--
-- Who returns must know of every transaction that skipped its row:
--
--  1. a transaction, which has an id, finds that capture has given up, and skips;
--  2. a follower returns and ends the giving up: with a new name, after which
--     nobody skips, in whatever snapshot, until somebody gives up again;
--  3. it asks which transactions run: everybody of 1 who has not ended is among them;
--  4. once a snapshot has none of these running, it makes that snapshot the trim
--     mark, and notes the name from 2 as returned, if it still stands;
--  5. every look compares the names. Only where they are the same does it count,
--     and the mark makes whoever followed before distrust all that is older.
--
-- So who has no id yet must not skip. A fault of ours never fails the statement. It
-- stands before the rest because what is made there is DDL, which asks, too.
CREATE OR REPLACE FUNCTION freshet.attended() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	state record;
BEGIN
	-- One statement, because each takes longer to begin than to run.
	SELECT g.is_called, g.last_value, pg_current_xact_id_if_assigned() IS NULL OR NOT g.is_called AND (
		SELECT now() - t.attended_at < t.patience / 24
			OR now() - t.attended_at < t.patience AND pg_relation_size('freshet.outbox') < t.bytes_max
		FROM freshet.trim t) AS soon
	INTO state FROM freshet.given_up g;
	IF NOT coalesce(state.soon, false) AND NOT state.is_called THEN
		PERFORM setval('freshet.given_up', state.last_value, true);
	END IF;
	RETURN coalesce(state.soon, false);
EXCEPTION WHEN OTHERS THEN
	RETURN true;
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.attended() FROM PUBLIC;

-- The truth about what changed: one row for every statement that changed a
-- watched table, written by the statement's own transaction. Logged, because a
-- prepared transaction survives a crash and its event must survive with it. It
-- has a primary key because publications FOR ALL TABLES contain it, and without
-- one its rows could not be deleted. No sequence makes the key, because lastval()
-- belongs to the application. Rows of one transaction differ in where the log of
-- the database stood, which each row moves on. After a crash both numbers may be
-- given out again, but then the rows that had them are lost too. A row moves the
-- log on unless the table is made unlogged, which is repaired below, or, with
-- wal_level = minimal, was made or truncated by the same transaction.
CREATE TABLE IF NOT EXISTS freshet.outbox (
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	written pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn(),
	tags text[] NOT NULL,
	PRIMARY KEY (xid, written)
) WITH (
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_insert_scale_factor = 0,
	autovacuum_vacuum_insert_threshold = 20000,
	autovacuum_analyze_scale_factor = 0,
	autovacuum_analyze_threshold = 20000,
	-- Truncating the file's end takes a lock that would stop writers.
	vacuum_truncate = off
);

-- An outbox of before had a sequence. Of a transaction's rows the first gets the
-- position zero, which needs no write, and the numbers tell the others apart. The
-- table is not made anew, as a default that is no constant would: to readers with
-- older snapshots it would be empty, and writers would wait longer.
DO $freshet$
BEGIN
	IF EXISTS (
		SELECT FROM pg_attribute a
		WHERE a.attrelid = 'freshet.outbox'::regclass AND a.attname = 'id' AND NOT a.attisdropped
	) THEN
		ALTER TABLE freshet.outbox ADD COLUMN written pg_lsn NOT NULL DEFAULT '0/0';
		UPDATE freshet.outbox o SET written = '0/0'::pg_lsn + o.id
		FROM (SELECT xid, min(id) AS id FROM freshet.outbox GROUP BY xid HAVING count(*) > 1) AS first
		WHERE o.xid = first.xid AND o.id > first.id;
		ALTER TABLE freshet.outbox DROP COLUMN id, ALTER COLUMN written SET DEFAULT pg_current_wal_insert_lsn();
		DROP INDEX IF EXISTS freshet.outbox_xid;
		ALTER TABLE freshet.outbox ADD PRIMARY KEY (xid, written);
	END IF;
END
$freshet$;

-- Transaction ids are reused after a crash. Recovery empties an unlogged table,
-- so a missing token says that it happened.
CREATE UNLOGGED TABLE IF NOT EXISTS freshet.incarnation (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	token text NOT NULL
);
-- The same token where standbys can read it: unlogged tables are not there.
CREATE TABLE IF NOT EXISTS freshet.incarnation_logged (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	token text NOT NULL
);

-- How far the outbox was emptied: rows visible in mark may be gone, and all that
-- are left were written after marked_at. candidate becomes the next mark once it is
-- old enough. incarnation says which ids the snapshots are made of; it differs after
-- a crash, a failover or a restore. attended_at is when a follower was last there,
-- patience after what time without one capture gives up, and bytes_max from what
-- size of the outbox on a 24th of that time is enough. returned is the name of the
-- return that mark covers: see freshet.attended.
--
-- The sequence freshet.given_up says whether capture has given up (is_called) and
-- names the last return (last_value, a number that never comes again). It is a
-- sequence because what it says is the same for everybody at once: in whatever
-- snapshot, of a transaction that is rolled back too, and nobody waits for it.
DO $freshet$
DECLARE
	-- Where nobody could ever skip a row there is nothing to wait for.
	never boolean := NOT EXISTS (SELECT FROM pg_proc p
		WHERE p.pronamespace = 'freshet'::regnamespace AND p.prosrc LIKE '%freshet.attended()%');
BEGIN
	IF to_regclass('freshet.given_up') IS NULL THEN
		CREATE SEQUENCE freshet.given_up;
		PERFORM setval('freshet.given_up', 2 + (random() * 1e15)::int8, false);
	END IF;
	CREATE TABLE IF NOT EXISTS freshet.trim (
		one boolean PRIMARY KEY DEFAULT true CHECK (one),
		incarnation text,
		mark pg_snapshot NOT NULL,
		candidate pg_snapshot NOT NULL,
		candidate_at timestamptz NOT NULL
	);
	IF NOT EXISTS (SELECT FROM pg_attribute a
		WHERE a.attrelid = 'freshet.trim'::regclass AND a.attname = 'returned' AND NOT a.attisdropped) THEN
		ALTER TABLE freshet.trim
			ADD COLUMN IF NOT EXISTS marked_at timestamptz NOT NULL DEFAULT now(),
			ADD COLUMN IF NOT EXISTS attended_at timestamptz NOT NULL DEFAULT now(),
			ADD COLUMN IF NOT EXISTS patience interval NOT NULL DEFAULT '1 day',
			ADD COLUMN IF NOT EXISTS bytes_max int8 NOT NULL DEFAULT 4294967296,
			ADD COLUMN returned int8 NOT NULL DEFAULT 0;
	END IF;
	INSERT INTO freshet.trim (mark, candidate, candidate_at)
	SELECT s, s, now() FROM pg_current_snapshot() AS s
	ON CONFLICT DO NOTHING;
	IF never THEN
		UPDATE freshet.trim SET returned = (SELECT g.last_value FROM freshet.given_up g);
	END IF;
END
$freshet$;

-- What no event trigger reports, as each follower's role sees it: a fingerprint
-- of roles, memberships and settings. Whoever finds it changed says so with an
-- event, so that those who come later hear of it too.
CREATE TABLE IF NOT EXISTS freshet.fingerprint (
	reader oid PRIMARY KEY,
	value text NOT NULL
);

-- Shapes of statements of which an answer was found to be stale, where sidecars are to pass
-- them through until somebody purges (--verify-on-stale=bypass), by their ids, with the roots
-- of their tables. A purge deletes its rows in its own transaction.
CREATE TABLE IF NOT EXISTS freshet.distrusted (
	shape text PRIMARY KEY,
	roots oid[] NOT NULL
);

-- Repairs what somebody altered: a crash must empty the token's table and no
-- other. Nothing is locked where nothing is wrong.
DO $freshet$
DECLARE
	wrong record;
BEGIN
	FOR wrong IN
		SELECT c.relname, CASE c.relname WHEN 'incarnation' THEN 'UNLOGGED' ELSE 'LOGGED' END AS wanted,
			CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'freshet' AND c.relkind IN ('r', 'S')
		AND c.relpersistence <> CASE c.relname WHEN 'incarnation' THEN 'u' ELSE 'p' END
	LOOP
		EXECUTE format('ALTER %s freshet.%I SET %s', wrong.kind, wrong.relname, wrong.wanted);
	END LOOP;
END
$freshet$;

REVOKE ALL ON ALL TABLES IN SCHEMA freshet FROM PUBLIC;

-- Names one uninterrupted life of one database: NULL on a standby and when the
-- token is missing. Reading the token must see what the calling statement sees,
-- hence STABLE. Clients' sessions are asked for it, so it is not in PL/pgSQL: a
-- session that has loaded that language refuses settings that it took before. The
-- token's table must not even be planned on a standby, hence two functions.
CREATE OR REPLACE FUNCTION freshet.incarnation_of_primary() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
	SELECT md5(concat_ws('/',
		c.system_identifier,
		(SELECT d.oid FROM pg_database d WHERE d.datname = current_database()),
		i.token,
		-- numeric: its text depends on no setting of the session
		EXTRACT(epoch FROM pg_postmaster_start_time()),
		substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
		-- Another one holds other events: it was made anew, or emptied.
		pg_relation_filenode(to_regclass('freshet.outbox'))))
	FROM freshet.incarnation i, pg_control_system() c
$freshet$;
GRANT EXECUTE ON FUNCTION freshet.incarnation_of_primary() TO PUBLIC;

CREATE OR REPLACE FUNCTION freshet.incarnation() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
	SELECT CASE WHEN NOT pg_is_in_recovery() THEN freshet.incarnation_of_primary() END
$freshet$;
GRANT EXECUTE ON FUNCTION freshet.incarnation() TO PUBLIC;

-- Sidecars of before asked this function. Without it they pass everything through.
DROP FUNCTION IF EXISTS freshet.session(text[], boolean);

-- Writes an event where writing it as usual failed, or may fail. No command of a
-- user may fail because of what was done to our tables, and no reader may be told
-- what is stale. So if the outbox takes no row in either way, the token is taken
-- away: then nothing that is cached is of this incarnation any more. If that fails,
-- too, what is in the way stands in the catalogs, and the audit finds it; any other
-- error is raised, because nobody would hear of the change.
CREATE OR REPLACE FUNCTION freshet.record(event text[], reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	state text;
	told boolean := false;
BEGIN
	BEGIN
		-- Defaults may be what failed. Any position does that no other row has.
		INSERT INTO freshet.outbox (xid, written, tags)
		VALUES (pg_current_xact_id(), '0/0'::pg_lsn + floor(random() * 1e15)::numeric, event);
		RETURN;
	EXCEPTION WHEN OTHERS THEN
		state := SQLSTATE;
		reason := SQLERRM;
	END;
	BEGIN
		-- Nobody waits for a row that somebody else is deleting.
		DELETE FROM freshet.incarnation WHERE ctid = ANY (ARRAY(
			SELECT i.ctid FROM freshet.incarnation i FOR UPDATE SKIP LOCKED));
		told := FOUND OR NOT EXISTS (SELECT FROM freshet.incarnation);
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	IF NOT told AND state !~ '^(0A|22|23|2F|3F|42|P0)' THEN
		RAISE EXCEPTION 'freshet cannot record a change: %', reason USING ERRCODE = state;
	END IF;
	-- Once in a session.
	IF coalesce(current_setting('freshet.warned', true), '') = '' THEN
		PERFORM set_config('freshet.warned', 'on', false);
		RAISE WARNING 'freshet cannot record a change: %', reason
		USING HINT = 'Nothing of this database is answered from the cache until "freshet install" is run again.';
	END IF;
END
$freshet$;
REVOKE ALL ON FUNCTION freshet.record(text[], text) FROM PUBLIC;

-- Repairs rights: triggers run with those of whoever owns their functions.
DO $freshet$
DECLARE
	strange regprocedure;
BEGIN
	FOR strange IN
		SELECT p.oid FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
		WHERE p.pronamespace = 'freshet'::regnamespace AND p.prosecdef AND NOT r.rolsuper AND r.rolname <> current_user
	LOOP
		EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', strange);
		EXECUTE format('ALTER FUNCTION %s OWNER TO CURRENT_USER', strange);
	END LOOP;
END
$freshet$;
GRANT USAGE ON SCHEMA freshet TO CURRENT_USER;
GRANT ALL ON ALL TABLES IN SCHEMA freshet TO CURRENT_USER;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA freshet TO CURRENT_USER;
