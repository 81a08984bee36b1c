package wire

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
)

// TestDocumentListsEveryReason holds docs/protocol.md to the reasons that exist.
func TestDocumentListsEveryReason(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	want := func(reason, advice string) {
		rows++
		if row := fmt.Sprintf("| `%s` | %s |\n", reason, advice); !strings.Contains(string(text), row) {
			t.Errorf("docs/protocol.md lacks the row\n%s", row)
		}
	}
	for reason, advice := range advice {
		want(reason, advice)
	}
	for _, reason := range analysis.Reasons() {
		want(string(reason), reason.Advice())
	}
	if listed := strings.Count(string(text[strings.Index(string(text), "### Reasons of"):]), "\n| `"); listed != rows {
		t.Errorf("docs/protocol.md lists %d reasons, there are %d", listed, rows)
	}
}
