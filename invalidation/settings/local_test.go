package settings

import (
	"slices"
	"testing"
)

func TestLocal(t *testing.T) {
	t.Parallel()
	decided := map[string]*setting{}
	for i := range all {
		decided[all[i].name] = &all[i]
	}
	for _, name := range localNames {
		if s := decided[name]; s == nil || s.keyed || s.reason != "" || s.parse || s.start {
			t.Errorf("%s changes answers, or is no setting", name)
		}
	}
	for name, want := range map[string][2]bool{
		"statement_timeout": {false, false}, "search_path": {true, false}, "role": {true, false}, "timezone": {true, false},
		"app.tenant": {false, true}, "request.jwt.claims": {false, true}, "freshet.consistency": {true, false}, "pg_trgm.similarity_threshold": {true, false},
		"application_name": {true, false}, "nobody_knows": {true, false},
	} {
		if changes, free := Local(name); changes != want[0] || free != want[1] {
			t.Errorf("%s: changes %v, free %v, want %v and %v", name, changes, free, want[0], want[1])
		}
	}
	for _, name := range slices.Concat(Keyed, Conditional, AtStart) {
		if changes, _ := Local(name); !changes {
			t.Errorf("%s changes answers", name)
		}
	}
}
