package probe

import (
	"testing"

	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/digest"
)

// FuzzParseAnswer: whatever answers a probe is understood or not, and what is understood
// is understood again.
func FuzzParseAnswer(f *testing.F) {
	row := make([][]byte, probeColumns)
	row[columnSettings] = printedArray(make([][]byte, len(askedSettings)))
	row[columnStart] = printedArray(make([][]byte, len(settings.AtStart)))
	row[columnNames] = []byte("61,62")
	f.Add(digest.AppendParts([]byte{0, probeColumns}, row))
	f.Add([]byte{0, probeColumns})
	f.Fuzz(func(t *testing.T, row []byte) {
		first := ParseAnswer(row, nil)
		if first == nil {
			return
		}
		if again := ParseAnswer(row, first); again == nil || again.ID != first.ID || again.Reason != first.Reason {
			t.Fatalf("the same row is %+v at first, and %+v then", first, again)
		}
		_ = KeptBy(string(row))
	})
}
