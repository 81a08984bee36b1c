package invalidation

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

//go:embed schema/catalog.sql
var catalogTemplate string

//go:embed schema/supported.sql
var supportedSQL string

// catalogSQL reads what is installed.
var catalogSQL = strings.ReplaceAll(catalogTemplate, "{{supported}}", supportedSQL)

// catalog is what Postgres' catalogs say about everything of ours, at one
// snapshot.
type catalog struct {
	Relations []catalogRelation
	Inherits  []struct{ Child, Parent uint32 }
	Triggers  []catalogTrigger
	Functions []catalogFunction
	Events    []catalogEvent
	Silenced  bool // event triggers are switched off for somebody
	Suspended bool // Suspend was called, and Resume was not
	Secured   bool // some table has row security
	Tables    []catalogTable
	Published []string // publications that contain tables of ours
	Unable    []string // owners of functions of ours who may not write events
}

// catalogTable is a relation of schema freshet.
type catalogTable struct {
	Name        string
	Kind        string // pg_class.relkind
	Persistence string
	Shape       string // columns, constraints, and what may keep a row out
}

type catalogRelation struct {
	OID         uint32
	Schema      string
	Name        string
	Kind        string // pg_class.relkind
	Persistence string
	Subscribed  bool
}

type catalogTrigger struct {
	Table       uint32
	Name        string
	Type        int16
	Enabled     string
	Old, New    string
	Conditional bool
	Arguments   string // hex of pg_trigger.tgargs
	Function    uint32
	Columns     []string // those of the arguments that are columns of a supported type
	Types       []uint32 // of Columns
	Present     []string // those of the arguments that are columns
}

type catalogFunction struct {
	OID      uint32
	Name     string
	Source   string // MD5 of the body
	Definer  bool
	Settings []string
}

type catalogEvent struct {
	Name     string
	Event    string
	Function uint32
	Enabled  string
	Tags     []string
}

// readCatalog returns the text of what is installed, for comparing and for
// parseCatalog, and the snapshot at which it was so.
func readCatalog(ctx context.Context, conn *pgx.Conn) (text string, at fence.Snapshot, err error) {
	var snapshot string
	if err := conn.QueryRow(ctx, catalogSQL).Scan(&snapshot, &text); err != nil {
		return "", fence.Snapshot{}, fmt.Errorf("read what is installed: %w", err)
	}
	at, err = fence.ParseSnapshot(snapshot)
	return text, at, err
}

func parseCatalog(text string) (*catalog, error) {
	c := &catalog{}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		return nil, fmt.Errorf("read what is installed: %w", err)
	}
	return c, nil
}

// columns splits the zero-terminated arguments.
func (t catalogTrigger) columns() []string {
	raw, err := hex.DecodeString(t.Arguments)
	if err != nil || len(raw) == 0 {
		return nil
	}
	parts := bytes.Split(bytes.TrimSuffix(raw, []byte{0}), []byte{0})
	columns := make([]string, len(parts))
	for i, p := range parts {
		columns[i] = string(p)
	}
	return columns
}

// fixedFunction is a function as our SQL files make it.
type fixedFunction struct {
	source   string // MD5 of its body
	settings []string
	definer  bool
}

// functionsIn finds the functions in our SQL files, by name.
func functionsIn(files ...string) map[string]fixedFunction {
	form := regexp.MustCompile(`(?s)CREATE OR REPLACE FUNCTION freshet\.(\w+)\(([^$]*)\$freshet\$(.*?)\$freshet\$`)
	functions := map[string]fixedFunction{}
	for _, file := range files {
		for _, found := range form.FindAllStringSubmatch(file, -1) {
			f := fixedFunction{source: md5Hex(found[3]), definer: strings.Contains(found[2], "SECURITY DEFINER")}
			if strings.Contains(found[2], "SET search_path") {
				f.settings = []string{functionSearchPath}
			}
			functions[found[1]] = f
		}
	}
	return functions
}

// fixedFunctions are those of the base, event, touch, purge and statistics files, by name.
var fixedFunctions = functionsIn(baseSQL, eventsSQL, touchSQL, purgeSQL, statisticsSQL)

