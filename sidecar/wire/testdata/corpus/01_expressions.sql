-- Expressions, operators and functions on constants and columns.
-- hits: 300
SELECT 1;
SELECT 1 AS one, 'two' AS two, NULL AS three, 4.0 AS four, true AS five;
SELECT;
SELECT FROM item WHERE id < 3;
SELECT 1 + 2 * 3 - 4 / 5 % 6, 2 ^ 10, -(-3), @ -5, |/ 25.0, ||/ 27.0;
SELECT 7 / 2, -7 / 2, 7 % -3, 7.0 / 2, 1e10 / 3, 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, 256 >> 2;
SELECT id, id * 1.5, id::float8 / 7, id::numeric / 7, id / 7::float4 FROM item WHERE id < 6 ORDER BY id;
SELECT 9223372036854775807 + 0, -9223372036854775808, 0.1 + 0.2, 0.1::float8 + 0.2::float8;
SELECT 'NaN'::float8 = 'NaN'::float8, 'Infinity'::float8 > 1, '-Infinity'::numeric, 1e-320::float8;
SELECT round(2.5), round(-2.5), round(2.5::float8), round(2.345, 2), trunc(2.999, 1), ceil(1.1), floor(-1.1), sign(-3), abs(-3.5);
SELECT sqrt(2), exp(1), ln(2), log(100), log(2.0, 64.0), power(2, 0.5), cbrt(27), pi(), degrees(pi()), radians(180);
SELECT sin(1), cos(1), tan(1), asin(1), acos(1), atan(1), atan2(1, 2), sinh(1), cot(1), sind(30);
SELECT gcd(12, 18), lcm(4, 6), factorial(20), mod(17, 5), div(17, 5), width_bucket(5.35, 0.024, 10.06, 5), scale(1.230), min_scale(1.230), trim_scale(1.230);
SELECT greatest(1, 3, 2), least('b', 'a'), greatest(NULL, 2), coalesce(NULL, NULL, 3), nullif(1, 1), nullif(1, 2);
SELECT num_nulls(1, NULL, 2), num_nonnulls(1, NULL, 2);
SELECT true AND NULL, false AND NULL, true OR NULL, NOT NULL::bool, NULL IS NULL, true IS NOT TRUE, NULL IS UNKNOWN;
SELECT 1 BETWEEN 0 AND 2, 1 NOT BETWEEN SYMMETRIC 2 AND 0, 1 IN (1, 2, NULL), 3 NOT IN (1, 2), 3 NOT IN (1, NULL);
SELECT 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL, (1, 2) < (1, 3), (1, NULL) = (1, NULL), ROW(1, 'a') IS NULL, ROW(NULL, NULL) IS NULL;
SELECT CASE WHEN id > 20 THEN 'high' WHEN id > 10 THEN 'middle' ELSE 'low' END AS level, count(*) FROM item GROUP BY 1 ORDER BY 1;
SELECT CASE id WHEN 1 THEN 'one' WHEN 2 THEN 'two' END FROM item WHERE id < 4 ORDER BY id;
SELECT 'a' || 'b', 'a' || 1, 'a' || NULL, concat('a', NULL, 1, true), concat_ws('-', 'a', NULL, 'b');
SELECT length('äöü'), char_length('äöü'), octet_length('äöü'), bit_length('abc'), upper('äbc'), lower('ÄBC'), initcap('hello wORLD');
SELECT substring('thomas' FROM 2 FOR 3), substring('thomas' FROM '...$'), substring('thomas' SIMILAR '%#"o_a#"_' ESCAPE '#'), substr('abc', 2), left('abc', 2), right('abc', -1);
SELECT overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4), position('om' IN 'thomas'), strpos('high', 'ig'), starts_with('alphabet', 'alph');
SELECT trim('  x '), ltrim('zzy', 'z'), rtrim('xyy', 'y'), btrim('xyx', 'x'), trim(BOTH 'x' FROM 'xax'), trim(LEADING FROM ' a');
SELECT lpad('hi', 5, 'xy'), rpad('hi', 5), repeat('ab', 3), reverse('abc'), replace('abcabc', 'b', 'X'), translate('12345', '143', 'ax');
SELECT split_part('a,b,c', ',', 2), split_part('a,b,c', ',', -1), string_to_array('a,b,,c', ',', ''), array_to_string(ARRAY['a', NULL, 'c'], ',', '*');
SELECT ascii('A'), chr(228), md5('abc'), sha256('abc'), encode('abc', 'base64'), decode('YWJj', 'base64'), encode('\x00ff', 'hex'), encode('a\b'::bytea, 'escape');
SELECT quote_ident('a b'), quote_literal(E'O\'R\\'), quote_nullable(NULL), format('%s %I %L %%', 'a', 'b c', 'd''e'), format('%2$s %1$s', 'a', 'b'), format('%-5s|%5s', 'a', 'b');
SELECT 'abc' LIKE 'a%', 'abc' NOT LIKE '_b_', 'ABC' ILIKE 'a%', 'a%c' LIKE 'a\%c', 'a%c' LIKE 'a#%c' ESCAPE '#', 'abc' SIMILAR TO '(a|b)%';
SELECT 'abc' ~ '^a', 'abc' ~* 'B', 'abc' !~ 'z', regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g'), regexp_match('foobarbequebaz', '(bar)(beque)'), regexp_split_to_array('a b  c', '\s+');
SELECT regexp_matches('foobarbaz', 'ba.', 'g');
SELECT regexp_count('ABCABC', 'b', 1, 'i'), regexp_instr('ABCDEF', 'C'), regexp_like('Hello', 'hello$', 'i'), regexp_substr('ABCDEF', 'Y');
SELECT to_hex(255), to_char(1234.5, '9,999.99'), to_char(-1, '999PR'), to_number('1,234', '9G999'), to_char(0.1, 'FM9.99'), to_char(485, 'RN');
SELECT name FROM item WHERE name LIKE 'item 1%' ORDER BY length(name), name;
SELECT id, name COLLATE "C" FROM item ORDER BY name COLLATE "C" DESC LIMIT 3;
SELECT 'abc' COLLATE "C" < 'ABC', 'a' COLLATE loose = 'A';
SELECT * FROM item WHERE (id, version) IN ((1, 1), (2, 2), (3, 1)) ORDER BY id;
SELECT id FROM item WHERE id = ANY ('{1,2,3}') AND version <> ALL (ARRAY[1]) ORDER BY id;
SELECT id FROM item WHERE id % 7 = 0 AND NOT (version = 1 OR version IS NULL) ORDER BY id;
SELECT $1::int + $2::int, $1;
\bind 1 | 2
\bind 2147483647 | 1
\bind \N | 2
SELECT name || $1 FROM item WHERE id = $2;
\bind  x | 1
\bind  | 2
\bind \N | 3
SELECT id FROM item WHERE id BETWEEN $1 AND $2 ORDER BY id;
\bind 1 | 3
\bind 3 | 1
\bind -5 | 1000
\bind x | 1
SELECT id FROM item WHERE id = ANY ($1) ORDER BY id;
\bind {1,2,3}
\bind {}
\bind {NULL}
\bind \N
\bind {1,x}
SELECT name FROM item WHERE name = $1;
\bind item 7
\bind item 7 
\bind nothing
SELECT count(*) FROM item WHERE version = $1 AND name LIKE $2;
\bind 1 | item%
\bind 2 | %1
SELECT id FROM item ORDER BY id LIMIT $1 OFFSET $2;
\bind 2 | 1
\bind 0 | 0
\bind \N | 28
\bind -1 | 0
SELECT $1;
\bind unknown
SELECT $2::int;
\bind 1 | 2
SELECT CASE WHEN $1 THEN name ELSE 'no' END FROM item WHERE id = 1;
\bind t
\bind off
\bind maybe
SELECT id, name, version FROM item WHERE ($1::int IS NULL OR id = $1) AND ($2::text IS NULL OR name = $2) ORDER BY id LIMIT 3;
\bind \N | \N
\bind 3 | \N
\bind \N | item 4
VALUES (1, 'one'), (2, 'two'), (3, NULL);
VALUES (1), (2.5), (3e0);
TABLE one_column ORDER BY n;
SELECT "quoted", U&"d\0061t\+000061" FROM (SELECT 1 AS "quoted", 2 AS data) x;
SELECT U&'d\0061t\+000061', E'\x41\101\u00e4\n', $tag$dollar 'quoted'$tag$, B'101', X'1F', N'national';
SELECT 'continued'
' literal';
SELECT 1 /* comment /* nested */ */ + -- to the end
1;
-- a comment alone;
SELECT pg_typeof(1), pg_typeof(1.5), pg_typeof('x'), pg_typeof(NULL), pg_typeof(ARRAY[1]), pg_typeof(now());
SELECT cast('1' AS int), '1'::int, int '1', date '2024-01-01', interval '1' day, timestamp(0) '2024-01-01 00:00:00.6', time(3) '01:02:03.45678', varchar(2) 'abc', numeric(4, 1) '3.14159', bit(3) '101';
SELECT 1::bool, true::int, 'abc'::char(5), 'abc'::varchar(2), 12345.678::numeric(7, 2), 3.7::int, '12'::text::int, 65::"char", 'x'::"char"::int;
SELECT positive '5', 5::positive, 'ok'::mood, '(1,b)'::pair, '[1,2)'::span;
SELECT 0::positive;
SELECT 'angry'::mood;
SELECT (pair '(1,b)').a, (pair '(1,b)').*;
SELECT 'sad'::mood < 'ok', enum_range(NULL::mood), enum_first(NULL::mood), enum_last('ok'::mood);
SELECT (ROW(1, 2.5, 'x')).f2;
SELECT txid_current() > 0, now() = transaction_timestamp(), clock_timestamp() >= statement_timestamp(), random() BETWEEN 0 AND 1;
SELECT current_user, session_user, user, current_role, current_database(), current_catalog, current_schema, current_schemas(true), version() LIKE 'PostgreSQL%';
SELECT pg_backend_pid() > 0, pg_is_in_recovery(), pg_postmaster_start_time() < now(), current_setting('server_version_num')::int >= 140000, has_table_privilege('reader', 'item', 'SELECT');
SELECT current_date = now()::date, current_time IS NOT NULL, localtime IS NOT NULL, localtimestamp IS NOT NULL, current_timestamp(2) IS NOT NULL;
SELECT 'now'::timestamptz <= clock_timestamp(), 'today'::date = current_date, 'tomorrow'::date - 'yesterday'::date;
SELECT setseed(0.5);
SELECT random();
SELECT pg_sleep(0);
SELECT inet '192.168.1.5' << inet '192.168.1/24', host('192.168.1.5/24'), masklen('192.168.1.5/24'), network('192.168.1.5/24'), broadcast('192.168.1.5/24'), family('::1'), text(inet '10.0.0.1/32'), abbrev(cidr '10.1.0.0/16');
SELECT macaddr '08:00:2b:01:02:03' & macaddr 'ff:ff:ff:00:00:00', trunc(macaddr '12:34:56:78:90:ab'), macaddr8_set7bit('00:34:56:ab:cd:ef');
SELECT point '(1,2)' + point '(3,4)', box '((0,0),(1,1))' && box '((0.5,0.5),(2,2))', circle '((0,0),1)' @> point '(0.5,0)', lseg '[(0,0),(1,1)]' <-> point '(1,0)', area(box '((0,0),(2,3))'), center(circle '<(1,2),3>'), path '((0,0),(1,0))' + path '[(2,2),(3,3)]';
SELECT polygon '((0,0),(1,1),(2,0))' ~= polygon '((0,0),(1,1),(2,0))', npoints(path '[(0,0),(1,1)]'), diameter(circle '<(0,0),2>'), slope(point '(0,0)', point '(1,2)'), bound_box(box '((0,0),(1,1))', box '((3,3),(4,4))');
SELECT b'1010' & b'0110', b'1010' || b'01', length(b'10101'), get_bit(b'1010', 1), set_bit(b'1010', 0, 0), get_byte('\x0102', 1), bit_count(b'1011'), 44::bit(10), '\x0102'::bytea || '\x03'::bytea;
SELECT pg_lsn '0/16AE7F8' - pg_lsn '0/16AE7F0', pg_lsn '0/10' + 16, xid8 '5' < xid8 '6', pg_snapshot_xmin('10:20:10,14'), pg_visible_in_snapshot('12', '10:20:10,14,15');
SELECT money '12.34' * 2, money '10' / 4, money '10' / money '4', '100'::money::numeric, 12.3::money;
SELECT uuid 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' = '{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}', length(gen_random_uuid()::text);
SELECT pg_size_pretty(123456789::bigint), pg_size_bytes('1 GB'), pg_column_size(1), col_description('item'::regclass, 1), obj_description('item'::regclass);
SELECT make_date(2024, 2, 29), make_time(1, 2, 3.5), make_timestamp(2024, 1, 2, 3, 4, 5.6), make_interval(days => 10), isfinite(date 'infinity');
SELECT unicode_version() IS NOT NULL;
SELECT normalize(U&'\0061\0308', NFC), 'a' IS NFC NORMALIZED, U&'\0061\0308' IS NORMALIZED;
SELECT xmlelement(name a, xmlattributes(1 AS b), 'c'), xmlforest(1 AS a, 'x' AS b), xmlconcat('<a/>', '<b/>'), xmlparse(CONTENT 'a<b/>'), xmlserialize(CONTENT xml '<a/>' AS text), xmlpi(name php, 'x'), xmlcomment('c'), xmlroot(xml '<a/>', VERSION '1.0');
SELECT xml_is_well_formed('<a>'), xmlexists('//a' PASSING '<x><a/></x>'), xpath('//a/text()', '<x><a>1</a><a>2</a></x>');
SELECT * FROM xmltable('/r/i' PASSING xml '<r><i n="1">a</i><i n="2">b</i></r>' COLUMNS n int PATH '@n', t text PATH '.', o FOR ORDINALITY);
SELECT xmlagg(xmlelement(name i, name) ORDER BY id) FROM item WHERE id < 4;
SELECT query_to_xml('SELECT id FROM item WHERE id < 3 ORDER BY id', true, false, '');
