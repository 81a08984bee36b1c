-- Tries what capture and looks need, in the transaction that installs and before the
-- event triggers are there: what this server cannot do fails now, and leaves nothing.
DO $freshet$
BEGIN
	PERFORM pg_current_snapshot(), pg_walfile_name(pg_current_wal_insert_lsn()), pg_notification_queue_usage(),
		pg_relation_filenode('freshet.outbox'), pg_conf_load_time(), pg_postmaster_start_time(),
		pg_try_advisory_xact_lock_shared(0), freshet.incarnation(), (SELECT c.system_identifier FROM pg_control_system() c);
	INSERT INTO freshet.outbox (tags) VALUES ('{}');
	-- Two rows of a transaction have two keys, unless nothing of a new table is logged.
	IF current_setting('wal_level') <> 'minimal' THEN
		INSERT INTO freshet.outbox (tags) VALUES ('{}');
	END IF;
	DELETE FROM freshet.outbox WHERE xid = pg_current_xact_id() AND tags = '{}';
END
$freshet$;
