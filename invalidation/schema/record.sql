{{attend}}
IF TG_OP = 'UPDATE' THEN
	{{update}}
ELSIF TG_OP = 'INSERT' THEN
	{{insert}}
ELSIF TG_OP = 'DELETE' THEN
	{{delete}}
ELSE
	INSERT INTO freshet.outbox (tags) VALUES ('{{wholesale}}');
END IF;
{{ring}}
