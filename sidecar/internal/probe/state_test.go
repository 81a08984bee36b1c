package probe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// stateOf asks Postgres as a probe does.
func stateOf(t *testing.T, conn *pgx.Conn, form Question, before *State) *State {
	t.Helper()
	query := form.query()
	results, err := conn.PgConn().Exec(t.Context(), string(query[protocol.HeaderLength:len(query)-1])).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		t.Fatalf("the probe gave %v, %v", results, err)
	}
	row := []byte{0, byte(len(results[0].Rows[0]))}
	for _, column := range results[0].Rows[0] {
		row = digest.AppendParts(row, [][]byte{column})
	}
	return ParseAnswer(row, before)
}

// TestProbeFindsWhatIsSet compares with what Postgres says of each setting alone.
func TestProbeFindsWhatIsSet(t *testing.T) {
	t.Parallel()
	conn := connect(t, installed(t, servers.SharedPostgres(t), itemSchema))
	odd := []string{"", " ", "NULL", "null", `"`, `\`, `\"`, ",", "{", "}", `{"a",b}`, "\x01", "grüße\n", strings.Repeat("x", 500)}
	seen := map[digest.Digest]string{}
	for _, value := range odd {
		// A search path takes any text, as the name of a schema that need not be.
		if _, err := conn.Exec(t.Context(), "SELECT set_config('freshet.after', $1, false), set_config('lc_messages', 'C', false), set_config('search_path', quote_ident($1) || ', public', false)", value); err != nil {
			t.Fatal(err)
		}
		state := stateOf(t, conn, Question{Server: true}, nil)
		if state == nil {
			t.Fatalf("with %q the probe is not understood", value)
		}
		values := valuesOf(t, state)
		for _, name := range askedSettings {
			var want *string
			if err := conn.QueryRow(t.Context(), "SELECT current_setting($1, true)", name).Scan(&want); err != nil {
				t.Fatal(err)
			}
			got := values[name]
			if (want == nil) != (got == nil) || want != nil && *want != string(got) {
				t.Errorf("with %q, %s is %q, want %v", value, name, got, want)
			}
		}
		if again := stateOf(t, conn, Question{}, state); again == nil || again.ID != state.ID || again.Incarnation != state.Incarnation || again.Incarnation == "" {
			t.Errorf("with %.9q the next probe found another state", value)
		}
		seen[state.ID] = value
	}
	if len(seen) != 1 {
		t.Errorf("schemas that do not exist gave %d different keys, want 1: %v", len(seen), seen)
	}
}

// valuesOf are the settings that a probe found.
func valuesOf(t *testing.T, state *State) map[string][]byte {
	t.Helper()
	columns, ok := protocol.DataRow(append([]byte{0, columnsFound}, state.found...))
	if !ok {
		t.Fatalf("the probe found %q", state.found)
	}
	values, ok := parseValues(askedSettings, columns[columnSettings])
	if !ok {
		t.Fatalf("Postgres printed %q", columns[columnSettings])
	}
	return values
}

// printedArray is an array of texts as Postgres prints it.
func printedArray(parts [][]byte) []byte {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = "NULL"
		if part != nil {
			texts[i] = `"` + string(part) + `"`
		}
	}
	return []byte("{" + strings.Join(texts, ",") + "}")
}

// TestEachKeyedPartIsInTheKey changes one at a time of what a probe finds.
func TestEachKeyedPartIsInTheKey(t *testing.T) {
	t.Parallel()
	found, start := make([][]byte, len(askedSettings)), make([][]byte, len(settings.AtStart))
	row := make([][]byte, probeColumns)
	state := func() *State {
		t.Helper()
		row[columnSettings], row[columnStart] = printedArray(found), printedArray(start)
		s := ParseAnswer(digest.AppendParts([]byte{0, probeColumns}, row), nil)
		if s == nil {
			t.Fatal("the probe is not understood")
		}
		return s
	}
	for i := range found {
		found[i] = []byte("same")
	}
	for _, i := range []int{columnUser, columnSessionUser, columnRole, columnIncarnation, columnDatabase} {
		row[i] = []byte("same")
	}
	row[columnSearchPath] = []byte("{same}")
	first := state()
	for i, name := range askedSettings {
		for _, other := range [][]byte{nil, []byte("other"), {}} {
			found[i] = other
			if changed := state().ID != first.ID; changed != slices.Contains(settings.Keyed, name) {
				t.Errorf("%s as %q: the key changes: %v", name, other, changed)
			}
		}
		found[i] = []byte("same")
	}
	for _, i := range []int{columnUser, columnSessionUser, columnRole, columnDatabase, columnSearchPath} {
		before := row[i]
		row[i] = []byte("{other}")
		if other := state(); other.ID == first.ID || other.Names == first.Names {
			t.Errorf("column %d is not in the key, or not in what names mean", i)
		}
		row[i] = before
	}
	row[columnUser], row[columnSessionUser] = []byte("sam"), []byte("esame")
	if state().ID == first.ID {
		t.Error("texts divided otherwise give the same key")
	}
}

