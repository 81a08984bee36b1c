package analysis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestPoliciesThatFilter: of what row security filters, the tables that policies read are tags
// and the settings that they ask for are named; what is not understood is refused.
func TestPoliciesThatFilter(t *testing.T) {
	s := setupSecured(t)
	tenant := s.role("tenant", "")
	s.exec(t, `
		CREATE FUNCTION uid() RETURNS int8 STABLE LANGUAGE sql AS $$ SELECT current_setting('app.uid', true)::int8 $$;
		CREATE FUNCTION undeclared() RETURNS int8 STABLE LANGUAGE sql AS $$ SELECT 1::int8 $$;
		CREATE VIEW active AS SELECT id FROM users WHERE active;
		CREATE TABLE teams (id int PRIMARY KEY, uid int8); ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON teams USING (uid = (current_setting('app.uid', true))::int8);
		CREATE TABLE letters (id int PRIMARY KEY, reader int8, tenant text, at date); ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
		CREATE VIEW v_tenant AS SELECT * FROM letters; ALTER VIEW v_tenant OWNER TO `+tenant+`;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC`)
	if err := s.analyzer.SetFunctions([]Function{{Signature: "public.uid()", Settings: []string{"App.uid"}}}); err != nil {
		t.Fatal(err)
	}
	s.watchAll()
	analyse := func(sql string, keyed bool) *Verdict {
		t.Helper()
		r := request(sql)
		r.Role, r.Keyed = s.roles[tenant], keyed
		return s.analyze(t, r)
	}
	for _, c := range []struct{ condition, want, settings string }{
		{"tenant = current_setting('App.Tenant')", "letters", "app.tenant"},
		{"tenant = current_setting('app.tenant', true) AND reader::text = current_setting('app.user', true)", "letters", "app.tenant app.user"},
		{"tenant = current_user OR tenant = session_user", "letters", ""},
		{"at < date '2024-01-01'", "letters", ""},
		{"reader IN (SELECT u.id FROM users u WHERE u.active)", "letters users", ""},
		{"EXISTS (SELECT FROM teams)", "letters teams", "app.uid"},
		{"reader = (SELECT uid())", "letters", "app.uid"},
		{"reader = undeclared()", "no: user_function", ""},
		{"reader IN (SELECT id FROM active)", "letters users", ""},
		{"random() < 1", "no: volatile_function", ""},
		{"at < current_date", "no: clock", ""},
		{"tenant = current_setting('app.' || 'tenant')", "no: setting_dependent", ""},
		{"tenant = current_setting('search_path')", "no: setting_dependent", ""},
		{"tenant = current_setting('plpgsql.check_asserts')", "no: setting_dependent", ""},
		{"id IN (SELECT id FROM unwatched)", "no: unwatched_table", ""},
		{"ctid IS NOT NULL", "no: system_column", ""},
	} {
		s.exec(t, "DROP POLICY IF EXISTS p ON letters; CREATE POLICY p ON letters FOR SELECT USING ("+c.condition+"); DROP POLICY IF EXISTS written ON letters; CREATE POLICY written ON letters FOR INSERT WITH CHECK (random() < 1)")
		s.watchAll()
		delete(s.watch.tables, s.watch.roots["public.unwatched"])
		for _, from := range []string{"letters", "v_tenant"} {
			v := analyse("SELECT id FROM "+from, true)
			if got := s.show(v); got != c.want || strings.Join(v.Settings, " ") != c.settings {
				t.Errorf("%s, from %s: %s [%s], settings %q, want %s, %q", c.condition, from, got, v.Detail, v.Settings, c.want, c.settings)
			}
			if v.Cacheable && !slices.Equal(v.Filtered, []string{"public.letters"}) && c.settings != "app.uid" {
				t.Errorf("%s: filtered are %q", c.condition, v.Filtered)
			}
			if v := analyse("SELECT id FROM "+from, false); v.Cacheable {
				t.Errorf("%s: cacheable though nobody keys it", c.condition)
			}
		}
	}
}

// Of views that policies read the tables are tags and the settings are named, as of statements that
// read them: as the view's owner, or with security_invoker as the client's role.
func TestPoliciesThatReadViews(t *testing.T) {
	for _, wrong := range misreadPolicyViews(t, setupSecured(t)) {
		t.Error(wrong)
	}
}

