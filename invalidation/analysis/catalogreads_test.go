package analysis

import (
	"encoding/binary"
	"testing"
)

// What catalogs say of Postgres' own types is cached; of other rows it may be a temporary
// object's, of which no event tells, and owners and access lists change without events.
func TestCase48CatalogsOfBuiltInTypes(t *testing.T) {
	b := setup(t)
	b.exec(t, `CREATE VIEW v_type AS SELECT typname FROM pg_type WHERE oid = 23`)
	b.wantVerdicts(t, map[string]string{
		`SELECT TYPNAME FROM PG_TYPE WHERE OID=23`:                  "", // PDO, RPostgreSQL
		`SELECT typname FROM pg_catalog.pg_type WHERE oid = 23`:     "",
		`SELECT typname FROM pg_type WHERE oid = $1`:                "",
		`SELECT typname FROM pg_type WHERE 23 = oid AND typlen > 0`: "",
		`SELECT oid, typname, oid::regtype, typlen, typtype, typcategory, typdelim, typrelid FROM pg_catalog.pg_type WHERE oid OPERATOR(pg_catalog.=) '23'::pg_catalog.regtype`: "",
		`SELECT oid, typname, oid::pg_catalog.regtype, typlen FROM pg_catalog.pg_type WHERE oid OPERATOR(pg_catalog.=) 23::pg_catalog.regtype`:                                  "", // PyGreSQL
		`SELECT n.nspname = ANY (ARRAY['public']), n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1`:    "",
		`SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e WHERE t.oid = $1 AND t.typelem = e.oid`:                                                              "", // JDBC
		`SELECT t.typname, r.rngsubtype, e.enumlabel FROM pg_type t LEFT JOIN pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.oid = 23`:     "",
		`SELECT oid FROM pg_namespace WHERE nspname = 'public'`:                            "",
		`SELECT oid FROM pg_namespace WHERE nspname = $1`:                                  "",
		`SELECT u.email, t.typname FROM users u, pg_type t WHERE u.id = $1 AND t.oid = 23`: "users/id=$1",

		`SELECT typname FROM pg_type`:                                                                              "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid = '16384'`:                                                          "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid = '0'`:                                                              "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid = 3000000000`:                                                       "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid = 23 OR typname = 'x'`:                                              "no: catalog_table",
		`SELECT typname FROM pg_type WHERE NOT oid = 23`:                                                           "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid <> 23`:                                                              "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid >= 23`:                                                              "no: catalog_table",
		`SELECT typname FROM pg_type WHERE typelem = 23`:                                                           "no: catalog_table",
		`SELECT typname FROM pg_type WHERE typname = 'int4'`:                                                       "no: catalog_table",
		`SELECT typname FROM pg_type WHERE typname = $1`:                                                           "no: catalog_table",
		`SELECT oid FROM pg_namespace WHERE nspname = 'pg_temp_3'`:                                                 "no: catalog_table",
		`SELECT oid FROM pg_namespace WHERE nspname = 'freshet'`:                                                   "no: catalog_table",
		`SELECT nspname FROM pg_namespace`:                                                                         "no: catalog_table",
		`SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = 'public'`: "no: catalog_table", // one of them may depend on a temporary type
		`SELECT e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = 'mood'`:         "no: catalog_table",
		`SELECT t.typname FROM pg_type t LEFT JOIN pg_namespace n ON n.oid = t.typnamespace AND t.oid = 23`:        "no: catalog_table",
		`SELECT t.typname FROM pg_type t FULL JOIN pg_range r ON r.rngtypid = t.oid WHERE t.oid = 23`:              "no: catalog_table",
		`SELECT t.typname FROM pg_type t RIGHT JOIN pg_range r ON r.rngtypid = t.oid WHERE t.oid = 23`:             "no: catalog_table",
		`SELECT a.typname FROM pg_type a JOIN pg_type b ON b.typelem = a.oid WHERE a.oid = 23`:                     "no: catalog_table",
		`SELECT (SELECT typname FROM pg_type WHERE oid = 23)`:                                                      "no: catalog_table",
		`SELECT typname FROM v_type`:                                                                               "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid = 23 UNION SELECT 'x'`:                                              "no: catalog_table",
		`SELECT typowner FROM pg_type WHERE oid = 23`:                                                              "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid = 23 AND typowner = 10`:                                             "no: catalog_table",
		`SELECT n.nspowner FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = 23`:          "no: catalog_table",
		`SELECT typacl FROM pg_type WHERE oid = 23`:                                                                "no: unsafe_result_type",
		`SELECT typinput FROM pg_type WHERE oid = 23`:                                                              "no: unsafe_result_type",
		`SELECT * FROM pg_type WHERE oid = 23`:                                                                     "no: catalog_table",
		`SELECT t FROM pg_type t WHERE oid = 23`:                                                                   "no: unsafe_result_type",
		`SELECT xmin FROM pg_type WHERE oid = 23`:                                                                  "no: system_column",
		`SELECT typrelid::regclass FROM pg_type WHERE oid = 23`:                                                    "no: unsafe_result_type",
		`SELECT relname FROM pg_class WHERE oid = 1247`:                                                            "no: catalog_table",
		`SELECT attname FROM pg_attribute WHERE attrelid = 1247`:                                                   "no: catalog_table",
		`SELECT typname FROM pg_type WHERE oid = 23 FOR SHARE`:                                                     "no: row_locks",
	})
	b.watch.unreported = true
	b.analyzer.Forget()
	b.wantVerdicts(t, map[string]string{`SELECT typname FROM pg_type WHERE oid = 23`: "no: catalog_table"})
}