// TestProbeIsDeafToTheClientsSchema: what a client puts before Postgres' own names
// in its search path must not tell of another role or other settings.
func TestProbeIsDeafToTheClientsSchema(t *testing.T) {
	t.Parallel()
	conn := connect(t, installed(t, servers.SharedPostgres(t), itemSchema+`
CREATE SCHEMA evil;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (VALUE <> 'UTC');
CREATE DOMAIN evil.bool AS pg_catalog.bool;
CREATE VIEW evil.pg_roles AS SELECT 1::oid AS oid, current_user AS rolname, true AS rolsuper, true AS rolbypassrls;
-- What is named in the probe or behind one of its operators and casts.
CREATE FUNCTION evil.current_setting(pg_catalog.text, boolean) RETURNS pg_catalog.text LANGUAGE sql RETURN 'a lie';
CREATE FUNCTION evil.current_database() RETURNS pg_catalog.name LANGUAGE sql RETURN 'a lie';
CREATE FUNCTION evil.concat(pg_catalog.oid, pg_catalog.text, boolean) RETURNS pg_catalog.text LANGUAGE sql RETURN '1 t';
CREATE FUNCTION evil.string_to_table(pg_catalog.text, pg_catalog.text) RETURNS SETOF pg_catalog.text LANGUAGE sql RETURN $1;
CREATE FUNCTION evil.quote_ident(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql RETURN 'pg_monitor'::pg_catalog.text;
CREATE DOMAIN evil.regrole AS pg_catalog.text;
CREATE DOMAIN evil.oid AS pg_catalog.int4;
CREATE FUNCTION evil.current_schemas(boolean) RETURNS pg_catalog.name[] LANGUAGE sql RETURN '{a lie}'::pg_catalog.name[];
CREATE FUNCTION evil.never(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE sql RETURN false;
CREATE OPERATOR evil.!~~* (FUNCTION = evil.never, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
CREATE FUNCTION evil.always(pg_catalog.name, pg_catalog.name) RETURNS boolean LANGUAGE sql RETURN true;
CREATE OPERATOR evil.= (FUNCTION = evil.always, LEFTARG = pg_catalog.name, RIGHTARG = pg_catalog.name);`))
	everything := Question{Server: true, Start: true, Role: true, Names: true, Cursors: true}
	execute(t, conn, "SET search_path = pg_catalog, evil")
	honest := stateOf(t, conn, everything, nil)
	execute(t, conn, "CREATE TEMP TABLE mine ()")
	execute(t, conn, "SET search_path = evil, pg_catalog")
	got := stateOf(t, conn, everything, nil)
	switch {
	case honest == nil || got == nil:
		t.Fatal("the probe is not understood")
	case got.Reason != reasons.Temporary:
		t.Errorf("the temporary schema is not seen: %q", got.Reason)
	case got.Role != honest.Role || got.Incarnation != honest.Incarnation:
		t.Errorf("role %d of %s, want %d of %s", got.Role, got.Incarnation, honest.Role, honest.Incarnation)
	case fmt.Sprint(got.Settings) != fmt.Sprint(honest.Settings):
		t.Errorf("settings %v, want %v", got.Settings, honest.Settings)
	}
	schemas := slices.DeleteFunc(slices.Clone(got.SearchPath), func(name string) bool { return strings.HasPrefix(name, "pg_temp") })
	if !slices.Equal(schemas, []string{"evil", "pg_catalog"}) {
		t.Errorf("search path %q", got.SearchPath)
	}
	columns, ok := protocol.DataRow(append([]byte{0, columnsFound}, got.found...))
	if !ok || got.Database != conn.Config().Database || string(columns[columnUser]) != "postgres" {
		t.Errorf("the probe tells of %q in %q", columns, got.Database)
	}
}

func TestParseIdleMax(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "": 0, "500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "5min": 5 * time.Minute, "2h": 2 * time.Hour, "1d": 24 * time.Hour, "soon": 0,
	} {
		if got := parseIdleMax(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
