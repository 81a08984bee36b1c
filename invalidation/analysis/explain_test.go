package analysis

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// planNode is what we want to know of a node of EXPLAIN's plan.
type planNode struct {
	Schema   string     `json:"Schema"`
	Relation string     `json:"Relation Name"`
	Plans    []planNode `json:"Plans"`
}

func (p planNode) relations() []string {
	var out []string
	if p.Relation != "" {
		out = append(out, p.Schema+"."+p.Relation)
	}
	for _, child := range p.Plans {
		out = append(out, child.relations()...)
	}
	return out
}

// Every table that the planner says it will read is among those we found. (The
// reverse does not hold: it prunes partitions and joins.)
func TestExplainAgrees(t *testing.T) {
	b := setup(t)
	b.exec(t, `SET plan_cache_mode = force_generic_plan`)
	compared := 0
	for i, c := range golden {
		v := b.analyze(t, request(c.sql))
		if !v.Cacheable {
			continue
		}
		for _, name := range b.planned(t, fmt.Sprintf("s%d", i), c.sql, len(v.ParamTypes)) {
			compared++
			if !slices.Contains(v.Tables, b.rootName(t, name)) {
				t.Errorf("%s: the plan reads %s, the verdict names %v", c.sql, name, v.Tables)
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d tables compared", compared)
	}
}

func (b *bench) planned(t *testing.T, name, sql string, parameters int) []string {
	t.Helper()
	if _, err := b.conn.PgConn().Prepare(t.Context(), name, sql, nil); err != nil {
		t.Fatalf("prepare %s: %v", sql, err)
	}
	execute := "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE " + name
	if parameters > 0 {
		execute += "(" + strings.Repeat("NULL, ", parameters-1) + "NULL)"
	}
	var text string
	if err := b.conn.QueryRow(t.Context(), execute, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatalf("explain %s: %v", sql, err)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.relations()
}

// rootName gives the watched name that a table goes by.
func (b *bench) rootName(t *testing.T, name string) string {
	t.Helper()
	var oid uint32
	if err := b.conn.QueryRow(t.Context(), `SELECT $1::text::regclass::oid`, name).Scan(&oid); err != nil {
		t.Fatal(err)
	}
	table, ok := b.watch.Table(oid)
	if !ok {
		return name
	}
	return table.Name
}
