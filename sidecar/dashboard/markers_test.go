package dashboard

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestWhatChangedIsMarked(t *testing.T) {
	t.Parallel()
	late := 9.0
	for says, change := range map[string]func(*Stats){
		"follower is late":         func(s *Stats) { s.FollowerAgeSeconds = &late },
		"everything known":         func(s *Stats) { s.FollowerResetCauses = map[string]uint64{"start": 1, "gap": 1} },
		"Redis is down":            func(s *Stats) { s.Redis.State = RedisDown },
		"4 tables watched, were 3": func(s *Stats) { s.WatchedTables = 4 },
		"shop.a: not":              func(s *Stats) { s.WatchProblems, s.Problems = 1, []string{"shop.a: not watched"} },
		"configuration read again": func(s *Stats) { s.Config.Reloads = 1 },
		"configuration refused":    func(s *Stats) { s.Config.Failures = 1 },
		"changed in the schema: shop.orders": func(s *Stats) {
			s.Happened = []Happening{{Number: 1, Kind: "ddl", Tables: []string{"shop.orders"}}}
		},
		"changed in the schema: names, rights or definitions": func(s *Stats) { s.Happened = []Happening{{Number: 1, Kind: "ddl"}} },
		"watched: shop.a(id), shop.b(id), shop.c(id) and 3 more": func(s *Stats) {
			s.WatchedTables = 9
			s.Happened = []Happening{{Number: 1, Kind: "install", Tables: []string{"shop.c(id)", "shop.a(id)", "shop.b(id)", "shop.d(id)"}, More: 1}, {Number: 2, Kind: "install", Tables: []string{"shop.a(id)", "shop.e(id)"}}}
		},
		"purge: all":             func(s *Stats) { s.Happened = []Happening{{Number: 1, Kind: "purge"}} },
		"was proven to be stale": func(s *Stats) { s.Verify.Results = map[string]uint64{"stale": 1} },
	} {
		before, after := warm(5), warm(5)
		change(&after)
		if got := changes(&before, &after); len(got) != 1 || !strings.Contains(got[0][1], says) {
			t.Errorf("%v, want %q", got, says)
		}
	}
	before, after := warm(5), warm(6)
	for _, s := range []*Stats{&before, &after} {
		s.Happened = []Happening{{Number: 7, Kind: "ddl"}}
	}
	if got := changes(&before, &after); len(got) != 0 {
		t.Errorf("%v, and nothing has changed", got)
	}
}

// A purge that the page was asked for is not marked again when its event is received.
func TestPurgeIsMarkedOnce(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	purges := func() (n int) {
		for _, m := range s.server.markers.all() {
			if m.Kind == "purge" {
				n++
			}
		}
		return n
	}
	received := uint64(0)
	receives := func() {
		before := s.server.sample(nil, time.Now())
		received++
		s.becomes(func(s *Stats) {
			s.Happened = []Happening{{Number: received, Kind: "purge", Tables: []string{"shop.orders"}}}
		})
		s.server.sample(before, time.Now())
	}
	receives()
	if n := purges(); n != 1 {
		t.Errorf("%d marks of a purge from elsewhere", n)
	}
	for range 2 {
		answer := httptest.NewRecorder()
		s.server.purge(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/purge", strings.NewReader(`{"table": "shop.orders", "confirm": "shop.orders"}`)))
		if answer.Code != http.StatusOK {
			t.Fatal(answer.Code, answer.Body)
		}
		receives()
	}
	if n := purges(); n != 3 {
		t.Errorf("%d marks with two purges of the page's, want 3", n)
	}
	if now := time.Now(); s.server.purgedElsewhere(now) || !s.server.purgedElsewhere(now.Add(purgeMarkedOnce+time.Minute)) {
		t.Error("a later purge from elsewhere is not told from the page's")
	}
}

func TestMarkersAreBounded(t *testing.T) {
	t.Parallel()
	var m markers
	for range markersMax + 5 {
		m.add(newMarker(time.Now(), "mark", strings.Repeat("é", 1000)))
	}
	all := m.all()
	if text := all[0].Text; len(all) != markersMax || len(text) > markTextMax || !utf8.ValidString(text) {
		t.Errorf("%d markers, the first of %d bytes: %s", len(all), len(text), text)
	}
}

// A statement is shown as far as it is of use to people, however long it is. Whoever has handed over the
// lists keeps them as they were.
func TestLongStatementsAreCut(t *testing.T) {
	t.Parallel()
	long := "SELECT " + strings.Repeat("é, ", statementMax)
	given := func() Stats {
		return Stats{Shapes: []Shape{{ID: "1", Statement: long}}, ShapesPassed: []Shape{{Statement: long}}, BypassExamples: map[string][]string{"r": {long, "SELECT 1"}}}
	}
	s := given()
	handed := s
	s.normalize()
	if !reflect.DeepEqual(handed, given()) {
		t.Error("the lists that were handed over are changed")
	}
	for _, text := range []string{s.Shapes[0].Statement, s.ShapesPassed[0].Statement, s.BypassExamples["r"][0]} {
		if len(text) > statementMax || len(text) < statementMax-8 || !utf8.ValidString(text) || !strings.HasSuffix(text, "…") {
			t.Errorf("%d bytes of %d are shown", len(text), len(long))
		}
	}
	if s.BypassExamples["r"][1] != "SELECT 1" {
		t.Error("a short one is cut")
	}
}
