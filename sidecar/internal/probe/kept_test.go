package probe

import "testing"

func TestKeptBy(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]bool{
		"SELECT id FROM t WHERE id = $1 AND status = 'active' AND n IS NOT NULL": false,
		"SELECT 'it''s', \"a b\", 12, 1.5e3 FROM t -- '1'":                       false,
		"SELECT coalesce(a, 'x'), count(*)::text, $1::text /* '1' */ FROM t":     false,
		"SELECT name, login, price FROM t ORDER BY a DESC NULLS LAST LIMIT 10":   false,
		"SELECT NULL, a FROM t":          false,
		"SELECT coalesce(a, '[]'), '{}'": false, "SELECT '[today,]'": true, "SELECT '{a}'": true, "SELECT '(1)'": true,
		"SELECT 1 WHERE d = '2024-01-01'": true, "SELECT '{NULL}'": true, `SELECT 'a\b'`: true, "SELECT E'a'": false,
		"SELECT $$a$$": true, "SELECT $q$1$q$": true, "SELECT n = NULL": true, "SELECT NULL = n": true, "SELECT n=(null)": true,
		"SELECT n = /**/ NULL": true, "SELECT 'é'": true, "SELECT 'x'::xml": true, "SELECT 5::money": true,
		"SELECT 0.1::float8::text": true, "SELECT CAST(sqrt(2) AS text)": true, "SELECT pi() || ''": true, "SELECT text(pi())": true,
		"SELECT U&'d'": true, "SELECT 'a'\n'1'": true, "SELECT 'unterminated": true, "SELECT --x\r'1'": true, "SELECT /* /* */ '1' */ 1": true,
		"SELECT a FROM t --": false, "SELECT 1 --\r": false,
		"SELECT a AS a_name_that_is_longer_than_any_name_that_Postgres_takes_without_cutting_it": true,
	} {
		if got := KeptBy(sql); got != want {
			t.Errorf("KeptBy(%q) is %v", sql, got)
		}
	}
}
