package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// markersMax bounds the markers that are kept: the oldest go first.
	markersMax = 200
	// markTextMax bounds the text of a marker, in bytes.
	markTextMax = 120
)

// Marker is something that happened at one moment, to be seen beside the traffic.
type Marker struct {
	// At is in seconds since 1970.
	At float64 `json:"at"`
	// Kind is one of start, follower, reset, redis, tables, ddl, install, reload, verify, purge,
	// bypass and mark.
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// markers are the latest of them. Its methods may be called concurrently.
type markers struct {
	mu   sync.Mutex
	list []Marker // oldest first
}

func (m *markers) add(marker Marker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == markersMax {
		m.list = append(m.list[:0], m.list[1:]...)
	}
	m.list = append(m.list, marker)
}

func (m *markers) all() []Marker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Marker{}, m.list...)
}

func newMarker(now time.Time, kind, text string) Marker {
	return Marker{At: float64(now.UnixMilli()) / 1000, Kind: kind, Text: shortened(text, markTextMax)}
}

// shortened cuts a text to at most length bytes, and never inside of a character.
func shortened(text string, length int) string {
	if len(text) <= length {
		return text
	}
	end := 0
	for i := range text {
		if i > length-len("…") {
			break
		}
		end = i
	}
	return text[:end] + "…"
}

// changes says what is different in a reading from the one before.
func changes(before, after *Stats) (found [][2]string) {
	add := func(kind, format string, args ...any) {
		found = append(found, [2]string{kind, fmt.Sprintf(format, args...)})
	}
	if was, is := before.isFresh(), after.isFresh(); was != is {
		if is {
			add("follower", "follower keeps up: reads are answered from the cache")
		} else {
			add("follower", "follower is late: reads go to Postgres")
		}
	}
	for cause, n := range after.FollowerResetCauses {
		if n > before.FollowerResetCauses[cause] {
			add("reset", "everything known was thrown away: %s", cause)
		}
	}
	if before.Redis.State != after.Redis.State && before.Redis.State != RedisIdle {
		add("redis", "Redis is %s", after.Redis.State)
	}
	happened := happenedSince(before, after)
	for _, kind := range slices.Sorted(maps.Keys(happened)) {
		add(kind, "%s", happened[kind])
	}
	if before.WatchedTables != after.WatchedTables && happened["install"] == "" {
		add("tables", "%d tables watched, were %d", after.WatchedTables, before.WatchedTables)
	}
	if after.WatchProblems > before.WatchProblems && len(after.Problems) > 0 {
		add("tables", "%s", after.Problems[0])
	}
	if after.Config.Reloads > before.Config.Reloads {
		add("reload", "configuration read again")
	}
	if after.Config.Failures > before.Config.Failures {
		add("reload", "configuration refused; the old one is in force")
	}
	if after.Verify.Results["stale"] > before.Verify.Results["stale"] {
		add("verify", "an answer was proven to be stale")
	}
	return found
}

// happenings are the words for each kind of what happened, and what it is about where no table is
// named.
var happenings = map[string][2]string{
	"ddl":     {"changed in the schema", "names, rights or definitions"},
	"install": {"watched", "tables"},
	"purge":   {"purge", "all"},
}

// happenedNamesMax is how many tables a marker names.
const happenedNamesMax = 3

// happenedSince says what happened between two readings, by its kind.
func happenedSince(before, after *Stats) map[string]string {
	last := uint64(0)
	if n := len(before.Happened); n > 0 {
		last = before.Happened[n-1].Number
	}
	tables, more := map[string][]string{}, map[string]int{}
	for _, h := range after.Happened {
		if h.Number > last {
			tables[h.Kind] = append(tables[h.Kind], h.Tables...)
			more[h.Kind] += h.More
		}
	}
	texts := make(map[string]string, len(tables))
	for kind, names := range tables {
		words := happenings[kind]
		slices.Sort(names)
		names = slices.Compact(names)
		shown := names[:min(len(names), happenedNamesMax)]
		text := words[0] + ": " + cmp.Or(strings.Join(shown, ", "), words[1])
		if n := more[kind] + len(names) - len(shown); n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		texts[kind] = text
	}
	return texts
}
