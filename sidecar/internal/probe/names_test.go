package probe

import (
	"maps"
	"testing"
)

func TestParseNames(t *testing.T) {
	t.Parallel()
	for column, want := range map[string]map[string]bool{
		"":        {},
		"61":      {"a": true},
		"61,c3bc": {"a": true, "ü": true},
		"61,":     {"a": true, "": true},
		"6":       nil,
		"61,xy":   nil,
	} {
		names, ok := parseNames([]byte(column))
		if ok != (want != nil) || !maps.Equal(names, want) {
			t.Errorf("%q: %v, %v", column, names, ok)
		}
	}
}
