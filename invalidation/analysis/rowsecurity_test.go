package analysis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// secured is a database with tables with row security, whose policies let nobody
// see a row, and roles to read them as.
type secured struct {
	*bench
	t     testing.TB
	major int
	roles map[string]uint32 // OIDs by name
}

func setupSecured(t testing.TB) *secured {
	s := &secured{bench: setup(t), t: t, roles: map[string]uint32{}}
	s.major = majorVersion(s.conn.PgConn().ParameterStatus("server_version"))
	return s
}

// role makes a role; its real name is one of this database, as roles are the
// server's.
func (s *secured) role(name, attributes string) string {
	s.t.Helper()
	real := s.conn.Config().Database + "_" + name
	s.exec(s.t, "CREATE ROLE "+real+" "+attributes)
	var oid uint32
	if err := s.conn.QueryRow(s.t.Context(), "SELECT oid FROM pg_roles WHERE rolname = $1", real).Scan(&oid); err != nil {
		s.t.Fatal(err)
	}
	s.roles[real] = oid
	s.t.Cleanup(func() {
		// The owners of what other databases hold may not go, nor need they.
		_, _ = s.conn.Exec(context.Background(), "ALTER ROLE "+real+" NOSUPERUSER NOBYPASSRLS")
	})
	return real
}

