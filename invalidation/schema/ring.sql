-- Ring only if nobody is awake, who would hold the lock, and never keep it: a
-- long transaction would make everybody else ring. A transaction that notified
-- cannot be prepared, and a full queue would fail every commit that notifies.
IF FOUND AND current_setting('max_prepared_transactions') = '0'
	AND pg_try_advisory_lock_shared({{doorbell}}) AND pg_advisory_unlock_shared({{doorbell}})
	AND pg_notification_queue_usage() < 0.25 THEN
	PERFORM pg_notify('freshet', '');
END IF;
