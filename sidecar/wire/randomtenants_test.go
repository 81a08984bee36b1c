package wire

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
)

var (
	tenantSeed  = flag.Uint64("tenant-seed", 1, "seed of the random policies, roles, settings and changes")
	tenantSteps = flag.Int("tenant-steps", 50, "how many changes the random tenants go through")
)

const randomTenantSchema = `
CREATE ROLE keeper; CREATE ROLE anna; CREATE ROLE bert; CREATE ROLE seer BYPASSRLS; CREATE ROLE login LOGIN NOINHERIT IN ROLE anna, bert, seer, keeper;
CREATE TABLE doc (id int PRIMARY KEY, tenant text, owner text, grp int, body text);
INSERT INTO doc SELECT i, chr(97 + i % 3), CASE i % 2 WHEN 0 THEN 'anna' ELSE 'bert' END, i % 4, 'body ' || i FROM generate_series(1, 12) i;
CREATE TABLE member (grp int, who text, PRIMARY KEY (grp, who));
INSERT INTO member VALUES (0, 'anna'), (1, 'bert'), (2, 'a'), (3, 'b'), (1, 'a');
CREATE TABLE secret (grp int PRIMARY KEY, open bool);
INSERT INTO secret SELECT i, i % 2 = 0 FROM generate_series(0, 3) i;
CREATE FUNCTION who() RETURNS text STABLE LANGUAGE sql AS $$ SELECT nullif(current_setting('app.who', true), '') $$;
CREATE VIEW of_keeper AS SELECT * FROM doc; CREATE VIEW of_reader AS SELECT * FROM doc;
ALTER TABLE doc OWNER TO keeper; ALTER TABLE member OWNER TO keeper; ALTER VIEW of_keeper OWNER TO keeper; ALTER VIEW of_reader OWNER TO anna;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC`

// docConditions are of policies on doc, memberConditions on member.
var (
	docConditions = []string{
		"tenant = current_setting('app.tenant', true)", "tenant = current_setting('app.tenant', true) OR owner = current_user", "owner = who()", "true", "id % 2 = 0",
		"grp IN (SELECT grp FROM member WHERE who = current_user)", "EXISTS (SELECT FROM member m WHERE m.grp = doc.grp AND m.who = current_setting('app.who', true))",
		"grp IN (SELECT s.grp FROM secret s WHERE s.open)", "owner = session_user", "random() >= 0 AND tenant = current_setting('app.tenant', true)",
	}
	memberConditions = []string{"true", "who = current_setting('app.who', true)", "grp < 2", "grp IN (SELECT grp FROM secret WHERE open)"}
	tenantQueries    = []string{
		"SELECT id, body FROM doc ORDER BY id", "SELECT body FROM doc WHERE id = 3", "SELECT count(*) FROM doc WHERE tenant = 'a'", "SELECT id FROM of_keeper ORDER BY id", "SELECT id FROM of_reader ORDER BY id",
		"SELECT count(*) FROM member m JOIN doc d USING (grp)", "SELECT s.grp FROM secret s WHERE EXISTS (SELECT FROM doc d WHERE d.grp = s.grp) ORDER BY 1", "SELECT current_setting('app.tenant', true), count(*) FROM secret",
	}
)

// randomTenants are sessions of several tenants, the same ones to Postgres itself, and
// changes of all that decides what each is shown.
type randomTenants struct {
	*testbed
	t        *testing.T
	random   *rand.Rand
	side     *side
	sessions []tenantPair
	policies int
	log      []string
}

// tenantPair is one session through the sidecar, and one that does the same directly.
type tenantPair struct{ through, direct *pgx.Conn }

func newRandomTenants(t *testing.T, seed uint64) *randomTenants {
	t.Helper()
	b := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{}), randomTenantSchema)
	b.exec("GRANT SELECT ON pg_authid TO " + servers.Follower)
	r := &randomTenants{testbed: b, t: t, random: rand.New(rand.NewPCG(seed, 7)), side: b.sidecar(patient)}
	if err := r.side.analyzer.SetFunctions([]analysis.Function{{Signature: "public.who()", Settings: []string{"app.who"}}}); err != nil {
		t.Fatal(err)
	}
	r.change("CREATE POLICY p0 ON doc USING (" + docConditions[0] + ")") // what is declared counts from now on
	for range 4 {
		pair := tenantPair{b.connect(r.side.dsn() + " user=login"), b.connect(b.postgres.DSN(b.database) + " user=login")}
		r.sessions = append(r.sessions, pair)
	}
	return r
}

