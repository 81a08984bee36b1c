a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v' AND (
	-- Types whose equality is the equality of their texts, whatever the settings:
	-- bool, int8, int2, int4, uuid; text and varchar where clients can be given the
	-- same bytes that the server compares.
	a.atttypid IN (16, 20, 21, 23, 2950) OR a.atttypid IN (25, 1043)
		AND EXISTS (SELECT FROM pg_collation k WHERE k.oid = a.attcollation AND k.collisdeterministic)
		AND EXISTS (SELECT FROM pg_database d WHERE d.datname = current_database() AND d.encoding = 6))