// misreadPolicyViews says of which views in policies, and for which readers, the analysis has other
// tables or settings than it must.
func misreadPolicyViews(t *testing.T, s *secured) (wrong []string) {
	tenant, owner, plain := s.role("tenant", ""), s.role("owner", ""), s.role("plain", "")
	s.exec(t, `
		CREATE TABLE letters (id int PRIMARY KEY, reader int8); ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
		CREATE TABLE teams (id int8, uid int8); ALTER TABLE teams ENABLE ROW LEVEL SECURITY; ALTER TABLE teams OWNER TO `+owner+`;
		CREATE POLICY own ON teams USING (uid::text = current_setting('app.uid', true));
		CREATE VIEW active AS SELECT id FROM users WHERE active AND name = current_setting('app.name', true);
		CREATE VIEW above AS SELECT a.id FROM active a JOIN orders o ON o.user_id = a.id;
		CREATE VIEW spared AS SELECT id FROM teams; ALTER VIEW spared OWNER TO `+owner+`;
		CREATE VIEW filtered AS SELECT id FROM teams; ALTER VIEW filtered OWNER TO `+plain+`;
		CREATE VIEW above_spared AS SELECT id FROM spared; ALTER VIEW above_spared OWNER TO `+plain+`;
		CREATE VIEW of_mv AS SELECT * FROM mv; CREATE VIEW late AS SELECT id FROM users WHERE at < now(); CREATE VIEW elsewhere AS SELECT id FROM unwatched;
		CREATE VIEW locks AS SELECT id FROM users FOR SHARE; CREATE VIEW types AS SELECT oid::int8 AS id FROM pg_type;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC`)
	cases := []struct{ view, want, settings string }{
		{"active", "letters users", "app.name"},
		{"above", "letters orders users", "app.name"},
		{"spared", "letters teams", ""},
		{"filtered", "letters teams", "app.uid"},
		{"above_spared", "letters teams", ""},
		{"late", "no: clock", ""},
		{"elsewhere", "no: unwatched_table", ""},
		{"locks", "no: row_locks", ""},
		{"types", "no: catalog_table", ""},
		{"of_mv", "no: materialized_view", ""},
	}
	if s.major >= 15 {
		s.exec(t, `CREATE VIEW invoker WITH (security_invoker) AS SELECT id FROM teams; ALTER VIEW invoker OWNER TO `+owner+`; GRANT SELECT ON invoker TO PUBLIC;
			CREATE VIEW above_invoker AS SELECT id FROM invoker; ALTER VIEW above_invoker OWNER TO `+owner+`; GRANT SELECT ON above_invoker TO PUBLIC`)
		cases = append(cases, []struct{ view, want, settings string }{{"invoker", "letters teams", "app.uid"}, {"above_invoker", "letters teams", "app.uid"}}...)
	}
	for _, c := range cases {
		column := "id"
		if c.view == "of_mv" {
			column = "1"
		}
		s.exec(t, "DROP POLICY IF EXISTS p ON letters; CREATE POLICY p ON letters USING (reader IN (SELECT "+column+" FROM "+c.view+"))")
		s.watchAll()
		delete(s.watch.tables, s.watch.roots["public.unwatched"])
		// Whom the inner table's policies spare is spared in views of theirs alone, and those with security_invoker.
		settings := map[string]string{tenant: c.settings, owner: c.settings}
		if strings.HasSuffix(c.view, "invoker") {
			settings[owner] = ""
		}
		for reader, settings := range settings {
			r := request("SELECT id FROM letters")
			r.Role, r.Keyed = s.roles[reader], true
			if v := s.analyze(t, r); s.show(v) != c.want || strings.Join(v.Settings, " ") != settings {
				wrong = append(wrong, fmt.Sprintf("%s, read as %s: %s [%s], settings %q, want %s, %q", c.view, reader, s.show(v), v.Detail, v.Settings, c.want, settings))
			}
		}
	}
	return wrong
}

// A statement may ask for a setting of the application's own itself. Those that ask for
// another one share no verdict with it.
func TestSettingsThatAreKeyed(t *testing.T) {
	b := setup(t)
	keyed := func(sql string) *Verdict {
		r := request(sql)
		r.Keyed = true
		return b.analyze(t, r)
	}
	v := keyed("SELECT nullif(current_setting('response.headers', true), ''), id FROM users WHERE id = 1")
	if !v.Cacheable || !slices.Equal(v.Settings, []string{"response.headers"}) {
		t.Fatalf("%s [%s], settings %q", b.show(v), v.Detail, v.Settings)
	}
	for sql, covered := range map[string]bool{
		"SELECT nullif(current_setting('response.headers', true), ''), id FROM users WHERE id = 2": true,
		"SELECT nullif(current_setting('response.status', true), ''), id FROM users WHERE id = 1":  false,
	} {
		if template, ok := NewTemplate(sql, true); !ok || v.Covers(template) != covered {
			t.Errorf("%s: covered %v", sql, !covered)
		}
	}
	for _, sql := range []string{"SELECT current_setting('TimeZone')", "SELECT current_setting($1, true)", "SELECT current_setting(name) FROM users", "SELECT set_config('app.x', '1', true)"} {
		if v := keyed(sql); v.Cacheable {
			t.Errorf("%s is cacheable", sql)
		}
	}
}
