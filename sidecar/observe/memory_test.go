package observe

import (
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/digest"
)

// An answer is held until what it depends on changes; what changes elsewhere ends it for
// certain only in the worst world, unless it depends on the whole table.
func TestAnswersAreHeldUntilWhatTheyReadChanges(t *testing.T) {
	t.Parallel()
	const root = 7
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	row, table := fence.ValueTag(root, "id", "1"), fence.TableTag(root)
	for name, c := range map[string]struct {
		tag         fence.Tag
		change      func(m *memory)
		best, worst bool
	}{
		"nothing":         {row, func(*memory) {}, true, true},
		"its row":         {row, func(m *memory) { m.change(at(2), []change{{tags: []fence.Tag{row}}}) }, false, false},
		"its row, before": {row, func(m *memory) { m.change(at(0), []change{{tags: []fence.Tag{row}}}) }, true, true},
		"another row": {row, func(m *memory) {
			m.change(at(2), []change{{tags: []fence.Tag{fence.ValueTag(root, "id", "2"), table}}})
		}, true, true},
		"all rows":                      {row, func(m *memory) { m.change(at(2), []change{{tables: []uint32{root}}}) }, false, false},
		"rows of which nobody knows":    {row, func(m *memory) { m.change(at(2), []change{{classes: []fence.Class{row.Class()}, rows: 1}}) }, false, false},
		"definitions":                   {row, func(m *memory) { m.change(at(2), []change{{definitions: true}}) }, false, false},
		"elsewhere":                     {row, func(m *memory) { m.changeElsewhere(at(2), root) }, true, false},
		"elsewhere, and all is read":    {table, func(m *memory) { m.changeElsewhere(at(2), root) }, false, false},
		"elsewhere, of a table besides": {table, func(m *memory) { m.changeElsewhere(at(2), root+1) }, true, true},
	} {
		m := newMemory()
		key := digest.Of([]byte(name))
		m.load(key, [worlds]bool{}, at(1), []fence.Tag{c.tag}, []uint32{root}, 10)
		c.change(&m)
		if held := m.find(key); held != [worlds]bool{c.best, c.worst} {
			t.Errorf("%s: held in the best and worst world: %v, want %v, %v", name, held, c.best, c.worst)
		}
	}
}
