package run

import (
	"fmt"
	"testing"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// Shapes that are distrusted, found here or told by others, pass through until their list lacks them;
// too many of them mean every shape. What the configuration rules holds all the while.
func TestDistrustedShapesPassThroughUntilPurged(t *testing.T) {
	t.Parallel()
	var set *rules.Set
	configured := []rules.Rule{{Text: "SELECT c", Terms: rules.Terms{Never: true}}}
	var d distrusted
	d.begin(func(s *rules.Set) { set = s }, configured, true)
	want := func(when string, ids int, texts ...string) {
		t.Helper()
		if got := d.ids(); len(got) != ids {
			t.Errorf("%s: %q are distrusted, want %d shapes", when, got, ids)
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
	list := func(ids ...string) {
		found := []invalidation.Distrusted{}
		for _, id := range ids {
			found = append(found, invalidation.Distrusted{Shape: id})
		}
		d.listed(found)
	}
	a, b := rules.ShapeID("SELECT a"), rules.ShapeID("SELECT b")
	want("at first", 0)
	list(a)
	want("another sidecar's, or from before a restart", 1, "SELECT a")
	if !d.add(b) {
		t.Error("what is found is not to be told to others")
	}
	want("found", 2, "SELECT a", "SELECT b")
	d.configure(configured, true)
	want("loaded again", 2, "SELECT a", "SELECT b")
	list(b)
	want("the first is purged", 1, "SELECT b")
	list(b, invalidation.DistrustedAll)
	want("too many", 2, "SELECT a", "SELECT b", "SELECT z")
	d.configure(configured, false)
	want("switched off", 0)
	if d.add(a) {
		t.Error("what is logged alone is told to others")
	}
	d.configure(configured, true)
	want("switched on again", 2, "SELECT a", "SELECT b", "SELECT z")
	list()
	want("all is purged", 0)
}
