-- For tables that a subscription writes to: applying changes fires no statement
-- trigger. It fires for each row, so a transaction that changed many rows moves
-- the wholesale tag and then says no more. The count is bound to the transaction,
-- and is taken back with a savepoint as the events are. What fails is kept from the
-- writer, as for statements.
CREATE OR REPLACE FUNCTION {{function}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	transaction text := pg_current_xact_id()::text || ':';
	counted text := current_setting('{{counter}}', true);
	earlier int := 0;
	rings boolean := false;
BEGIN
	IF starts_with(counted, transaction) THEN
		earlier := substr(counted, length(transaction) + 1);
	END IF;
	IF earlier > {{rows}} THEN
		RETURN NULL;
	END IF;
	counted := set_config('{{counter}}', transaction || earlier + 1, true);
	IF earlier < {{blocks}} THEN
		BEGIN
			{{record}}
		EXCEPTION WHEN OTHERS THEN
			{{failed}}
		END;
	ELSIF earlier < {{rows}} THEN
		{{record}}
	ELSE
		INSERT INTO freshet.outbox (tags) VALUES ('{{wholesale}}');
	END IF;
	RETURN NULL;
END
$freshet$;