// Whose OID is bound is told when it is bound; literals are told apart.
func TestBoundOIDsAreOfBuiltInTypes(t *testing.T) {
	b := setup(t)
	v := b.analyze(t, request(`SELECT typname FROM pg_type WHERE oid = $1`))
	named := b.analyze(t, request(`SELECT oid FROM pg_namespace WHERE nspname = $1`))
	for _, c := range []struct {
		v    *Verdict
		of   Value
		want bool
	}{
		{v, Value{Data: []byte("23")}, true}, {v, Value{Data: []byte("16383")}, true}, {v, Value{Null: true}, true},
		{v, Value{Data: binary.BigEndian.AppendUint32(nil, 23), Binary: true}, true},
		{v, Value{Data: []byte("16384")}, false}, {v, Value{Data: []byte("-1")}, false}, {v, Value{Data: []byte(" 23")}, false}, {v, Value{}, false},
		{v, Value{Data: binary.BigEndian.AppendUint32(nil, 16384), Binary: true}, false}, {v, Value{Data: []byte{23}, Binary: true}, false},
		{named, Value{Data: []byte("public")}, true}, {named, Value{Data: []byte("pg_catalog")}, true},
		{named, Value{Data: []byte("pg_temp_3")}, false}, {named, Value{Data: []byte("pg_toast_temp_3")}, false}, {named, Value{Data: []byte("freshet")}, false},
	} {
		if _, ok := c.v.FenceTags(Params{Bound: []Value{c.of}}); ok != c.want {
			t.Errorf("%q, binary %v: cacheable %v, want %v", c.of.Data, c.of.Binary, ok, c.want)
		}
	}
	shared := b.analyze(t, request(`SELECT typname FROM pg_type WHERE oid = 16390`))
	for text, want := range map[string]bool{"23": true, "16383": true, "16384": false, "16390": false} {
		template, _ := NewTemplate(`SELECT typname FROM pg_type WHERE oid = `+text, true)
		_, ok := shared.FenceTags(Params{Literals: template.Literals})
		if !shared.HoldsFor(template) || ok != want {
			t.Errorf("oid = %s: cacheable %v, want %v, by the verdict of another: %v", text, ok, want, shared.HoldsFor(template))
		}
	}
	if _, ok := shared.FenceTags(Params{}); ok {
		t.Error("the statement that was analysed is cacheable")
	}
	for sql, other := range map[string]string{
		`SELECT typname FROM pg_type WHERE oid = '23'`:               `SELECT typname FROM pg_type WHERE oid = '16390'`,
		`SELECT oid FROM pg_namespace WHERE nspname = 'public'`:      `SELECT oid FROM pg_namespace WHERE nspname = 'pg_temp_3'`,
		`SELECT oid::regtype FROM pg_type WHERE oid = '23'::regtype`: `SELECT oid::regtype FROM pg_type WHERE oid = '16390'::regtype`,
	} {
		v := b.analyze(t, request(sql))
		template, ok := NewTemplate(other, true)
		if !v.Cacheable || !ok || v.HoldsFor(template) {
			t.Errorf("%s: cacheable %v, and holds for %s", sql, v.Cacheable, other)
		}
	}
}
