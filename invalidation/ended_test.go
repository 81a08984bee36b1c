package invalidation

import (
	"testing"

	"github.com/freshet/freshet/cache/fence"
)

func TestWhatHasEndedAnAnswer(t *testing.T) {
	t.Parallel()
	s := &State{byOID: map[uint32]Table{7: {OID: 7, Root: 7, Columns: []string{"id"}}, 8: {OID: 8, Root: 8, Columns: []string{"id"}}}}
	row := []fence.Tag{fence.ValueTag(7, "id", "1"), fence.WholesaleTag(7), fence.NewTag(fence.SchemaText)}
	own := []fence.Tag{fence.OwnTag("rates"), fence.OwnWholesaleTag}
	for _, c := range []struct {
		name  string
		moved fence.Tag
		tags  []fence.Tag
		kind  string
		root  uint32
	}{
		{"a row", row[0], row, "row", 7},
		{"TRUNCATE", row[1], row, "table", 7},
		{"a table", fence.TableTag(8), []fence.Tag{fence.TableTag(8)}, "table", 8},
		{"a definition", fence.RelationSchemaTag(8), row, "schema", 8},
		{"all definitions", row[2], row, "schema", 0},
		{"a role", fence.RoleTag(7), append([]fence.Tag{fence.RoleTag(7)}, row...), "schema", 0},
		{"whatever role", fence.RolesTag, append([]fence.Tag{fence.RolesTag}, row...), "schema", 0},
		{"freshet.touch", own[0], own, "own", 0},
		{"all that was known", 0, row, "reset", 0},
		{"a table that is not watched any more", fence.ValueTag(9, "id", "1"), []fence.Tag{fence.ValueTag(9, "id", "1"), fence.WholesaleTag(9)}, "row", 0},
	} {
		if got := s.meanings().of(c.moved, c.tags); got.kind.String() != c.kind || got.root != c.root {
			t.Errorf("%s: %v of %d, want %s of %d", c.name, got.kind, got.root, c.kind, c.root)
		}
	}
}
