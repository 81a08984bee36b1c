TRUNCATE item, sale RESTART IDENTITY;
INSERT INTO item VALUES
    (1, 'anchor', 12.50, 10, '{iron,"heavy, very"}', '{"a": [1, 2.50, null]}', '\x00ff10', 'red', 1.5, '2020-02-29', '2024-01-02 03:04:05.678+00', true),
    (2, 'bottle', 0.99, 0, '{}', NULL, '', 'green', 'NaN', 'infinity', '-infinity', false),
    (3, 'compass "north"', 1234567.89, 3, NULL, '{"b": {"c": "\u00e6"}}', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO sale (item, amount) VALUES (1, 2), (1, 3), (2, 1);
