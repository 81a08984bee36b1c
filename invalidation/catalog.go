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
var catalogSQL = strings.Replace(catalogTemplate, "{{supported}}", supportedSQL, 1)

// catalog is what Postgres' catalogs say about everything of ours, at one
// snapshot.
type catalog struct {
	Relations []catalogRelation
	Inherits  []struct{ Child, Parent uint32 }
	Triggers  []catalogTrigger
	Functions []catalogFunction
	Events    []catalogEvent
	Suspended bool     // Suspend was called, and Resume was not
	Secured   bool     // some table has row security
	Tables    []string // name, pg_class.relpersistence, and whether a sequence fills a column
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
}

// functionsIn finds the functions in our SQL files, by name.
func functionsIn(files ...string) map[string]fixedFunction {
	form := regexp.MustCompile(`(?s)CREATE OR REPLACE FUNCTION freshet\.(\w+)\(([^$]*)\$freshet\$(.*?)\$freshet\$`)
	functions := map[string]fixedFunction{}
	for _, file := range files {
		for _, found := range form.FindAllStringSubmatch(file, -1) {
			f := fixedFunction{source: md5Hex(found[3])}
			if strings.Contains(found[2], "SET search_path") {
				f.settings = []string{functionSearchPath}
			}
			functions[found[1]] = f
		}
	}
	return functions
}

// fixedFunctions are those of the base and event files, by name.
var fixedFunctions = functionsIn(baseSQL, eventsSQL)

// fixedTables are those that the base file makes, and its one sequence, logged or
// not, none with a sequence of its own.
var fixedTables = []string{"fingerprint p", "given_up p", "incarnation u", "incarnation_logged p", "outbox p", "trim p"}

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
			problems = append(problems, "table freshet."+table[:len(table)-2]+" is missing or not of this version")
		}
	}
	for name, want := range fixedFunctions {
		if f, ok := byName[name]; !ok || f.Source != want.source || !slices.Equal(f.Settings, want.settings) {
			problems = append(problems, "function freshet."+name+" is missing or not of this version")
		}
	}
	for _, want := range fixedEvents {
		if !c.eventInPlace(want.name, want.event, byName[want.function].OID, want.tag) {
			problems = append(problems, "event trigger "+want.name+" is missing, disabled or changed")
		}
	}
	slices.Sort(problems)
	return problems
}

func (c *catalog) eventInPlace(name, event string, function uint32, tag string) bool {
	for _, e := range c.Events {
		if e.Name == name {
			return e.Event == event && e.Enabled == "A" && e.Function == function && strings.Join(e.Tags, ",") == tag
		}
	}
	return false
}
