package block

import (
	"strings"
	"testing"
)

func TestParseSeveral(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ texts, rest string }{
		"BEGIN;SELECT 1":                              {"BEGIN", "      SELECT 1"},
		" begin ; SELECT ';'":                         {"begin", "         SELECT ';'"},
		"BEGIN;SAVEPOINT s1;SELECT 1;":                {"BEGIN|SAVEPOINT s1", strings.Repeat(" ", 19) + "SELECT 1;"},
		"BEGIN;SAVEPOINT s1":                          {"BEGIN|SAVEPOINT s1", ""},
		"BEGIN;SAVEPOINT s1; ;":                       {"BEGIN|SAVEPOINT s1", ""},
		"SAVEPOINT s1;SELECT 1":                       {"SAVEPOINT s1", "             SELECT 1"},
		"BEGIN;SET LOCAL app.a = 'ü';SELECT 1":        {"BEGIN|SET LOCAL app.a = 'ü'", strings.Repeat(" ", 28) + "SELECT 1"},
		"BEGIN;UPDATE t SET a = 1;COMMIT":             {"BEGIN", "      UPDATE t SET a = 1;COMMIT"},
		"BEGIN":                                       {},
		"BEGIN;":                                      {},
		"SELECT 1;BEGIN":                              {},
		"COMMIT;BEGIN":                                {},
		"RELEASE s1;SELECT 1":                         {},
		"SET LOCAL app.a = 'x;y';SELECT 1":            {},
		"SELECT set_config($1, 'a', true);BEGIN":      {},
		"BEGIN ISOLATION LEVEL SERIALIZABLE;SELECT 1": {},
		"/* a */ BEGIN;SELECT 1":                      {},
	} {
		got, ok := ParseSeveral(text)
		if ok != (want.texts != "") || ok && (strings.Join(got.Texts, "|") != want.texts || got.Rest != want.rest || len(got.First) != len(got.Texts)) {
			t.Errorf("%q: got %+v, %v", text, got, ok)
		}
	}
}
