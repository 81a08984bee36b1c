package workload

// The tables of an application that many tenants use. Each tenant has span orders, which are
// what clients write.
const tenants = `
	CREATE TABLE tenants (id bigint PRIMARY KEY, name text NOT NULL, plan text NOT NULL);
	CREATE TABLE settings (tenant_id bigint NOT NULL, name text NOT NULL, value text NOT NULL, PRIMARY KEY (tenant_id, name));
	CREATE TABLE members (id bigint PRIMARY KEY, tenant_id bigint NOT NULL, name text NOT NULL, joined date NOT NULL);
	CREATE TABLE projects (id bigint PRIMARY KEY, tenant_id bigint NOT NULL, status text NOT NULL, title text NOT NULL);
	CREATE TABLE orders (id bigint PRIMARY KEY, version bigint NOT NULL, tenant_id bigint NOT NULL, total bigint NOT NULL, note text NOT NULL);
	CREATE TABLE invoices (id bigint PRIMARY KEY, tenant_id bigint NOT NULL, order_id bigint NOT NULL, due date NOT NULL, paid boolean NOT NULL);
	CREATE TABLE visits (tenant_id bigint NOT NULL, day date NOT NULL, count bigint NOT NULL, PRIMARY KEY (tenant_id, day));
	INSERT INTO tenants SELECT i, 'tenant ' || i, (ARRAY['free','team','business'])[1 + i % 3] FROM generate_series(0, ({rows} - 1) / {span}) i;
	INSERT INTO settings SELECT i, 'setting ' || s, md5((i * 7 + s)::text) FROM generate_series(0, ({rows} - 1) / {span}) i, generate_series(1, 8) s;
	INSERT INTO members SELECT i * 10 + m, i, 'member ' || m, date '2020-01-01' + (i * 31 + m * 7)::int % 2000 FROM generate_series(0, ({rows} - 1) / {span}) i, generate_series(0, 9) m;
	INSERT INTO projects SELECT i * 12 + p, i, (ARRAY['open','closed','draft'])[1 + p % 3], 'project ' || p FROM generate_series(0, ({rows} - 1) / {span}) i, generate_series(0, 11) p;
	INSERT INTO orders SELECT i, 1, i / {span}, 100 + i * 7919 % 9900, md5(i::text) FROM generate_series(0, {rows}::bigint - 1) i;
	INSERT INTO invoices SELECT id, tenant_id, id, date '2024-01-01' + (id % 365)::int, id % 5 <> 0 FROM orders;
	INSERT INTO visits SELECT i, date '2024-06-01' + d, 10 + (i * 13 + d * 29) % 500 FROM generate_series(0, ({rows} - 1) / {span}) i, generate_series(0, 29) d;
	CREATE INDEX ON members (tenant_id);
	CREATE INDEX ON projects (tenant_id);
	CREATE INDEX ON orders (tenant_id);
	CREATE INDEX ON invoices (tenant_id);`

var dashboard = &Workload{
	Name: "dashboard", About: "the page of a tenant: 8 statements over 7 tables; orders are written", schema: tenants, DefaultSpan: 50, DefaultWrites: 0.02,
	write: &Statement{Name: "change an order", SQL: `UPDATE orders SET version = $2::bigint, total = 100 + ($2::bigint * 7919) % 9900 WHERE id = $1`},
	page: []step{
		{&Statement{Name: "tenant", SQL: `SELECT name, plan FROM tenants WHERE id = $1`}, itsShelf, nil},
		{&Statement{Name: "settings", SQL: `SELECT name, value FROM settings WHERE tenant_id = $1 ORDER BY name`}, itsShelf, nil},
		{&Statement{Name: "newest members", SQL: `SELECT id, name, joined FROM members WHERE tenant_id = $1 ORDER BY joined DESC, id LIMIT 5`}, itsShelf, nil},
		{&Statement{Name: "projects by status", SQL: `SELECT status, count(*) FROM projects WHERE tenant_id = $1 GROUP BY status ORDER BY status`}, itsShelf, nil},
		{&Statement{Name: "turnover", SQL: `SELECT sum(version)::bigint, count(*), sum(total)::bigint FROM orders WHERE tenant_id = $1`, Shows: Sum}, itsShelf, theShelf},
		{&Statement{Name: "orders", SQL: `SELECT id, version, total, note FROM orders WHERE tenant_id = $1 ORDER BY id`, Shows: Rows}, itsShelf, theShelf},
		{&Statement{Name: "unpaid", SQL: `SELECT i.id, i.due, o.total FROM invoices i JOIN orders o ON o.id = i.order_id WHERE i.tenant_id = $1 AND o.tenant_id = $1 AND NOT i.paid ORDER BY i.due, i.id LIMIT 10`}, itsShelf, nil},
		{&Statement{Name: "visits", SQL: `SELECT day, count FROM visits WHERE tenant_id = $1 ORDER BY day DESC LIMIT 14`}, itsShelf, nil},
	},
}
