package probe

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// settingsUnseen have no case in testkit.SettingCases.
var settingsUnseen = map[string]string{
	"auto_explain.log_level": "its messages tell times", "gin_fuzzy_search_limit": "TestAnswerOfAFuzzyIndexIsNotShared",
	"default_transaction_isolation": "shows only in a transaction", "session_replication_role": "rules for SELECT have no such condition",
	"lc_messages": "a server may have one locale alone", "lc_monetary": "so here", "lc_numeric": "and here", "lc_time": "and here",
	"ignore_checksum_failure": "no page is damaged", "zero_damaged_pages": "nor for this", "ignore_system_indexes": "nor is an index",
	"local_preload_libraries": "a connection begins with it", "session_preload_libraries": "and with this", "sepgsql.permissive": "needs SELinux",
}

// TestEachSettingHasACase: of each setting that counts there is one, or a reason why not.
func TestEachSettingHasACase(t *testing.T) {
	t.Parallel()
	for _, s := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(settings.Keyed, settings.Conditional, settings.AtStart, []string{"search_path"})))) {
		found := slices.ContainsFunc(testkit.SettingCases, func(c testkit.SettingCase) bool { return c.Setting == s })
		if _, unseen := settingsUnseen[s]; found == unseen {
			t.Errorf("%s has a case: %v", s, found)
		}
	}
}

// TestSettingCasesHaveOtherKeys: a session that is answered otherwise has another
// key, or passes through.
func TestSettingCasesHaveOtherKeys(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	role := "keys_" + pg.CreateDatabase(t)
	dsn := installed(t, pg, testkit.SettingsSchema(role))
	for _, c := range testkit.SettingCases {
		conn := connect(t, dsn)
		under := func(value string) *State {
			t.Helper()
			execute(t, conn, c.Set(value, role))
			state := stateOf(t, conn, Question{Server: true}, nil)
			if state == nil {
				t.Fatalf("with %s = %s the probe is not understood", c.Setting, value)
			}
			return state
		}
		if one, other := under(c.One), under(c.Other); one.ID == other.ID && one.Reason == "" && other.Reason == "" {
			t.Errorf("%s has the same key as %s and as %s", c.Setting, c.One, c.Other)
		}
	}
}

// forgotten is the sidecar that keeps nothing of what is decided of settings.
var forgotten = []mutant.Edit{
	{File: "sidecar/internal/probe/state.go", Old: "for _, name := range settings.Keyed {", New: "for _, name := range settings.Keyed[:0] {"},
	{File: "invalidation/settings/setting.go", Old: "if c.objects(values[c.name]) {", New: "if false && c.objects(values[c.name]) {"},
	{File: "sidecar/internal/probe/state.go", Old: "return path\n\t}\n\treturn nil", New: "return nil\n\t}\n\treturn nil"},
}

// TestPlantedForgottenSettingsAreFound: the test of keys names each setting that has a
// case, if it is in no key and makes no session pass through.
func TestPlantedForgottenSettingsAreFound(t *testing.T) {
	t.Parallel()
	overlay, err := mutant.Overlay("../../..", t.TempDir(), forgotten)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-overlay", overlay, "-run", "^TestSettingCasesHaveOtherKeys$", ".").CombinedOutput()
	if err == nil {
		t.Fatalf("nothing was found:\n%s", out)
	}
	for _, c := range testkit.SettingCases {
		if !strings.Contains(string(out), c.Setting+" has the same key") {
			t.Errorf("%s can be forgotten; the test said\n%s", c.Setting, out)
		}
	}
}
