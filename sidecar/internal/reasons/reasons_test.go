package reasons

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The documents have each heading that a reason's address names, as the site that shows them does:
// in small letters, with hyphens for spaces.
func TestDocumentsHaveWhatReasonsName(t *testing.T) {
	t.Parallel()
	for reason := range All() {
		file, anchor, ok := strings.Cut(strings.TrimPrefix(Docs(reason), docsURL), "#")
		text, err := os.ReadFile("../../../docs/" + file)
		if err != nil || !ok {
			t.Fatalf("%s: %q: %v", reason, Docs(reason), err)
		}
		found := false
		for line := range strings.Lines(string(text)) {
			title, heading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
			slug := strings.ReplaceAll(strings.ToLower(strings.Trim(title, " ?\n")), " ", "-")
			found = found || heading && slug == anchor
		}
		if !found {
			t.Errorf("%s: docs/%s has no heading %s", reason, file, anchor)
		}
	}
	if Docs("no_reason") != "" {
		t.Error("what is no reason has an address")
	}
}

// labelsMax is how many values the label reason of freshet_bypasses_total may have.
const labelsMax = 80

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
	if rows > labelsMax {
		t.Errorf("%d reasons are too many for the label of a metric", rows)
	}
	if listed := strings.Count(string(text[strings.Index(string(text), "### Reasons of"):]), "\n| `"); listed != rows {
		t.Errorf("docs/protocol.md lists %d reasons, there are %d", listed, rows)
	}
}