func (r *randomTenants) one(of ...string) string { return of[r.random.IntN(len(of))] }

// change changes something for everybody, and waits until that is received.
func (r *randomTenants) change(sql string) {
	r.t.Helper()
	r.log = append(r.log, sql)
	if _, err := r.direct.Exec(r.t.Context(), sql); err != nil {
		r.log = append(r.log, err.Error())
	}
	r.side.received()
}

// changeSomething makes one random change.
func (r *randomTenants) changeSomething() {
	r.t.Helper()
	policy := fmt.Sprintf("p%d", r.random.IntN(r.policies+1))
	switch r.random.IntN(12) {
	case 0, 1:
		r.policies++
		r.change(fmt.Sprintf("CREATE POLICY p%d ON doc AS %s FOR %s TO %s USING (%s)", r.policies, r.one("PERMISSIVE", "PERMISSIVE", "RESTRICTIVE"), r.one("ALL", "SELECT"), r.one("PUBLIC", "PUBLIC", "anna", "bert"), r.one(docConditions...)))
	case 2:
		r.change("ALTER POLICY " + policy + " ON doc USING (" + r.one(docConditions...) + ")")
	case 3:
		r.change("DROP POLICY IF EXISTS " + policy + " ON doc")
	case 4:
		r.change("DROP POLICY IF EXISTS m ON member; CREATE POLICY m ON member USING (" + r.one(memberConditions...) + "); ALTER TABLE member " + r.one("ENABLE", "ENABLE", "DISABLE") + " ROW LEVEL SECURITY")
	case 5:
		r.change("ALTER TABLE doc " + r.one("FORCE", "NO FORCE", "ENABLE", "DISABLE", "ENABLE") + " ROW LEVEL SECURITY")
	case 6:
		r.change("ALTER VIEW " + r.one("of_keeper", "of_reader") + " " + r.one("SET (security_invoker)", "RESET (security_invoker)", "OWNER TO keeper", "OWNER TO anna", "OWNER TO seer"))
	case 7, 8:
		r.change(r.one("UPDATE doc SET body = body || '.', tenant = chr(97 + (ascii(tenant) - 96) % 3)", "UPDATE doc SET owner = 'anna'", "UPDATE doc SET grp = (grp + 1) % 4") + fmt.Sprintf(" WHERE id %% 4 = %d", r.random.IntN(4)))
	case 9, 10:
		r.change(r.one("DELETE FROM member WHERE grp = 1", "INSERT INTO member VALUES (1, 'anna'), (1, 'b') ON CONFLICT DO NOTHING", "UPDATE member SET grp = (grp + 1) % 4 WHERE who = 'a' AND NOT EXISTS (SELECT FROM member o WHERE o.who = 'a' AND o.grp = (member.grp + 1) % 4)"))
	default:
		r.change("UPDATE secret SET open = NOT open WHERE grp = " + r.one("0", "1", "2", "3"))
	}
}

// begin are the statements that begin a transaction of a tenant, as programs send them.
func (r *randomTenants) begin() []string {
	role, tenant, who := r.one("anna", "bert", "seer", "keeper", "none"), r.one("a", "b", "c", ""), r.one("anna", "bert", "a", "b")
	switch r.random.IntN(5) {
	case 0:
		return []string{"BEGIN", "SET LOCAL ROLE " + role, "SET LOCAL app.tenant = '" + tenant + "'", "SET LOCAL app.who = '" + who + "'"}
	case 1:
		return []string{"BEGIN READ ONLY", fmt.Sprintf("SELECT set_config('role', '%s', true), set_config('app.tenant', '%s', true)", role, tenant)}
	case 2:
		return []string{"BEGIN", "SET LOCAL app.tenant = '" + tenant + "'", "SAVEPOINT s1", "SET LOCAL app.tenant = 'b'", "SELECT set_config('role', '" + role + "', true)", "ROLLBACK TO s1", "SET LOCAL ROLE " + role}
	case 3:
		return []string{"BEGIN", "SET LOCAL ROLE " + role, "SELECT count(*) + random() * 0 FROM secret", "SET LOCAL app.tenant = '" + tenant + "'"}
	default:
		return []string{"SET app.tenant = '" + tenant + "'", "BEGIN", "SET LOCAL ROLE " + role}
	}
}

