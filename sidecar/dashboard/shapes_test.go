package dashboard

import (
	"encoding/json"
	"net/http"
	"testing"
)

func TestShapesAreSortedAndFound(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	src.change(func(s *Stats) {
		s.ShapesKnown = 7
		s.Shapes = []Shape{
			{ID: "0a", Statement: "SELECT 1", Tables: []string{"shop.orders"}, SavedSeconds: 3, Bytes: 1},
			{ID: "0b", Statement: "SELECT 2", Tables: []string{"shop.items"}, SavedSeconds: 2, Bytes: 9},
			{ID: "0c", Statement: "SELECT 3", Tables: []string{"shop.orders"}, SavedSeconds: 1, Bytes: 5},
		}
		s.ShapesPassed = []Shape{{ID: "0e", Statement: "SELECT 4", Reason: "clock", PassedSeconds: 1}, {ID: "0f", Statement: "SELECT 5", Reason: "sequence", PassedSeconds: 2}}
	})
	for _, c := range []struct {
		path   string
		status int
		first  string
		listed int
		found  int
	}{
		{"/api/v1/shapes", 200, "0a", 5, 5},
		{"/api/v1/shapes?sort=passed", 200, "0f", 5, 5},
		{"/api/v1/shapes?reason=clock", 200, "0e", 1, 1},
		{"/api/v1/shapes?q=SEQUENCE", 200, "0f", 1, 1},
		{"/api/v1/shapes?sort=bytes&limit=2", 200, "0b", 2, 5},
		{"/api/v1/shapes?q=ORDERS&sort=bytes", 200, "0c", 2, 2},
		{"/api/v1/shapes?q=nothing", 200, "", 0, 0},
		{"/api/v1/shapes/0B", 200, "0b", 1, 1},
		{"/api/v1/shapes/0d", 404, "", 0, 0},
		{"/api/v1/shapes?sort=beauty", 400, "", 0, 0},
		{"/api/v1/shapes?limit=-1", 400, "", 0, 0},
	} {
		response, body := get(t, server, c.path)
		var list ShapeList
		if response.StatusCode == http.StatusOK {
			if err := json.Unmarshal([]byte(body), &list); err != nil {
				t.Fatal(err)
			}
		}
		first := ""
		if len(list.Shapes) > 0 {
			first = list.Shapes[0].ID
		}
		if response.StatusCode != c.status || len(list.Shapes) != c.listed || list.Found != c.found || first != c.first {
			t.Errorf("%s: %d, %d of %d listed, the first is %q: %s", c.path, response.StatusCode, len(list.Shapes), list.Found, first, body)
		}
	}
}