// fixedTables are those that the base file makes, and its one sequence.
var fixedTables = []catalogTable{
	{"distrusted", "r", "p", "roots _oid not null, shape text not null; p"},
	{"fingerprint", "r", "p", "reader oid not null, value text not null; p"},
	{"given_up", "S", "p", "is_called bool not null, last_value int8 not null, log_cnt int8 not null; 0 indexes"},
	{"incarnation", "r", "u", "one bool not null, token text not null; cp"},
	{"incarnation_logged", "r", "p", "one bool not null, token text not null; cp"},
	{"outbox", "r", "p", "tags _text not null, written pg_lsn not null = pg_current_wal_insert_lsn(), xid xid8 not null = pg_current_xact_id(); p"},
	{"trim", "r", "p", "attended_at timestamptz not null, bytes_max int8 not null, candidate pg_snapshot not null, candidate_at timestamptz not null, incarnation text, mark pg_snapshot not null, marked_at timestamptz not null, one bool not null, patience interval not null, returned int8 not null; cp"},
}

// trimBefore is the shape of freshet.trim in earlier versions.
const trimBefore = "candidate pg_snapshot not null, candidate_at timestamptz not null, incarnation text, mark pg_snapshot not null, one bool not null; cp"

// fixedEvents are the event triggers: their events, functions and filters.
var fixedEvents = []struct{ name, event, function, tag string }{
	{"freshet_ddl_start", "ddl_command_start", "on_ddl_start", "ALTER TABLE"},
	{"freshet_ddl_end", "ddl_command_end", "on_ddl_end", ""},
	{"freshet_drop", "sql_drop", "on_drop", ""},
}

// functionSearchPath is what every function of ours must run under.
const functionSearchPath = "search_path=pg_catalog, pg_temp"

// baseProblems says what is wrong with the parts that all tables share.
func (c *catalog) baseProblems() []string {
	if c.Suspended {
		return []string{errSuspended.Error()}
	}
	var problems []string
	byName := map[string]catalogFunction{}
	for _, f := range c.Functions {
		byName[f.Name] = f
	}
	for _, table := range fixedTables {
		if !slices.Contains(c.Tables, table) {
			problems = append(problems, "table freshet."+table.Name+" is missing, changed or of another version; install again")
		}
	}
	for name, want := range fixedFunctions {
		f, ok := byName[name]
		if !ok || f.Source != want.source || f.Definer != want.definer || !slices.Equal(f.Settings, want.settings) {
			problems = append(problems, "function freshet."+name+" is missing, changed or of another version; install again")
		}
	}
	for _, role := range c.Unable {
		problems = append(problems, fmt.Sprintf("role %s, as which triggers run, may not write events; install again", role))
	}
	slices.Sort(problems)
	return problems
}

// eventProblems says which event triggers are not as they should be.
func (c *catalog) eventProblems() []string {
	functions := map[string]uint32{}
	for _, f := range c.Functions {
		functions[f.Name] = f.OID
	}
	var problems []string
	for _, want := range fixedEvents {
		if !c.eventInPlace(want.name, want.event, functions[want.function], want.tag) {
			problems = append(problems, "event trigger "+want.name+" is missing, disabled or changed; install again")
		}
	}
	return problems
}

// unreported says why changes of the schema are not reported; empty if they are.
func (c *catalog) unreported() string {
	problems := c.eventProblems()
	switch {
	case len(problems) > 0:
		return problems[0] + " as a superuser, or as a role that may create event triggers"
	case c.Silenced:
		return "event triggers are switched off by the setting event_triggers; set it to on, for all databases and roles"
	}
	return ""
}

// strangers says how to remove what stands in the place of our tables: they were
// altered, or are something else of that name. A table of an earlier version is
// none, the base file converts it, and one that a crash would empty, or would not,
// is repaired by it.
func (c *catalog) strangers() string {
	var sql strings.Builder
	for _, found := range c.Tables {
		i := slices.IndexFunc(fixedTables, func(t catalogTable) bool { return t.Name == found.Name })
		if i < 0 || found.Kind == fixedTables[i].Kind && (found.Shape == fixedTables[i].Shape ||
			found.Shape == trimBefore || strings.Contains(found.Shape, " identity")) {
			continue
		}
		kind, ok := map[string]string{"v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE", "S": "SEQUENCE", "c": "TYPE"}[found.Kind]
		if !ok {
			kind = "TABLE"
		}
		fmt.Fprintf(&sql, "DROP %s IF EXISTS %s CASCADE;\n", kind, qualified("freshet", found.Name))
	}
	return sql.String()
}

func (c *catalog) eventInPlace(name, event string, function uint32, tag string) bool {
	for _, e := range c.Events {
		if e.Name == name {
			return e.Event == event && e.Enabled == "A" && e.Function == function && strings.Join(e.Tags, ",") == tag
		}
	}
	return false
}
