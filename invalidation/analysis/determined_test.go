package analysis

import "testing"

// Only what follows from the database's state alone is determined.
func TestDetermined(t *testing.T) {
	b := setup(t)
	for sql, want := range map[string]bool{
		`SELECT * FROM users WHERE id = $1`:                                   true,
		`SELECT * FROM users ORDER BY id`:                                     true,
		`SELECT count(*), max(id), sum(id) FROM users`:                        true,
		`SELECT id, count(*) FROM users GROUP BY id`:                          true,
		`SELECT DISTINCT id FROM users`:                                       true,
		`SELECT id FROM users UNION SELECT id FROM orders`:                    true,
		`SELECT * FROM users LIMIT 1`:                                         false,
		`SELECT * FROM users ORDER BY id LIMIT 1`:                             false,
		`SELECT * FROM users OFFSET 1`:                                        false,
		`SELECT * FROM orders WHERE user_id = (SELECT id FROM users LIMIT 1)`: false,
		`SELECT DISTINCT ON (name) id FROM users`:                             false,
		`SELECT row_number() OVER () FROM users`:                              false,
		`SELECT array_agg(id) FROM users`:                                     false,
		`SELECT string_agg(name, ',') FROM users`:                             false,
		`SELECT sum(id::float8) FROM users`:                                   false,
		`SELECT num FROM users GROUP BY num`:                                  false,
		`SELECT DISTINCT num FROM users`:                                      false,
		`SELECT num FROM users UNION SELECT num FROM users`:                   false,
		`WITH chosen AS (SELECT id FROM users LIMIT 2) SELECT id FROM chosen`: false,
	} {
		if v := b.analyze(t, request(sql)); !v.Cacheable || v.Determined != want {
			t.Errorf("%s: determined %v, want %v (cacheable %v)", sql, v.Determined, want, v.Cacheable)
		}
	}
}
