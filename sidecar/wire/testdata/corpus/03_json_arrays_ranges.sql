-- JSON, arrays, ranges and text search.
-- hits: 190
SELECT id, body, data, path FROM document ORDER BY id;
SELECT data->'b', data->>'b', data->'b'->2, data->'b'->>0, data#>'{b,2,c}', data#>>'{b,0}', data->-1 FROM document ORDER BY id;
SELECT body->'a', body->>'a', body#>>'{b,1}' FROM document WHERE id IN (1, 2) ORDER BY id;
SELECT data @> '{"a": 1}', data <@ '{"a": 1}', data ? 'a', data ?| ARRAY['a', 'z'], data ?& ARRAY['a', 'b'] FROM document ORDER BY id;
SELECT data || '{"z": 9}', data - 'a', data - ARRAY['a', 'b'], data #- '{b,0}' FROM document WHERE id = 1;
SELECT jsonb_typeof(data), json_typeof(body), jsonb_pretty(data), jsonb_strip_nulls(data) FROM document ORDER BY id;
SELECT jsonb_set(data, '{a}', '"new"'), jsonb_insert(data, '{b,0}', '0'), jsonb_set_lax(data, '{a}', NULL, true, 'delete_key') FROM document WHERE id = 1;
SELECT jsonb_path_query(data, '$.b[*]') FROM document WHERE id = 1;
SELECT jsonb_path_exists(data, '$.price ? (@ > 5)'), jsonb_path_match(data, '$.a == 1', silent => true), jsonb_path_query_array(data, '$.b[*] ? (@ > $x)', '{"x": 1}'), data @? '$.tags[*] ? (@ == "x")', data @@ '$.a > 0' FROM document WHERE id IN (1, 2) ORDER BY id;
SELECT jsonb_path_query_first(data, path) FROM document WHERE path IS NOT NULL ORDER BY id;
SELECT jsonb_path_query('"2024-01-01"', '$.datetime()');
SELECT jsonb_path_query_tz('"2024-01-01 12:00:00+02"', '$.datetime()');
SELECT * FROM jsonb_each('{"a": 1, "b": [2]}');
SELECT * FROM json_each_text('{"a": 1, "b": null}');
SELECT * FROM jsonb_array_elements('[1, "two", null]') WITH ORDINALITY;
SELECT * FROM jsonb_object_keys('{"b": 1, "a": 2}');
SELECT * FROM jsonb_to_record('{"a": 1, "b": [1, 2], "c": {"x": 1}}') AS t (a int, b int[], c jsonb, d text);
SELECT * FROM jsonb_populate_record(NULL::item, '{"id": 7, "name": "x"}');
SELECT * FROM jsonb_populate_recordset(NULL::pair, '[{"a": 1}, {"b": "y"}]');
SELECT json_build_object('a', 1, 'b', ARRAY[1, 2], 'c', NULL), json_build_array(1, 'x', true, 1.50), json_object('{a,1,b,2}'), jsonb_build_object();
SELECT to_json('2024-02-29 12:00:00+00'::timestamptz), to_json(ARRAY[[1, 2], [3, 4]]), to_json('a"b'::text), to_jsonb(1.50), to_json(NULL::int), row_to_json(ROW(1, 'x'), true), array_to_json(ARRAY[1, 2]);
SELECT json_agg(i ORDER BY id), jsonb_agg(name ORDER BY id), json_object_agg(id, name ORDER BY id) FROM item i WHERE id < 4;
SELECT c.id, (SELECT coalesce(json_agg(json_build_object('id', o.id, 'total', o.total) ORDER BY o.id), '[]') FROM orders o WHERE o.customer_id = c.id AND o.total > 70) FROM customer c ORDER BY c.id;
SELECT settings->'theme', settings->'n', (settings->>'n')::numeric + 1, settings->'list'->>1, settings['nested']['a'] FROM customer ORDER BY id;
SELECT settings->>'theme' AS theme, count(*) FROM customer GROUP BY 1 ORDER BY 1 NULLS LAST;
SELECT id FROM customer WHERE settings @> $1 ORDER BY id;
\bind {"theme": "dark"}
\bind {}
\bind [
SELECT id FROM customer WHERE settings->>$1 = $2 ORDER BY id;
\bind theme | dark
\bind theme | \N
SELECT '{"a": 1}'::jsonb = '{ "a":1.0 }'::jsonb, '[1, 2]'::jsonb < '[1, 3]', '1'::jsonb::int, 'true'::jsonb::bool, '"x"'::jsonb #>> '{}';
SELECT '{"a": 1, "a": 2}'::json, '{"a": 1, "a": 2}'::jsonb, '"\u0041\n"'::jsonb, '1e2'::jsonb, '[]'::jsonb IS NULL;
SELECT '{"a"}'::json;
SELECT '"\u0000"'::jsonb;
SELECT '[1]'::jsonb::int;
SELECT 'x'::jsonb;
SELECT jsonb_path_query('{}', 'strict $.a');
SELECT tags, tags[1], tags[2:3], cardinality(tags), array_length(tags, 1), array_dims(tags), array_upper(tags, 1) FROM customer ORDER BY id;
SELECT id FROM customer WHERE 'a' = ANY (tags) ORDER BY id;
SELECT id FROM customer WHERE tags @> ARRAY['a'] OR tags && '{x,y}' OR tags = '{}' ORDER BY id;
SELECT id FROM customer WHERE tags @> $1 ORDER BY id;
\bind {a}
\bind {}
\bind {a,"b"}
\bind a
SELECT ARRAY[1, 2, 3], ARRAY[[1, 2], [3, 4]], '{}'::int[], '{{1},{2}}'::int[], '[0:2]={1,2,3}'::int[], ARRAY[NULL, 'NULL', '', 'a b', 'q"', E'\\'], ARRAY[]::text[];
SELECT ARRAY[1, 2] || 3, 0 || ARRAY[1], ARRAY[1] || ARRAY[2, 3], array_append(ARRAY[1], 2), array_prepend(0, ARRAY[1]), array_cat(ARRAY[1], ARRAY[2]), array_remove(ARRAY[1, 2, 1], 1), array_replace(ARRAY[1, 2], 2, 9), array_fill(7, ARRAY[2, 2]), trim_array(ARRAY[1, 2, 3], 1);
SELECT array_position(ARRAY['a', 'b'], 'b'), array_positions(ARRAY[1, 2, 1], 1), array_ndims(ARRAY[[1]]), array_lower('[5:6]={1,2}'::int[], 1), 2 = ANY (ARRAY[1, 2]), 2 > ALL (ARRAY[1]), ARRAY[1, 2] < ARRAY[1, 3], ARRAY[1, 2] @> ARRAY[2], ARRAY[1] && ARRAY[2];
SELECT (ARRAY[1, 2, 3])[2], (ARRAY[1, 2, 3])[5], (ARRAY[[1, 2], [3, 4]])[2][1], (ARRAY[1, 2, 3])[2:], (ARRAY[1, 2, 3])[:2];
SELECT ARRAY[1, 2]::text[], ARRAY['1', '2']::int[], string_to_array('1,2', ',')::int[], ARRAY[ROW(1, 'a')::pair], ARRAY['sad', 'ok']::mood[];
SELECT '{1,2'::int[];
SELECT ARRAY[[1, 2], [3]];
SELECT '{1,x}'::int[];
SELECT array_agg(ARRAY[id, version] ORDER BY id) FROM item WHERE id < 4;
SELECT unnest('{a,NULL,b}'::text[]);
SELECT int4range(1, 5), int4range(1, 5, '[]'), numrange(1.5, NULL), '(,)'::int4range, 'empty'::int4range, daterange('2024-01-01', '2024-01-31', '[]'), tstzrange('2024-01-01', NULL);
SELECT int4range(1, 5) @> 3, int4range(1, 5) && int4range(4, 9), int4range(1, 5) << int4range(7, 9), int4range(1, 5) -|- int4range(5, 9), int4range(1, 5) + int4range(5, 9), int4range(1, 9) * int4range(4, 20), int4range(1, 9) - int4range(5, 20);
SELECT lower(int4range(1, 5)), upper(int4range(1, 5)), isempty('empty'::int4range), lower_inc(int4range(1, 5)), upper_inf('[1,)'::int4range), range_merge('[1,2)'::int4range, '[5,6)'), '[1.0,2.0)'::span;
SELECT '{[1,3),[5,7)}'::int4multirange @> 2, int4multirange(int4range(1, 3), int4range(2, 9)), '{[1,3)}'::int4multirange + '{[3,4)}', unnest('{[1,3),[5,7)}'::int4multirange), multirange(int4range(1, 2));
SELECT int4range(1, 5) + int4range(9, 10);
SELECT int4range(5, 1);
SELECT id, words FROM article ORDER BY id;
SELECT id FROM article WHERE words @@ to_tsquery('english', 'cat & rat') ORDER BY id;
SELECT id FROM article WHERE words @@ plainto_tsquery('english', $1) ORDER BY id;
\bind running dogs
\bind the
\bind mat
SELECT id, ts_rank(words, q), ts_rank_cd(words, q), ts_headline('english', body, q) FROM article, websearch_to_tsquery('english', 'mat or barking -nothing') q WHERE words @@ q ORDER BY id;
SELECT to_tsvector('simple', 'a B c'), to_tsvector('the quick brown foxes'), phraseto_tsquery('english', 'fat cats'), 'a & b'::tsquery || 'c', !!'a'::tsquery, numnode('a & b'::tsquery), querytree('a & !b'::tsquery), ts_rewrite('a & b', 'a', 'x | y');
SELECT strip('a:1A b:2'::tsvector), setweight('a:1 b:2'::tsvector, 'B'), length('a b'::tsvector), tsvector_to_array('b a'::tsvector), ts_delete('a b'::tsvector, 'a'), array_to_tsvector('{x,y}'), ts_filter('a:1A b:2'::tsvector, '{a}');
SELECT * FROM ts_debug('english', 'Cats 12') LIMIT 2;
SELECT ts_lexize('english_stem', 'stars'), get_current_ts_config();
SELECT to_tsquery('a &');
SELECT to_tsquery('english', 'the');
