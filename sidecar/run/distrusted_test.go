package run

import (
	"fmt"
	"testing"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

func TestDistrusted(t *testing.T) {
	t.Parallel()
	var set *rules.Set
	configured := []rules.Rule{{Text: "SELECT c", Terms: rules.Terms{Never: true}}}
	var d distrusted
	d.begin(func(s *rules.Set) { set = s }, configured, true)
	want := func(when string, ids int, texts ...string) {
		t.Helper()
		if got := d.ids(); len(got) != ids {
			t.Errorf("%s: %q are distrusted", when, got)
		}
		found := []string{}
		for _, text := range []string{"SELECT a", "SELECT b", "SELECT z"} {
			if terms := set.For(text, nil); terms.Distrusted && terms.Never {
				found = append(found, text)
			}
		}
		if fmt.Sprint(found) != fmt.Sprint(texts) {
			t.Errorf("%s: %q pass through, want %q", when, found, texts)
		}
		if terms := set.For("SELECT c", nil); !terms.Never {
			t.Errorf("%s: the rules of the configuration do not hold", when)
		}
	}
	want("at first", 0)
	d.add("SELECT a", []uint32{1, 2})
	d.add("SELECT b", []uint32{3})
	want("found", 2, "SELECT a", "SELECT b")
	d.purged(invalidation.PurgeEvent{Roots: []uint32{4, 2}})
	want("a table of the first is purged", 1, "SELECT b")
	d.configure(configured, true)
	want("loaded again", 1, "SELECT b")
	d.purged(invalidation.PurgeEvent{All: true})
	want("all is purged", 0)
	for i := range distrustedMax + 1 {
		d.add(fmt.Sprintf("SELECT %d", i), []uint32{uint32(i)})
	}
	d.purged(invalidation.PurgeEvent{Roots: []uint32{0}})
	want("too many", distrustedMax, "SELECT a", "SELECT b", "SELECT z")
	d.configure(configured, false)
	want("switched off", 0)
	d.add("SELECT a", []uint32{1})
	want("found, and logged alone", 0)
}
