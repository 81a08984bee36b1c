package dashboard

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// The course of a statement begins with the second reading that has it, joins the shapes of one
// text, is never negative, is cut to five minutes, and ends when it leaves the list.
func TestRecentShapes(t *testing.T) {
	t.Parallel()
	r := &recent{}
	at := time.Unix(1_800_000_000, 0)
	add := func(shapes ...Shape) {
		at = at.Add(recentEvery)
		r.add(&Stats{Shapes: shapes}, at)
	}
	add(Shape{Statement: "a", Hits: 1000, SavedSeconds: 7})
	r.add(&Stats{Shapes: []Shape{{Statement: "a", Hits: 5000}}}, at.Add(sampleEvery)) // too soon
	if got := r.shapes().Statements["a"]; len(got.Calls) != 0 || len(got.Saved) != 0 {
		t.Errorf("one reading is a course: %+v", got)
	}
	add(Shape{Statement: "a", Hits: 1010, Loads: 10, SavedSeconds: 12}, Shape{Statement: "b", Hits: 4})
	add(Shape{Statement: "a", Hits: 1030, Loads: 10, SavedSeconds: 12}, Shape{Statement: "b", Hits: 4}, Shape{Statement: "b", Hits: 30})
	add(Shape{Statement: "a", Hits: 3}, Shape{Statement: "b", Hits: 34})
	got := r.shapes().Statements
	if a := got["a"]; !slices.Equal(a.Calls, []value{2, 2, 0}) || !slices.Equal(a.Saved, []value{.5, 0, 0}) {
		t.Errorf("a: %+v", a)
	}
	if b := got["b"]; !slices.Equal(b.Calls, []value{3, 0}) {
		t.Errorf("b, which is two shapes: %+v", b)
	}
	if a := got["a"]; len(a.Misses) != 0 {
		t.Errorf("misses %v, and there were none", a.Misses)
	}
	add(Shape{Statement: "a", Misses: map[string]uint64{"cold": 20}})
	add(Shape{Statement: "a", Misses: map[string]uint64{"cold": 20, "evicted": 10}}, Shape{Statement: "a", Misses: map[string]uint64{"cold": 30}})
	if a := r.shapes().Statements["a"]; !slices.Equal(a.Misses["cold"], []value{0, 0, 0, 2, 3}) || !slices.Equal(a.Misses["evicted"], []value{0, 0, 0, 0, 1}) || len(a.Misses) != 2 {
		t.Errorf("misses of a: %v", a.Misses)
	}
	for i := range recentLength + 5 {
		add(Shape{Statement: "a", Hits: uint64(10 * i)})
	}
	got = r.shapes().Statements
	if a := got["a"]; len(a.Calls) != recentLength || len(a.Saved) != recentLength || a.Calls[recentLength-1] != 1 {
		t.Errorf("a after more than five minutes: %+v", a)
	}
	if _, kept := got["b"]; kept {
		t.Error("b left the list and is kept")
	}
}

func TestRecentShapesAreServed(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	response, body := get(t, server, "/api/v1/shapes/recent")
	var got RecentShapes
	if err := json.Unmarshal([]byte(body), &got); err != nil || response.StatusCode != 200 {
		t.Fatal(response.Status, err, body)
	}
	if got.IntervalSeconds != 10 || got.LengthMax != recentLength || got.Statements == nil {
		t.Errorf("%s", body)
	}
}
