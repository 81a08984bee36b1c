package analysis

import (
	"strings"
	"testing"
)

// A version that was not tested is refused with the ones that were, unless any may be tried.
func TestVersionIsChecked(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"14.23", "18.4 (Debian 18.4-1)"} {
		if no := checkVersion(version, false); no != nil {
			t.Errorf("%s is refused: %v", version, no)
		}
	}
	for _, version := range []string{"13.9", "19beta1", "190000", ""} {
		no := checkVersion(version, false)
		if no == nil || no.reason != ReasonUnsupportedServer || !strings.Contains(no.detail, "tested with 14 to 18") {
			t.Errorf("%q is refused: %v", version, no)
		}
		if no := checkVersion(version, true); no != nil {
			t.Errorf("%q may be tried, and is refused: %v", version, no)
		}
	}
}