// watchAll watches every table there is now.
func (s *secured) watchAll() {
	s.t.Helper()
	rows, err := s.conn.Query(s.t.Context(), `SELECT c.relnamespace::regnamespace::text || '.' || c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384`)
	if err != nil {
		s.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	columns := map[string][]string{}
	for _, name := range names {
		columns[name] = columnsWatched[name]
	}
	s.watch = readWatch(s.t, s.conn, columns)
	s.analyzer.Forget()
}

// as analyses a statement of a role.
func (s *secured) as(role, sql string) *Verdict {
	s.t.Helper()
	r := request(sql)
	r.Role = s.roles[role]
	return s.analyze(s.t, r)
}

// sees tells whether Postgres shows a role any row.
func (s *secured) sees(role, sql string) bool {
	s.t.Helper()
	var n int
	s.exec(s.t, "SET ROLE "+role)
	defer s.exec(s.t, "RESET ROLE")
	if err := s.conn.QueryRow(s.t.Context(), "SELECT count(*) FROM ("+sql+") x").Scan(&n); err != nil {
		s.t.Fatalf("as %s: %s: %v", role, sql, err)
	}
	return n > 0
}

// TestCase15RowSecurity asks of each role what Postgres shows it, and what may be
// cached for it: only what is not filtered.
func TestCase15RowSecurity(t *testing.T) {
	s := setupSecured(t)
	owner, member, outside := s.role("owner", ""), s.role("member", "INHERIT"), s.role("outside", "NOINHERIT")
	bypass, super, tenant := s.role("bypass", "BYPASSRLS"), s.role("super", "SUPERUSER"), s.role("tenant", "")
	s.exec(t, `GRANT `+owner+` TO `+member+`; GRANT `+owner+` TO `+outside+`;
		CREATE TABLE letters (id int PRIMARY KEY, reader int8);
		INSERT INTO letters VALUES (1, 1);
		CREATE TABLE forced (LIKE letters INCLUDING ALL);
		INSERT INTO forced VALUES (1, 1);
		CREATE TABLE parent (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (10);
		INSERT INTO parent VALUES (1);
		ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
		ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		ALTER TABLE child ENABLE ROW LEVEL SECURITY;
		CREATE POLICY by_table ON letters USING (reader IN (SELECT id FROM users WHERE active));
		CREATE VIEW v_owner WITH (security_barrier) AS SELECT * FROM letters;
		CREATE VIEW v_tenant AS SELECT * FROM letters;
		CREATE VIEW v_forced AS SELECT * FROM forced;
		CREATE VIEW v_through AS SELECT * FROM v_tenant;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
		ALTER TABLE letters OWNER TO `+owner+`; ALTER TABLE forced OWNER TO `+owner+`; ALTER TABLE parent OWNER TO `+owner+`; ALTER TABLE child OWNER TO `+owner+`;
		ALTER VIEW v_owner OWNER TO `+owner+`; ALTER VIEW v_tenant OWNER TO `+tenant+`; ALTER VIEW v_forced OWNER TO `+owner+`; ALTER VIEW v_through OWNER TO `+owner)
	s.watchAll()
	cases := map[string]map[string]bool{ // by statement, those who see all rows
		`SELECT * FROM letters`:                        {owner: true, member: true, bypass: true, super: true},
		`SELECT 1 WHERE EXISTS (SELECT FROM letters)`:  {owner: true, member: true, bypass: true, super: true},
		`WITH l AS (SELECT * FROM letters) TABLE l`:    {owner: true, member: true, bypass: true, super: true},
		`SELECT * FROM forced`:                         {bypass: true, super: true},
		`SELECT * FROM letters JOIN forced USING (id)`: {bypass: true, super: true},
		`SELECT * FROM parent`:                         {owner: true, member: true, bypass: true, super: true, outside: true, tenant: true},
		`SELECT * FROM child`:                          {owner: true, member: true, bypass: true, super: true},
		`SELECT * FROM v_owner`:                        {owner: true, member: true, bypass: true, super: true, outside: true, tenant: true},
		`SELECT * FROM v_tenant`:                       {},
		`SELECT * FROM v_forced`:                       {},
		`SELECT * FROM v_through`:                      {},
	}
	if s.major >= 15 {
		s.exec(t, `CREATE VIEW v_invoker WITH (security_invoker) AS SELECT * FROM letters; ALTER VIEW v_invoker OWNER TO `+tenant+`;
			CREATE VIEW v_both AS SELECT * FROM v_invoker; ALTER VIEW v_both OWNER TO `+bypass+`; GRANT SELECT ON v_invoker, v_both TO PUBLIC`)
		cases[`SELECT * FROM v_invoker`] = cases[`SELECT * FROM letters`]
		cases[`SELECT * FROM v_both`] = cases[`SELECT * FROM letters`]
	}
	for sql, all := range cases {
		for role := range s.roles {
			v := s.as(role, sql)
			if v.Cacheable != all[role] || !v.Cacheable && v.Reason != ReasonRowSecurity {
				t.Errorf("as %s: %s: cacheable %v, %s [%s]", role, sql, v.Cacheable, v.Reason, v.Detail)
			}
			if s.sees(role, sql) != all[role] {
				t.Errorf("as %s: %s: Postgres shows it rows, which this test believes to be %v", role, sql, all[role])
			}
			if v.Cacheable != (len(v.Exempt) > 0) && sql != `SELECT * FROM parent` {
				t.Errorf("as %s: %s: exempt of %q", role, sql, v.Exempt)
			}
		}
	}
	for sql, want := range map[string]string{
		`SELECT * FROM letters`:  `public.letters applies to role ` + tenant,
		`SELECT * FROM v_tenant`: `public.letters applies to role ` + tenant + `, the owner of a view`,
	} {
		if v := s.as(tenant, sql); v.Detail != want {
			t.Errorf("%s: %s, want %s", sql, v.Detail, want)
		}
	}
	if v := s.analyze(t, request(`SELECT * FROM letters`)); v.Reason != ReasonRowSecurity || v.Detail != "public.letters" {
		t.Errorf("as nobody known: %s [%s]", s.show(v), v.Detail)
	}
}

// The analysis may be made as a role whose trees hold the policies, with functions
// that nobody could cache and tables that nobody watches: none of that is part of
// what the owner reads. And where changes of a role could go unnoticed, only what
// is no attribute of the role counts.
func TestRowSecurityAnalysedByAPlainRole(t *testing.T) {
	s := setupSecured(t)
	owner, member := s.role("owner", ""), s.role("member", "INHERIT")
	bypass, super, analyst := s.role("bypass", "BYPASSRLS"), s.role("super", "SUPERUSER"), s.role("analyst", "LOGIN")
	s.exec(t, `GRANT `+owner+` TO `+member+`, `+super+`;
		ALTER TABLE docs OWNER TO `+owner+`;
		CREATE POLICY hard ON docs USING (owner = current_setting('app.user') AND id IN (SELECT id FROM unwatched) AND random() < 1);
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
		ALTER ROLE `+analyst+` SET row_security = off`)
	config, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.User = analyst
	if s.analyzer, err = New(Options{ConnConfig: config, Watch: func() Watch { return s.watch }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.analyzer.Close)
	const sql = `SELECT * FROM docs WHERE id = $1`
	inherited := "no: row_security"
	if s.major >= 16 {
		inherited = "docs/id=$1" // it stands in a catalog whose versions everybody may read
	}
	for role, want := range map[string]string{owner: "docs/id=$1", member: inherited, bypass: "no: row_security", super: "no: row_security", analyst: "no: row_security"} {
		v := s.as(role, sql)
		if got := s.show(v); got != want {
			t.Errorf("as %s: got %s [%s], want %s", role, got, v.Detail, want)
		}
		if doubt := strings.Contains(v.Detail, "pg_authid"); doubt != (role == bypass || role == super) {
			t.Errorf("as %s: %s", role, v.Detail)
		}
	}
	steady, err := New(Options{ConnConfig: config, Watch: func() Watch { return s.watch }, SteadyRoles: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(steady.Close)
	s.analyzer.Close()
	s.analyzer = steady
	for role, want := range map[string]string{owner: "docs/id=$1", member: "docs/id=$1", bypass: "docs/id=$1", super: "docs/id=$1", analyst: "no: row_security"} {
		if v := s.as(role, sql); s.show(v) != want {
			t.Errorf("as %s, roles being steady: got %s [%s], want %s", role, s.show(v), v.Detail, want)
		}
	}
}

// What is looked up is read by the client's role itself. Where the statement reads
// as the owner of a view, the lookup could see fewer rows, and find too few tags.
func TestNothingIsLookedUpWhereRowsAreHidden(t *testing.T) {
	s := setupSecured(t)
	owner, tenant := s.role("owner", ""), s.role("tenant", "")
	s.exec(t, `ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders OWNER TO `+owner+`;
		CREATE VIEW v_orders AS SELECT o.id, u.name FROM orders o JOIN users u ON u.id = o.user_id; ALTER VIEW v_orders OWNER TO `+owner)
	for role, want := range map[string]string{
		owner:  "orders/id=$1 users/id=public.orders.user_id",
		tenant: "orders/id=$1 users",
	} {
		v := s.as(role, `SELECT * FROM v_orders WHERE id = $1`)
		if got := s.show(v); got != want || v.Joins() != (role == owner) {
			t.Errorf("as %s: got %s [%s], joins %v, want %s", role, got, v.Detail, v.Joins(), want)
		}
	}
}

// securityRound are random roles, tables and views.
type securityRound struct {
	*secured
	random    *rand.Rand
	number    int
	names     []string // of the roles
	relations []string
}

func (r *securityRound) one(of ...string) string { return of[r.random.IntN(len(of))] }

// make makes them. No role sees a row of a table whose row security applies to it.
func (r *securityRound) make() {
	r.roles, r.names, r.relations = map[string]uint32{}, nil, nil
	for i := range 5 {
		name := r.role(fmt.Sprintf("r%d_%d", r.number, i), r.one("", "", "", "SUPERUSER", "BYPASSRLS")+" "+r.one("INHERIT", "NOINHERIT"))
		for _, of := range r.names {
			if r.random.IntN(3) == 0 {
				how := ""
				if r.major >= 16 {
					how = r.one("", " WITH INHERIT TRUE", " WITH INHERIT FALSE")
				}
				r.exec(r.t, "GRANT "+of+" TO "+name+how)
			}
		}
		r.names = append(r.names, name)
	}
	r.exec(r.t, "DROP SCHEMA IF EXISTS policed CASCADE; CREATE SCHEMA policed; GRANT USAGE ON SCHEMA policed TO PUBLIC")
	for i := range 4 {
		name := fmt.Sprintf("policed.t%d", i)
		sql := "CREATE TABLE %[1]s (id int); INSERT INTO %[1]s VALUES (1);"
		if i == 3 {
			sql = "CREATE TABLE %[1]s (id int) PARTITION BY LIST (id); CREATE TABLE %[1]s_child PARTITION OF %[1]s DEFAULT; INSERT INTO %[1]s VALUES (1);" +
				"ALTER TABLE %[1]s_child " + r.one("ENABLE", "DISABLE") + " ROW LEVEL SECURITY;"
			r.relations = append(r.relations, name+"_child")
		}
		r.exec(r.t, fmt.Sprintf(sql, name)+fmt.Sprintf("ALTER TABLE %s %s ROW LEVEL SECURITY, %s ROW LEVEL SECURITY, OWNER TO %s",
			name, r.one("ENABLE", "ENABLE", "ENABLE", "DISABLE"), r.one("FORCE", "NO FORCE"), r.one(r.names...)))
		r.relations = append(r.relations, name)
	}
	for i := range 5 {
		name, with := fmt.Sprintf("policed.v%d", i), ""
		if r.major >= 15 {
			with = r.one("", " WITH (security_invoker)", " WITH (security_barrier)")
		}
		r.exec(r.t, fmt.Sprintf("CREATE VIEW %s%s AS SELECT * FROM %s; ALTER VIEW %s OWNER TO %s", name, with, r.one(r.relations...), name, r.one(r.names...)))
		r.relations = append(r.relations, name)
	}
	r.exec(r.t, "GRANT SELECT ON ALL TABLES IN SCHEMA policed TO PUBLIC")
	r.watchAll()
	r.number++
}

// disagreement compares what is cached for each role with what Postgres shows it,
// and describes the first difference; empty if there is none. With leaks, only what
// shows a role too much counts.
func (r *securityRound) disagreement(leaks bool) string {
	for _, role := range r.names {
		for _, relation := range r.relations {
			form := r.one("SELECT id FROM %s", "SELECT id FROM (SELECT id FROM %s OFFSET 0) x", "WITH x AS (SELECT id FROM %s) SELECT id FROM x",
				"SELECT 1 WHERE EXISTS (SELECT FROM %s)", "SELECT a.id FROM users u RIGHT JOIN %s a ON a.id = u.id")
			sql := fmt.Sprintf(form, relation)
			v, all := r.as(role, sql), r.sees(role, sql)
			if v.Cacheable && !all || !leaks && (v.Cacheable != all || !all && v.Reason != ReasonRowSecurity) {
				return fmt.Sprintf("as %s: %s: Postgres shows the rows: %v, cacheable: %v, %s [%s]", role, sql, all, v.Cacheable, v.Reason, v.Detail)
			}
		}
	}
	return ""
}

func newSecurityRounds(t *testing.T) *securityRound {
	seed := *differentialSeed
	r := &securityRound{secured: setupSecured(t), random: rand.New(rand.NewPCG(seed, 0))}
	r.exec(t, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
	return r
}

// securityRoundsMax is how many random databases are compared; a mistake in the
// rule shows in one of the first few.
const securityRoundsMax = 12

// TestDifferentialRowSecurity compares, for random roles, memberships, tables and
// views, what is cached for a role with what Postgres shows it: everything that is
// not filtered, and nothing else.
func TestDifferentialRowSecurity(t *testing.T) {
	r := newSecurityRounds(t)
	for range securityRoundsMax {
		r.make()
		if found := r.disagreement(false); found != "" {
			t.Fatal(found)
		}
	}
}
