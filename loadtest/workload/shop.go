package workload

// The tables of a shop. A page shows a product among span others of its category; stock and
// price are what clients write.
const shopTables = `
	CREATE TABLE categories (id bigint PRIMARY KEY, name text NOT NULL);
	CREATE TABLE products (id bigint PRIMARY KEY, version bigint NOT NULL, category_id bigint NOT NULL, price bigint NOT NULL, stock bigint NOT NULL, name text NOT NULL, about text NOT NULL);
	CREATE TABLE reviews (id bigint PRIMARY KEY, product_id bigint NOT NULL, stars int NOT NULL, words text NOT NULL);
	INSERT INTO categories SELECT i, 'category ' || i FROM generate_series(0, ({rows} - 1) / {span}) i;
	INSERT INTO products SELECT i, 1, i / {span}, 100 + i * 7919 % 9900, i % 50, 'product ' || i, repeat(md5(i::text), 4) FROM generate_series(0, {rows}::bigint - 1) i;
	INSERT INTO reviews SELECT p * 4 + r, p, 1 + (p * 3 + r * 7)::int % 5, repeat(md5((p * 4 + r)::text), 2) FROM generate_series(0, {rows}::bigint - 1) p, generate_series(0, 3) r;
	CREATE INDEX ON products (category_id);
	CREATE INDEX ON reviews (product_id);`

var shop = &Workload{
	Name: "shop", About: "the page of a product in a shop: 5 statements over 3 tables; price and stock are written", schema: shopTables, DefaultSpan: 40, DefaultWrites: 0.02,
	write: &Statement{Name: "change a product", SQL: `UPDATE products SET version = $2::bigint, price = 100 + ($2::bigint * 7919) % 9900, stock = $2::bigint % 50 WHERE id = $1`},
	page: []step{
		{&Statement{Name: "product", SQL: `SELECT id, version, name, about, price, stock FROM products WHERE id = $1`, Shows: Rows, Single: true}, oneRow, theRow},
		{&Statement{Name: "category of a product", SQL: `SELECT c.id, c.name FROM categories c JOIN products p ON p.category_id = c.id WHERE p.id = $1`}, oneRow, nil},
		{&Statement{Name: "reviews", SQL: `SELECT id, stars, words FROM reviews WHERE product_id = $1 ORDER BY id DESC LIMIT 10`}, oneRow, nil},
		{&Statement{Name: "stars", SQL: `SELECT count(*), round(avg(stars), 1) FROM reviews WHERE product_id = $1`}, oneRow, nil},
		{&Statement{Name: "cheapest of a category", SQL: `SELECT id, name, price FROM products WHERE category_id = $1 AND stock > 0 ORDER BY price, id LIMIT 10`}, itsShelf, nil},
	},
}
