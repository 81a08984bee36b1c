-- What it does may fail, for reasons of ours only: whatever was done to the outbox,
-- or a column renamed where no event trigger noticed. The writer must not hear of
-- it, and readers must. So it is done in a block of its own, whose failure is
-- recorded instead. Such a block costs a transaction id, and Postgres keeps 64 of a
-- transaction where others find them quickly; so only the first statements of a
-- transaction have one. From the first on the transaction holds the outbox, and the
-- table, so that nobody else can change them before it ends. Every expression is
-- made ready anew in each transaction, which takes a microsecond: there are few.
CREATE OR REPLACE FUNCTION {{function}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	rings boolean := false;
	guarded text; -- one mark for each of this transaction: the setting ends with it
BEGIN
	IF coalesce(length(current_setting('freshet.guarded', true)), 0) < {{blocks}} THEN
		BEGIN
			{{record}}
			guarded := set_config('freshet.guarded', concat(current_setting('freshet.guarded', true), '.'), true);
		EXCEPTION WHEN OTHERS THEN
			{{failed}}
		END;
	ELSE
		{{record}}
	END IF;
	RETURN NULL;
END
$freshet$;
