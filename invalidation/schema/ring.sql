-- Ring only if nobody is awake, who would hold the doorbell's lock, and somebody
-- sleeps who hears it, and holds the sleeper's. Where there is neither, nobody
-- rings: commits that notify queue behind each other, listeners or not. Both locks
-- are tested without waiting and never kept: a long transaction would make
-- everybody else ring. A transaction that notified cannot be prepared, and a full
-- queue would fail every commit that notifies.
IF FOUND AND current_setting('max_prepared_transactions') = '0'
	AND pg_try_advisory_lock_shared({{doorbell}}) AND pg_advisory_unlock_shared({{doorbell}})
	AND NOT (pg_try_advisory_lock_shared({{sleeper}}) AND pg_advisory_unlock_shared({{sleeper}}))
	AND pg_notification_queue_usage() < {{queue}} THEN
	PERFORM pg_notify('{{channel}}', '');
END IF;
