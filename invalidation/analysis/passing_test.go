package analysis

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// What depends on a session's temporary objects is refused, at whatever distance, as long as they
// are there; what is beside it is not.
func TestWhatDependsOnTemporaryObjectsIsRefused(t *testing.T) {
	s := setupSecured(t)
	tenant := s.role("tenant", "")
	maker := s.connect(t)
	for _, sql := range []string{`
		CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE kept (id int PRIMARY KEY, c int);
		CREATE TYPE made AS (a int); CREATE TABLE holds (id int, c made); CREATE TABLE holds_rows (id int, c made[]);
		CREATE TABLE tree (id int) PARTITION BY LIST (id); CREATE TABLE parent (id int); CREATE TABLE policed (id int);
		ALTER TABLE policed ENABLE ROW LEVEL SECURITY; CREATE FUNCTION declared(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'`, `
		CREATE TYPE pg_temp.mood AS ENUM ('low'); CREATE DOMAIN feeling AS pg_temp.mood; CREATE TYPE pg_temp.pair AS (a int, b int); CREATE TEMP TABLE mine (a int);
		CREATE FUNCTION pg_temp.twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'; CREATE COLLATION pg_temp.plain (LOCALE = 'C');
		CREATE FUNCTION takes(pg_temp.mood DEFAULT NULL) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
		CREATE TABLE by_type (id int, m pg_temp.mood); CREATE TABLE by_domain (id int, m feeling); CREATE TABLE by_rows (id int, m pg_temp.mine[]);
		CREATE TABLE typed OF pg_temp.pair; ALTER TYPE made ADD ATTRIBUTE b pg_temp.mood CASCADE;
		CREATE TABLE by_function (id int, g int GENERATED ALWAYS AS (pg_temp.twice(id)) STORED); CREATE TABLE by_collation (id int, t text COLLATE pg_temp.plain);
		CREATE TABLE leaf PARTITION OF tree DEFAULT PARTITION BY LIST (pg_temp.twice(id));
		CREATE VIEW named AS SELECT id, 'low'::pg_temp.mood IS NULL AS m FROM plain; CREATE VIEW above AS SELECT id FROM named; CREATE VIEW beside AS SELECT id FROM kept;
		CREATE POLICY p ON policed USING (id IN (SELECT id FROM kept WHERE 'low'::pg_temp.mood IS NOT NULL));
		CREATE TEMP TABLE child () INHERITS (parent)`,
	} {
		if _, err := maker.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.exec(t, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
	if err := s.analyzer.SetFunctions([]Function{{Signature: "public.declared(integer)"}, {Signature: "public.takes(" + s.mineOf(t, maker) + ".mood)"}}); err != nil {
		t.Fatal(err)
	}
	s.watchAll()
	verdicts := map[string]string{ // while the session is there
		"SELECT id FROM plain":            "plain",
		"SELECT id FROM parent":           "parent",
		"SELECT id FROM beside":           "kept",
		"SELECT declared(1) FROM kept":    "kept",
		"SELECT id FROM by_type":          "no: temporary_table",
		"SELECT id FROM by_domain":        "no: temporary_table",
		"SELECT id FROM by_rows":          "no: temporary_table",
		"SELECT id FROM by_function":      "no: temporary_table",
		"SELECT id FROM by_collation":     "no: temporary_table",
		"SELECT id FROM holds":            "no: temporary_table",
		"SELECT id FROM holds_rows":       "no: temporary_table",
		"SELECT a FROM typed":             "no: temporary_table",
		"SELECT id FROM tree":             "no: temporary_table",
		"SELECT id FROM named":            "no: temporary_table",
		"SELECT id FROM above":            "no: temporary_table",
		"SELECT id FROM policed":          "no: temporary_table",
		"SELECT takes()":                  "no: temporary_table",
		"SELECT NULL::feeling FROM plain": "no: temporary_table",
		"SELECT 'low'::" + s.mineOf(t, maker) + ".mood, id FROM plain":              "no: temporary_table",
		"SELECT id FROM plain p WHERE EXISTS (SELECT FROM by_type WHERE id = p.id)": "no: temporary_table",
	}
	check := func(when string) {
		t.Helper()
		for sql, want := range verdicts {
			r := request(sql)
			r.Role, r.Keyed = s.roles[tenant], true
			if v := s.analyze(t, r); s.show(v) != want {
				t.Errorf("%s: %s: got %s [%s], want %s", when, sql, s.show(v), v.Detail, want)
			}
		}
	}
	check("the session is there")

	// What became of all that, behind DISCARD and without an event, is Postgres' answer.
	if _, err := maker.Exec(t.Context(), "DISCARD TEMP", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	s.watchAll()
	verdicts = map[string]string{
		"SELECT * FROM by_type": "by_type", "SELECT * FROM holds": "holds", "SELECT id FROM tree": "tree", "SELECT id FROM policed": "policed",
		"SELECT a FROM typed": "no: sql_error", "SELECT id FROM above": "no: sql_error", "SELECT m FROM by_domain": "no: sql_error",
	}
	check("it has let go of them")
}

// mineOf names a session's temporary schema.
func (s *secured) mineOf(t *testing.T, conn *pgx.Conn) (schema string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT pg_my_temp_schema()::regnamespace::text").Scan(&schema); err != nil {
		t.Fatal(err)
	}
	return schema
}
