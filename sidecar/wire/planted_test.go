package wire

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
)

// forgotten is the sidecar that keeps nothing of what is decided of settings.
var forgotten = []mutant.Edit{
	{File: "sidecar/wire/state.go", Old: "for _, name := range keyedSettings {", New: "for _, name := range keyedSettings[:0] {"},
	{File: "sidecar/wire/state.go", Old: "if c.objects(values[c.name]) {", New: "if false && c.objects(values[c.name]) {"},
	{File: "sidecar/wire/state.go", Old: "return path\n\t}\n\treturn nil", New: "return nil\n\t}\n\treturn nil"},
}

// TestPlantedForgottenSettingsAreFound: the test of keys names each setting that has a
// case, if it is in no key and makes no session pass through.
func TestPlantedForgottenSettingsAreFound(t *testing.T) {
	t.Parallel()
	overlay, err := mutant.Overlay("../..", t.TempDir(), forgotten)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-overlay", overlay, "-run", "^TestSettingCasesHaveOtherKeys$", ".").CombinedOutput()
	if err == nil {
		t.Fatalf("nothing was found:\n%s", out)
	}
	for _, c := range settingCases {
		if !strings.Contains(string(out), c.setting+" has the same key") {
			t.Errorf("%s can be forgotten; the test said\n%s", c.setting, out)
		}
	}
}
