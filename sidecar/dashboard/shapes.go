package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ShapesListMax bounds the answer to GET /api/v1/shapes, shapesListDefault is how many there
// are if ?limit= does not say.
const (
	ShapesListMax     = 1000
	shapesListDefault = 50
)

// ShapeList is the JSON form of GET /api/v1/shapes: those whose texts, tables, ids or reasons hold
// ?q=, and that are not cached for ?reason=, those first that have most of ?sort=.
type ShapeList struct {
	Shapes []Shape `json:"shapes"`
	// Found counts all of those that are wanted, Known all that are cached, of which at most
	// ShapesListMax are looked through, those of which most was saved or loaded; and as many of
	// those that are not.
	Found int `json:"found"`
	Known int `json:"known"`
	// Endings, of one shape alone, are what has ended its answers lately, the newest first.
	Endings []EndedBy `json:"endings,omitempty"`
}

// shapeOrders are what shapes can be sorted by.
var shapeOrders = map[string]func(*Shape) float64{
	"saved":   func(s *Shape) float64 { return s.SavedSeconds },
	"hits":    func(s *Shape) float64 { return float64(s.Hits) },
	"loads":   func(s *Shape) float64 { return float64(s.Loads) },
	"loading": func(s *Shape) float64 { return s.LoadingSeconds },
	"entries": func(s *Shape) float64 { return float64(s.Entries) },
	"bytes":   func(s *Shape) float64 { return float64(s.Bytes) },
	"age":     func(s *Shape) float64 { return s.AgeP50Seconds },
	"passed":  func(s *Shape) float64 { return s.PassedSeconds },
}

// shapesHandler lists shapes.
func (s *Server) shapesHandler(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	by, known := shapeOrders[cmp.Or(query.Get("sort"), "saved")]
	limit, err := strconv.Atoi(cmp.Or(query.Get("limit"), strconv.Itoa(shapesListDefault)))
	if !known || err != nil || limit < 0 {
		http.Error(w, "write ?sort=saved, hits, loads, loading, entries, bytes, age or passed, and ?limit= as a number", http.StatusBadRequest)
		return
	}
	shapes, all := s.shapes(ShapesListMax)
	wanted, reason := strings.ToLower(query.Get("q")), query.Get("reason")
	shapes = slices.DeleteFunc(shapes, func(one Shape) bool {
		return reason != "" && one.Reason != reason || !strings.Contains(strings.ToLower(one.ID+" "+one.Statement+" "+one.Reason+" "+strings.Join(one.Tables, " ")), wanted)
	})
	slices.SortStableFunc(shapes, func(a, b Shape) int { return cmp.Compare(by(&b), by(&a)) })
	answerCompactJSON(w, ShapeList{Shapes: shapes[:min(len(shapes), limit)], Found: len(shapes), Known: all})
}

// shapeHandler answers for one shape, by its id. One text may be several shapes, as it means
// something else for each search path; those are a list.
func (s *Server) shapeHandler(w http.ResponseWriter, r *http.Request) {
	shapes, all := s.shapes(ShapesListMax)
	shapes = slices.DeleteFunc(shapes, func(one Shape) bool { return !strings.EqualFold(one.ID, r.PathValue("id")) })
	if len(shapes) == 0 {
		http.Error(w, fmt.Sprintf("no statement is known that has the shape %q", r.PathValue("id")), http.StatusNotFound)
		return
	}
	list := ShapeList{Shapes: shapes, Found: len(shapes), Known: all}
	if s.options.EndingsFunc != nil {
		list.Endings = s.options.EndingsFunc(strings.ToLower(r.PathValue("id")))
	}
	answerJSON(w, list)
}

// shapes returns max shapes, complete, and how many there are.
func (s *Server) shapes(max int) (shapes []Shape, all int) {
	if s.options.ShapesFunc == nil {
		stats := s.stats()
		return slices.Concat(stats.Shapes, stats.ShapesPassed), stats.ShapesKnown
	}
	found, all := s.options.ShapesFunc(max)
	shapes = append([]Shape{}, found...)
	for i := range shapes {
		shapes[i].normalize()
	}
	return shapes, all
}
