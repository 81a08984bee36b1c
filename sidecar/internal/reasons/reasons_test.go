package reasons

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentListsEveryReason holds docs/protocol.md to the reasons that exist.
func TestDocumentListsEveryReason(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for reason, advice := range All() {
		rows++
		if row := fmt.Sprintf("| `%s` | %s |\n", reason, advice); !strings.Contains(string(text), row) {
			t.Errorf("docs/protocol.md lacks the row\n%s", row)
		}
		if Advice(reason) == "" {
			t.Errorf("there is no advice about %s", reason)
		}
	}
	if listed := strings.Count(string(text[strings.Index(string(text), "### Reasons of"):]), "\n| `"); listed != rows {
		t.Errorf("docs/protocol.md lists %d reasons, there are %d", listed, rows)
	}
}
