-- A transaction that notified cannot be prepared, and a full queue would fail every
-- commit that notifies.
IF FOUND AND rings AND current_setting('max_prepared_transactions') = '0'
	AND pg_notification_queue_usage() < {{queue}} THEN
	PERFORM pg_notify('{{channel}}', '');
END IF;
