package dashboard

import (
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
		"was proven to be stale":   func(s *Stats) { s.Verify.Results = map[string]uint64{"stale": 1} },
	} {
		before, after := warm(5), warm(5)
		change(&after)
		if got := changes(&before, &after); len(got) != 1 || !strings.Contains(got[0][1], says) {
			t.Errorf("%v, want %q", got, says)
		}
	}
	before, after := warm(5), warm(6)
	if got := changes(&before, &after); len(got) != 0 {
		t.Errorf("%v, and nothing has changed", got)
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
