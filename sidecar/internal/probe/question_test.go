package probe

import (
	"slices"
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/invalidation/settings"
)

// TestAnalysisAppliesWhatChangesTexts: what the probe reads to hand it on is what the
// analysis takes.
func TestAnalysisAppliesWhatChangesTexts(t *testing.T) {
	t.Parallel()
	for _, name := range settings.ForParsing {
		if !analysis.Applies(name) {
			t.Errorf("the analysis does not apply %s", name)
		}
	}
	for _, name := range parseTimeSettings {
		if !slices.Contains(askedSettings, name) {
			t.Errorf("no probe asks for %s", name)
		}
	}
}
