-- Who is there? Somebody awake holds the doorbell's lock: nobody needs to ring. Else
-- a sleeper hears it, who holds the sleeper's lock: ring. Where neither is held
-- nobody rings: commits that notify queue behind each other, listeners or not. And
-- if that has been so for long, nothing is written any more. Both locks are tested
-- without waiting and never kept: a long transaction would make everybody else ring.
IF pg_try_advisory_lock_shared({{doorbell}}) AND pg_advisory_unlock_shared({{doorbell}}) THEN
	rings := NOT (pg_try_advisory_lock_shared({{sleeper}}) AND pg_advisory_unlock_shared({{sleeper}}));
	IF NOT rings THEN
		IF NOT freshet.attended() THEN
			RETURN NULL;
		END IF;
	END IF;
END IF;
