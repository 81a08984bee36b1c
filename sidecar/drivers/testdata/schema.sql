-- What the programs read and write. Nothing writes to setting: it is there for
-- reads that repeat.
CREATE TABLE setting (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO setting VALUES ('currency', 'EUR'), ('motto', 'fresh, oder gar nicht: æøå'), ('vat', '19');

CREATE TYPE color AS ENUM ('red', 'green', 'blue');
CREATE TABLE item (
    id      int PRIMARY KEY,
    name    text NOT NULL UNIQUE,
    price   numeric(10, 2) NOT NULL,
    stock   int NOT NULL CHECK (stock >= 0),
    tags    text[],
    details jsonb,
    photo   bytea,
    hue     color,
    weight  float8,
    made    date,
    changed timestamptz,
    active  boolean
);
CREATE TABLE sale (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item   int NOT NULL REFERENCES item,
    amount int NOT NULL
);
CREATE VIEW sold AS SELECT i.name, sum(s.amount) AS amount FROM item i JOIN sale s ON s.item = i.id GROUP BY i.name;
