package invalidation

import (
	"testing"

	"github.com/freshet/freshet/cache/fence"
)

func TestKindsOfEvents(t *testing.T) {
	t.Parallel()
	const table = 7
	for _, c := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"a row", []string{fence.TableText(table), fence.ValueText(table, "id", "1")}, "row"},
		{"a row with a value that looks like all of them", []string{fence.TableText(table), fence.ValueText(table, "path", "a/*")}, "row"},
		{"TRUNCATE", []string{fence.TableText(table), fence.WholesaleText(table)}, "table"},
		{"a table of which no column is watched", []string{fence.TableText(table)}, "table"},
		{"a definition", []string{fence.SchemaText}, "schema"},
		{"the definition of one table", []string{fence.RelationSchemaText(table), fence.TableText(table)}, "schema"},
		{"a role", []string{fence.RoleText(table), fence.RolesText}, "schema"},
		{"freshet.touch", []string{fence.OwnText("rates")}, "own"},
		{"freshet.touch of many", []string{fence.OwnWholesaleText}, "own"},
	} {
		if got := kindOfEvent(c.texts).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