// play has a pair of sessions do the same, and compares what they are shown.
func (r *randomTenants) play(p tenantPair, sql string, extended bool) {
	r.t.Helper()
	want, got := asked(p.direct, extended, sql), asked(p.through, extended, sql)
	if got != want {
		r.t.Fatalf("%s\n%s (extended %v):\n the sidecar says %s\n Postgres says    %s", strings.Join(r.log, "\n"), sql, extended, got, want)
	}
}

// TestRandomTenantsAreAnsweredAsPostgresDoes: under random policies, roles and settings,
// several tenants at once are shown what Postgres shows them, behind each change.
func TestRandomTenantsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	r := newRandomTenants(t, *tenantSeed)
	for range *tenantSteps {
		r.changeSomething()
		from := len(r.log)
		for range 8 {
			i := r.random.IntN(len(r.sessions))
			p, extended := r.sessions[i], r.random.IntN(2) == 0
			statements := r.begin()
			for range 3 {
				statements = append(statements, r.one(tenantQueries...))
			}
			statements = append(statements, statements[len(statements)-1], r.one("COMMIT", "ROLLBACK"), r.one(tenantQueries...))
			r.log = append(r.log, fmt.Sprintf("-- session %d, extended %v: %s", i, extended, strings.Join(statements, "; ")))
			for _, sql := range statements {
				r.play(p, sql, extended)
			}
		}
		if len(r.log) > 400 {
			r.log = append(r.log[:0], r.log[from:]...)
		}
	}
	hits, misses := r.side.count(HitL1), r.side.count(Miss)
	t.Logf("%d hits, %d misses, %v", hits, misses, r.side.Report().Bypasses)
	if hits < uint64(*tenantSteps) {
		t.Errorf("%d hits and %d misses in %d steps: this test shows little; %v", hits, misses, *tenantSteps, r.side.Report().Bypasses)
	}
}

// tenantLeaks are sidecars that show one reader what another is to be shown, or what was to be
// shown before.
var tenantLeaks = []mutant.Named{
	{Name: "a setting is missing from the key", Edits: []mutant.Edit{{
		File: "sidecar/wire/keyedsettings.go", As: mutant.Statements,
		Old: "text = append(text, value...)",
		New: "text = append(text, value[:0]...)\n\t\t\ttext = append(text[:len(text)-4], 0, 0, 0, 0)",
	}}},
	{Name: "a policy's table is missing from the tags", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Condition,
		Old: `n.tag == "RANGETBLENTRY" && n.int("rtekind") == rteRelation`,
		New: "false",
	}}},
	{Name: "another role's entry is served", Edits: []mutant.Edit{{
		File: "sidecar/internal/probe/known.go", As: mutant.Condition,
		Old: "k.local != nil",
		New: "false",
	}}},
	{Name: "FORCE is ignored", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Condition,
		Old: "r.forced",
		New: "false",
	}}},
	{Name: "row security is taken to spare everybody", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Condition,
		Old: "!r.rowSecurity",
		New: "true",
	}}},
	{Name: "settings of a transaction end with no savepoint", Edits: []mutant.Edit{{
		File: "sidecar/wire/keyedsettings.go", As: mutant.Condition,
		Old: "s.values.unknown || s.known.Base() == nil",
		New: "s.known.Base() == nil",
	}}},
}

// TestPlantedTenantLeaksAreFound: the random tenants find each of them.
func TestPlantedTenantLeaksAreFound(t *testing.T) {
	t.Parallel()
	allFound(t, tenantLeaks, "TestRandomTenantsAreAnsweredAsPostgresDoes", "-tenant-steps", "120")
}
