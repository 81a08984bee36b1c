CREATE OR REPLACE FUNCTION {{function}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freshet$
DECLARE
	rings boolean := false;
BEGIN
	{{attend}}
	IF TG_OP = 'INSERT' THEN
		{{insert}}
	ELSIF TG_OP = 'UPDATE' THEN
		{{update}}
	ELSIF TG_OP = 'DELETE' THEN
		{{delete}}
	ELSE
		INSERT INTO freshet.outbox (tags) VALUES ('{{wholesale}}');
	END IF;
	{{ring}}
	RETURN NULL;
END
$freshet$;
