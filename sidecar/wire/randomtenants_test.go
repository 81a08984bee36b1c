package wire

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
)

var (
	tenantSeed  = flag.Uint64("tenant-seed", 1, "seed of the random policies, roles, settings and changes")
	tenantSteps = flag.Int("tenant-steps", 20, "how many changes the random tenants go through")
	tenantFocus = flag.String("tenant-focus", "", "the kind of half of the changes at least: policies, security, views, rows, roles or moments; or inner, the kind of all changes")
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
CREATE VIEW open_grp AS SELECT grp FROM secret WHERE open; CREATE VIEW my_grp AS SELECT grp FROM member;
CREATE VIEW my_open_grp AS SELECT grp FROM my_grp JOIN open_grp USING (grp);
CREATE VIEW of_keeper_too AS SELECT * FROM of_keeper; CREATE VIEW of_both AS SELECT d.id, r.body FROM doc d LEFT JOIN of_reader r USING (id);
ALTER TABLE doc OWNER TO keeper; ALTER TABLE member OWNER TO keeper; ALTER VIEW of_keeper OWNER TO keeper; ALTER VIEW of_reader OWNER TO anna; ALTER VIEW of_keeper_too OWNER TO bert; ALTER VIEW of_both OWNER TO keeper; ALTER VIEW my_grp OWNER TO anna; ALTER VIEW my_open_grp OWNER TO anna;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC`

// docConditions are the conditions of policies on doc, memberConditions of those on member.
var (
	docConditions = []string{
		"tenant = current_setting('app.tenant', true)", "tenant = current_setting('app.tenant', true) OR owner = current_user", "owner = who()", "true", "id % 2 = 0",
		"grp IN (SELECT grp FROM member WHERE who = current_user)", "EXISTS (SELECT FROM member m WHERE m.grp = doc.grp AND m.who = current_setting('app.who', true))",
		"grp IN (SELECT s.grp FROM secret s WHERE s.open)", "owner = session_user", "random() >= 0 AND tenant = current_setting('app.tenant', true)",
	}
	// innerConditions are conditions of policies on doc that read views.
	innerConditions = []string{
		"grp IN (SELECT grp FROM my_grp)", "grp IN (SELECT grp FROM my_grp)", "EXISTS (SELECT FROM open_grp g WHERE g.grp = doc.grp)", "grp IN (SELECT grp FROM my_open_grp)", "id <= (SELECT count(*) * 3 FROM my_grp)",
	}
	innerViews       = []string{"my_grp", "my_grp", "open_grp", "my_open_grp"}
	tenantViews      = []string{"of_keeper", "of_reader", "of_keeper_too", "of_both"}
	memberConditions = []string{"true", "who = current_setting('app.who', true)", "grp < 2", "grp IN (SELECT grp FROM secret WHERE open)"}
	tenantQueries    = append([]string{
		"SELECT id, body FROM doc ORDER BY id", "SELECT body FROM doc WHERE id = 3", "SELECT count(*) FROM doc WHERE tenant = 'a'",
		"SELECT count(*) FROM member m JOIN doc d USING (grp)", "SELECT s.grp FROM secret s WHERE EXISTS (SELECT FROM doc d WHERE d.grp = s.grp) ORDER BY 1", "SELECT current_setting('app.tenant', true), count(*) FROM secret",
	}, viewQueries...)
	viewQueries = []string{"SELECT id FROM of_keeper ORDER BY id", "SELECT id FROM of_reader ORDER BY id", "SELECT id FROM of_keeper_too ORDER BY id", "SELECT count(*), count(body) FROM of_both"}
)

// randomTenants plays random requests of tenants between random changes of all that decides which
// rows a tenant is shown, and compares what the sidecar answers with what Postgres answers.
type randomTenants struct {
	*testbed
	t        *testing.T
	random   *rand.Rand
	side     *side
	sessions []tenantPair
	asked    []tenantRequest // the requests since the last change
	super    *pgx.Conn       // a superuser's session through the sidecar
	counted  bool            // Postgres has pg_stat_force_next_flush, which publishes its statistics at once
	policies int             // the number of the policy on doc that was added last
	log      []string        // all that was done, for the message of a failure
}

// tenantRequest is a transaction of a tenant, with its reads.
type tenantRequest struct {
	statements []string
	extended   bool
}

// tenantPair is a session through the sidecar, and one to Postgres itself that sends the same.
type tenantPair struct{ through, direct *pgx.Conn }

// comparingWhenAsked makes a sidecar that compares roles and memberships, which no event reports,
// only when it is told to: so a test can change something and change it back between two
// comparisons.
func comparingWhenAsked(_ *engine.Options, o *invalidation.FollowerOptions) { o.Verify = time.Hour }

// newRandomTenants starts a server with the tables, roles and sessions. If steady is set, the
// sidecar may not read pg_authid and is told that roles are steady; otherwise it may read there
// the versions of roles.
func newRandomTenants(t *testing.T, seed uint64, steady bool) *randomTenants {
	t.Helper()
	b := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{}), randomTenantSchema)
	if b.steadyRoles = steady; !steady {
		b.exec("GRANT SELECT ON pg_authid TO " + servers.Follower)
	}
	r := &randomTenants{testbed: b, t: t, random: rand.New(rand.NewPCG(seed, 7)), side: b.sidecar(patient, comparingWhenAsked)}
	if err := r.side.analyzer.SetFunctions([]analysis.Function{{Signature: "public.who()", Settings: []string{"app.who"}}}); err != nil {
		t.Fatal(err)
	}
	for i, condition := range []string{docConditions[0], docConditions[6], docConditions[7]} {
		r.change(fmt.Sprintf("CREATE POLICY p%d ON doc USING (%s)", i, condition)) // a change of the schema, so that the declaration of who() counts from now on
	}
	for range 4 {
		pair := tenantPair{b.connect(r.side.dsn() + " user=login"), b.connect(b.postgres.DSN(b.database) + " user=login")}
		r.sessions = append(r.sessions, pair)
	}
	r.super, r.counted = r.side.connect(), b.major() >= 15
	return r
}

// query is a random read.
func (r *randomTenants) query() string {
	switch *tenantFocus {
	case "views":
		return r.one(viewQueries...)
	case "inner":
		return r.one(tenantQueries[:2]...)
	}
	return r.one(tenantQueries...)
}

// one returns a random one of several texts.
func (r *randomTenants) one(of ...string) string { return of[r.random.IntN(len(of))] }

// change runs SQL at Postgres directly, and waits until the sidecar has received its events.
func (r *randomTenants) change(sql string) {
	r.t.Helper()
	r.run(r.direct, sql)
	r.side.received()
}

// run executes SQL, which may fail, and logs the SQL and its error.
func (r *randomTenants) run(conn *pgx.Conn, sql string) {
	r.t.Helper()
	r.log = append(r.log, sql)
	if _, err := conn.Exec(r.t.Context(), sql); err != nil {
		r.log = append(r.log, err.Error())
	}
}

// changeRoles changes roles or memberships, which no event reports: through the sidecar, which
// notices the command, or at Postgres directly, where a comparison has to find the change.
func (r *randomTenants) changeRoles(sql string) {
	r.t.Helper()
	if r.random.IntN(2) == 0 {
		r.run(r.super, sql)
		return
	}
	r.run(r.direct, sql)
	r.compareRoles()
}

// compareRoles has the sidecar compare roles and memberships, which no event reports.
func (r *randomTenants) compareRoles() {
	r.t.Helper()
	r.side.follower.Suspect()
	r.side.received()
}

// flushStatistics has Postgres publish at once what its statistics have counted, if it can.
func (r *randomTenants) flushStatistics() {
	r.t.Helper()
	if r.counted {
		r.run(r.direct, "SELECT pg_stat_force_next_flush()")
	}
}

// changeForAMoment gives a role BYPASSRLS or the owner's privileges, has a tenant read, and takes
// them away again before the sidecar has compared roles. The answers of that moment are not
// compared: the sidecar may still answer as before it. The requests behind it are.
func (r *randomTenants) changeForAMoment() {
	r.t.Helper()
	if r.steadyRoles && !r.counted {
		return
	}
	role := r.one("anna", "bert")
	give, take := "ALTER ROLE "+role+" BYPASSRLS", "ALTER ROLE "+role+" NOBYPASSRLS"
	if r.counted && r.random.IntN(2) == 0 {
		give, take = "GRANT keeper TO "+role, "REVOKE keeper FROM "+role
	}
	r.changeRoles(take)
	r.change("UPDATE doc SET body = body || '!'")
	r.run(r.direct, give)
	r.flushStatistics()
	p, q := r.sessions[r.random.IntN(len(r.sessions))], tenantRequest{statements: []string{"BEGIN", "SET LOCAL ROLE " + role, "SET LOCAL app.tenant = 'a'"}}
	for range 3 {
		q.statements = append(q.statements, r.query())
	}
	q.statements = append(q.statements, "COMMIT")
	r.log = append(r.log, "-- in that moment: "+strings.Join(q.statements, "; "))
	for _, sql := range q.statements {
		asked(p.direct, q.extended, sql)
		asked(p.through, q.extended, sql)
	}
	r.asked = append(r.asked, q)
	r.run(r.direct, take)
	r.flushStatistics()
	r.compareRoles()
}

// tenantChange makes a random change of a kind; kinds are the values of tenantFocus.
type tenantChange struct {
	kind string
	make func(*randomTenants)
}

// innerChanges concern the views that policies read. They are made besides tenantChanges, unless
// tenantFocus is another kind.
var innerChanges = []tenantChange{
	{"inner", (*randomTenants).addInnerPolicy}, {"inner", (*randomTenants).changeInnerView}, {"inner", (*randomTenants).changeInnerView}, {"inner", (*randomTenants).changeBelowView}, {"inner", (*randomTenants).changeBelowView},
}

// tenantChanges holds each change as often as it is to be made, compared with the others.
var tenantChanges = []tenantChange{
	{"policies", (*randomTenants).addPolicy}, {"policies", (*randomTenants).addPolicy}, {"policies", (*randomTenants).changePolicy}, {"policies", (*randomTenants).changeMemberPolicy}, {"security", (*randomTenants).changeSecurity},
	{"views", (*randomTenants).changeView},
	{"rows", (*randomTenants).changeDocs}, {"rows", (*randomTenants).changeDocs}, {"rows", (*randomTenants).changeMembers}, {"rows", (*randomTenants).changeMembers}, {"rows", (*randomTenants).changeSecrets},
	{"roles", (*randomTenants).changeAttributes}, {"roles", (*randomTenants).changeMemberships},
	{"moments", (*randomTenants).changeForAMoment},
}

// changeSomething makes one random change.
func (r *randomTenants) changeSomething() {
	r.t.Helper()
	changes := tenantChanges
	if *tenantFocus == "" || *tenantFocus == "inner" {
		changes = slices.Concat(changes, innerChanges)
	}
	for focused := r.random.IntN(2) == 0 && *tenantFocus != "" || *tenantFocus == "inner"; ; {
		if c := changes[r.random.IntN(len(changes))]; !focused || c.kind == *tenantFocus {
			c.make(r)
			return
		}
	}
}

// tenantPoliciesMax bounds the policies of doc: under many nobody is shown anything.
const tenantPoliciesMax = 3

func (r *randomTenants) addPolicy() {
	r.policies = (r.policies + 1) % tenantPoliciesMax
	r.change(fmt.Sprintf("DROP POLICY IF EXISTS p%[1]d ON doc; CREATE POLICY p%[1]d ON doc AS %[2]s FOR %[3]s TO %[4]s USING (%[5]s)", r.policies, r.one("PERMISSIVE", "PERMISSIVE", "PERMISSIVE", "RESTRICTIVE"), r.one("ALL", "SELECT"), r.one("PUBLIC", "PUBLIC", "anna", "bert"), r.one(docConditions...)))
}

// addInnerPolicy leaves doc with one policy, whose condition reads a view.
func (r *randomTenants) addInnerPolicy() {
	r.change(fmt.Sprintf("ALTER TABLE member OWNER TO bert; ALTER TABLE member ENABLE ROW LEVEL SECURITY; DROP POLICY IF EXISTS p0 ON doc; CREATE POLICY p0 ON doc USING (%s); DROP POLICY IF EXISTS p1 ON doc; DROP POLICY IF EXISTS p2 ON doc", r.one(innerConditions...)))
}

// changeInnerView changes the reader, the owner or the text of a view that policies read.
func (r *randomTenants) changeInnerView() {
	if view := r.one(innerViews...); r.random.IntN(3) > 0 {
		r.change("ALTER VIEW " + view + " " + r.one("SET (security_invoker)", "SET (security_invoker = off)", "RESET (security_invoker)", "OWNER TO anna", "OWNER TO bert", "OWNER TO seer"))
		return
	}
	r.change(r.one(
		"CREATE OR REPLACE VIEW my_grp AS SELECT grp FROM member WHERE who = current_user", "CREATE OR REPLACE VIEW my_grp AS SELECT grp FROM member WHERE who = current_setting('app.tenant', true)", "CREATE OR REPLACE VIEW my_grp AS SELECT grp FROM member", "CREATE OR REPLACE VIEW my_grp AS SELECT grp FROM member",
		"CREATE OR REPLACE VIEW open_grp AS SELECT grp FROM secret", "CREATE OR REPLACE VIEW open_grp AS SELECT grp FROM secret WHERE open", "CREATE OR REPLACE VIEW my_open_grp AS SELECT grp FROM open_grp"))
}

// changeBelowView changes the rows of the tables that the views of policies read, or a policy on
// one of these tables.
func (r *randomTenants) changeBelowView() {
	switch r.random.IntN(3) {
	case 0:
		r.changeMembers()
	case 1:
		r.changeSecrets()
	default:
		r.change("DROP POLICY IF EXISTS m ON member; CREATE POLICY m ON member USING (" + r.one("who = current_setting('app.who', true)", "who = current_setting('app.who', true)", "grp IN (SELECT grp FROM secret WHERE open)") + "); ALTER TABLE member ENABLE ROW LEVEL SECURITY")
	}
}

func (r *randomTenants) changePolicy() {
	policy := fmt.Sprintf("p%d", r.random.IntN(tenantPoliciesMax))
	r.change(r.one("ALTER POLICY "+policy+" ON doc USING ("+r.one(docConditions...)+")", "DROP POLICY IF EXISTS "+policy+" ON doc"))
}

func (r *randomTenants) changeMemberPolicy() {
	r.change("DROP POLICY IF EXISTS m ON member; CREATE POLICY m ON member USING (" + r.one(memberConditions...) + "); ALTER TABLE member " + r.one("ENABLE", "ENABLE", "DISABLE") + " ROW LEVEL SECURITY")
}

func (r *randomTenants) changeSecurity() {
	r.change("ALTER TABLE doc " + r.one("FORCE", "FORCE", "NO FORCE", "ENABLE", "ENABLE", "DISABLE") + " ROW LEVEL SECURITY")
}

func (r *randomTenants) changeView() {
	r.change("ALTER VIEW " + r.one(tenantViews...) + " " + r.one("SET (security_invoker)", "SET (security_invoker)", "RESET (security_invoker)", "OWNER TO keeper", "OWNER TO anna", "OWNER TO seer"))
}

func (r *randomTenants) changeDocs() {
	r.change(r.one("UPDATE doc SET body = body || '.', tenant = chr(97 + (ascii(tenant) - 96) % 3)", "UPDATE doc SET owner = 'anna'", "UPDATE doc SET grp = (grp + 1) % 4") + fmt.Sprintf(" WHERE id %% 4 = %d", r.random.IntN(4)))
}

func (r *randomTenants) changeMembers() {
	r.change(r.one("DELETE FROM member WHERE grp = 1", "INSERT INTO member VALUES (1, 'anna'), (1, 'b') ON CONFLICT DO NOTHING", "UPDATE member SET grp = (grp + 1) % 4 WHERE who = 'a' AND NOT EXISTS (SELECT FROM member o WHERE o.who = 'a' AND o.grp = (member.grp + 1) % 4)"))
}

func (r *randomTenants) changeSecrets() {
	r.change("UPDATE secret SET open = NOT open WHERE grp = " + r.one("0", "1", "2", "3"))
}

func (r *randomTenants) changeAttributes() {
	r.changeRoles("ALTER ROLE " + r.one("anna", "bert", "keeper") + " " + r.one("BYPASSRLS", "NOBYPASSRLS", "NOBYPASSRLS"))
}

func (r *randomTenants) changeMemberships() {
	r.changeRoles(r.one(r.one("GRANT keeper TO ", "REVOKE keeper FROM ", "REVOKE keeper FROM ")+r.one("anna", "bert"), "GRANT anna TO bert", "REVOKE anna FROM bert", "ALTER ROLE bert NOINHERIT", "ALTER ROLE bert INHERIT"))
}

// begin returns the statements by which a program begins a transaction for a tenant.
func (r *randomTenants) begin() []string {
	role, tenant, who := r.one("anna", "bert", "anna", "bert", "seer", "seer", "keeper", "keeper", "none"), r.one("a", "b", "c", ""), r.one("anna", "bert", "a", "b")
	if *tenantFocus == "inner" { // the views depend on the role, and the policies of their tables on app.who
		return []string{"BEGIN", "SET LOCAL ROLE " + r.one("anna", "bert"), "SET LOCAL app.who = '" + who + "'"}
	}
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

// request makes a random transaction of a random tenant, which repeats its last read, and a read
// behind the transaction.
func (r *randomTenants) request() tenantRequest {
	statements := r.begin()
	for range 3 {
		statements = append(statements, r.query())
	}
	statements = append(statements, statements[len(statements)-1], r.one("COMMIT", "ROLLBACK"), r.query())
	return tenantRequest{statements, r.random.IntN(2) == 0}
}

// play sends a request on both sessions of a random pair, and compares the answers.
func (r *randomTenants) play(q tenantRequest) {
	r.t.Helper()
	i := r.random.IntN(len(r.sessions))
	r.log = append(r.log, fmt.Sprintf("-- session %d, extended %v: %s", i, q.extended, strings.Join(q.statements, "; ")))
	for _, sql := range q.statements {
		want, got := asked(r.sessions[i].direct, q.extended, sql), asked(r.sessions[i].through, q.extended, sql)
		if got != want {
			// allFound looks for "the sidecar says" in this message.
			r.t.Fatalf("%s\n%s (extended %v):\n the sidecar says %s\n Postgres says    %s", strings.Join(r.log, "\n"), sql, q.extended, got, want)
		}
	}
}

// TestRandomTenantsAreAnsweredAsPostgresDoes changes policies, roles, rows and views at random.
// Behind each change, sessions of several tenants get the answers that Postgres gives them.
func TestRandomTenantsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	newRandomTenants(t, *tenantSeed, false).playAll()
}

// TestRandomTenantsOfSteadyRolesAreAnsweredAsPostgresDoes does the same with a sidecar that may not
// read pg_authid and whose operator says that roles are steady. Roles do change here: the sidecar
// finds that by the counters of Postgres' statistics.
func TestRandomTenantsOfSteadyRolesAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	newRandomTenants(t, *tenantSeed, true).playAll()
}

// playAll makes tenantSteps changes, and plays requests behind each.
func (r *randomTenants) playAll() {
	r.t.Helper()
	if *tenantFocus == "inner" {
		r.addInnerPolicy()
	}
	for range *tenantSteps {
		r.changeSomething()
		from := len(r.log)
		again := r.asked // a request from before the change is played again: its answers may be cached
		r.asked = nil
		for range 4 {
			r.asked = append(r.asked, r.request())
		}
		for _, q := range slices.Concat(again, r.asked) {
			r.play(q)
		}
		if len(r.log) > 400 {
			r.log = append(r.log[:0], r.log[from:]...)
		}
	}
	hits, misses := r.side.count(HitL1), r.side.count(Miss)
	r.t.Logf("%d hits, %d misses, %v", hits, misses, r.side.Report().Bypasses)
	if hits < uint64(*tenantSteps) {
		r.t.Errorf("%d hits and %d misses in %d steps, want a hit for each step at least: this test shows little; passed through: %v", hits, misses, *tenantSteps, r.side.Report().Bypasses)
	}
}

// tenantLeaks are planted mistakes by which a sidecar shows a reader the answer of another reader,
// or one from before a change.
var tenantLeaks = slices.Concat(anyLeaks, rowLeaks, securityLeaks, policyLeaks, roleLeaks, membershipLeaks, momentLeaks, countLeaks, readerLeaks, ownerLeaks, innerLeaks)

// anyLeaks are found whatever kind of changes is made; each of the lists below is found by changes
// of the kind that TestPlantedTenantLeaksAreFound gives for it.
var anyLeaks = []mutant.Named{
	{Name: "a setting is missing from the key", Edits: []mutant.Edit{{
		File: "sidecar/wire/keyedsettings.go", As: mutant.Statements,
		Old: "text = append(text, value...)",
		New: "text = append(text, value[:0]...)\n\t\t\ttext = append(text[:len(text)-4], 0, 0, 0, 0)",
	}}},
	{Name: "another role's entry is served", Edits: []mutant.Edit{{
		File: "sidecar/internal/probe/known.go", As: mutant.Condition,
		Old: "k.local != nil",
		New: "false",
	}}},
	{Name: "row security is taken to filter nobody", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Condition,
		Old: "!r.rowSecurity",
		New: "true",
	}}},
	{Name: "settings count as known behind a rollback to a savepoint", Edits: []mutant.Edit{{
		File: "sidecar/wire/keyedsettings.go", As: mutant.Condition,
		Old: "u.values.unknown || u.known.Base() == nil",
		New: "u.known.Base() == nil",
	}}},
}

var securityLeaks = []mutant.Named{
	{Name: "FORCE is ignored", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Condition,
		Old: "r.forced",
		New: "false",
	}}},
}

var rowLeaks = []mutant.Named{
	{Name: "a policy's table is missing from the tags", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Statements,
		Old: "oids = append(oids, relationsIn(p.condition, false)...)",
		New: "_ = p",
	}}},
}

var policyLeaks = []mutant.Named{
	{Name: "a verdict is kept when a policy has changed", Edits: []mutant.Edit{{
		File: "invalidation/look.go", As: mutant.Condition,
		Old: "len(text) >= n && text[:n] == fence.SchemaText && (len(text) == n || text[n] == '/')",
		New: "false",
	}}},
	{Name: "an entry is kept when a policy has changed", Edits: []mutant.Edit{{
		File: "invalidation/look.go", As: mutant.Statements,
		Old: "event.Tags[i] = fence.NewTag(text)",
		New: "event.Tags[i] = fence.NewTag(text)\n\t\tif isSchemaText(text) {\n\t\t\tevent.Tags[i] = fence.NewTag(\"nothing\")\n\t\t}",
	}}},
}

var roleLeaks = []mutant.Named{
	{Name: "BYPASSRLS, given or taken, is not noticed", Edits: []mutant.Edit{{
		File: "invalidation/roles.go", As: mutant.Statements,
		Old: "differing(before.roles, s.roles, changed)",
		New: "",
	}, {
		File: "invalidation/roles.go", As: mutant.Statements,
		Old: "differing(before.versions, s.versions, changed)",
		New: "",
	}}},
}

var membershipLeaks = []mutant.Named{
	{Name: "memberships are not compared", Edits: []mutant.Edit{{
		File: "invalidation/roles.go", As: mutant.Statements,
		Old: "differing(before.members, s.members, changed)",
		New: "s.counts = before.counts",
	}}},
}

var momentLeaks = []mutant.Named{
	{Name: "BYPASSRLS that was given for a moment is not noticed", Edits: []mutant.Edit{{
		File: "invalidation/audit.go", As: mutant.Statements,
		Old: "return versions, nil",
		New: "return \"\", nil",
	}}},
}

var countLeaks = []mutant.Named{
	{Name: "a membership that was given for a moment is not noticed", Edits: []mutant.Edit{{
		File: "invalidation/roles.go", As: mutant.Switching,
		Old: "QueryRow(ctx, silentSQL)",
		New: "QueryRow(ctx, map[bool]string{true: strings.Replace(silentSQL, roleCountsSQL, \"NULL\", 1), false: silentSQL}[mutantIs(\"a membership that was given for a moment is not noticed\")])",
	}}},
}

var readerLeaks = []mutant.Named{
	{Name: "a view's tables are taken to be read as the reader of the view", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Statements,
		Old: "reads = append(reads, securedRead{e.oid(\"relid\"), readAs(q, e), filtered[e]})",
		New: "reads = append(reads, securedRead{e.oid(\"relid\"), 0, false})",
	}}},
}

var ownerLeaks = []mutant.Named{
	{Name: "a view's tables are taken to be read as its owner despite security_invoker", Edits: []mutant.Edit{{
		File: "invalidation/analysis/rowsecurity.go", As: mutant.Statements,
		Old: "reads = append(reads, securedRead{e.oid(\"relid\"), readAs(q, e), filtered[e]})",
		New: `as := readAs(q, e)
			for _, view := range q.nodes("rtable") {
				if as == 0 && view.atom("relkind") == "v" {
					as = c.relation(view.oid("relid")).owner
				}
			}
			reads = append(reads, securedRead{e.oid("relid"), as, false})`,
	}}},
}

// innerLeaks concern the views that policies read. Which role reads the tables of such a view is
// checked by TestPoliciesThatReadViews of package analysis.
var innerLeaks = []mutant.Named{
	{Name: "the tables of a policy's views are missing from the tags", Edits: []mutant.Edit{{
		File: "invalidation/analysis/policyviews.go", As: mutant.Statements,
		Old: "policies = append(policies, fresh...)",
		New: "",
	}}},
}

// TestPlantedTenantLeaksAreFound has the random tenants find each of tenantLeaks, with a kind of
// changes and a seed whose first hundred changes show the leak.
func TestPlantedTenantLeaksAreFound(t *testing.T) {
	t.Parallel()
	for _, planted := range []struct {
		leaks []mutant.Named
		focus string
		seed  int
	}{
		{anyLeaks, "", 1}, {rowLeaks, "rows", 1}, {securityLeaks, "security", 10}, {policyLeaks, "policies", 26}, {roleLeaks, "roles", 1}, {membershipLeaks, "roles", 2},
		{momentLeaks, "moments", 1}, {countLeaks, "moments", 1}, {readerLeaks, "views", 3}, {ownerLeaks, "views", 1}, {innerLeaks, "inner", 1}, {policyLeaks, "inner", 1},
	} {
		allFound(t, planted.leaks, "TestRandomTenantsAreAnsweredAsPostgresDoes", "-tenant-steps", "100", "-tenant-focus", planted.focus, "-tenant-seed", fmt.Sprint(planted.seed))
	}
	allFound(t, countLeaks, "TestRandomTenantsOfSteadyRolesAreAnsweredAsPostgresDoes", "-tenant-steps", "100", "-tenant-focus", "moments")
}
