package answer

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

func TestWhatIsAWholeAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ends  string // the messages that end statements, d for a description
		whole bool
	}{
		"nothing yet":            {"", false},
		"a statement":            {"C", true},
		"a portal suspended":     {"s", true},
		"a description":          {"d", true},
		"an empty query":         {"I", false},
		"two statements":         {"CC", false},
		"three statements":       {"CCC", false},
		"a statement, then none": {"CI", false},
		"portions":               {"+ssC", true},
		"portions, and not all":  {"+ss", false},
		"behind its end":         {"+sCC", false},
	} {
		var capture Capture
		capture.ToItsEnd = strings.HasPrefix(c.ends, "+")
		for _, kind := range []byte(strings.TrimPrefix(c.ends, "+")) {
			if kind == 'd' {
				capture.EndDescription()
			} else {
				capture.End(kind)
			}
		}
		if capture.Whole() != c.whole {
			t.Errorf("%s: whole %v", name, capture.Whole())
		}
	}
}

// An answer that was fetched in portions is the same as one that was fetched at once, and ends
// once.
func TestPortionsAreOneAnswer(t *testing.T) {
	t.Parallel()
	row, suspended := protocol.AppendMessage(nil, 'D', []byte("row")), []byte(protocol.PortalSuspended)
	capture := Capture{SizeMax: 1 << 10, ToItsEnd: true}
	var ended []bool
	for _, end := range []byte("ssC") {
		message := suspended
		if end == 'C' {
			message = protocol.AppendComplete(nil, "SELECT 1")
		}
		capture.Add('D', row)
		ended = append(ended, capture.End(end))
		capture.Add(end, message)
	}
	want := protocol.AppendComplete(bytes.Repeat(row, 3), "SELECT 3")
	if got := capture.Answer().Body; !bytes.Equal(got, want) || !slices.Equal(ended, []bool{false, false, true}) {
		t.Errorf("%q, ended %v, want %q", got, ended, want)
	}
	if capture.End('C') {
		t.Error("an answer has ended twice")
	}
}

func TestTooLargeAnAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	row := protocol.AppendMessage(nil, 'D', make([]byte, 20))
	capture := Capture{SizeMax: 2 * len(row)}
	for range 2 {
		capture.Add('D', row)
	}
	if got := capture.Answer().Size(); got != 2*len(row) {
		t.Errorf("%d bytes were kept, want %d", got, 2*len(row))
	}
	capture.Add('D', row)
	capture.Add('D', row)
	capture.End('C')
	if capture.Whole() || capture.Answer().Size() != 0 {
		t.Errorf("whole: %v, with %d bytes", capture.Whole(), capture.Answer().Size())
	}
	(*Capture)(nil).SpoilIfAny()
}

// Pieces lie where they belong, and the entry has none of the buffers.
func TestEntryOfACapture(t *testing.T) {
	t.Parallel()
	cache, err := engine.New(engine.Options{Fence: fence.New(fence.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	rows, row, tag := protocol.AppendMessage(nil, 'T', idColumn), protocol.AppendMessage(nil, 'D', []byte("row")), protocol.AppendMessage(nil, 'C', []byte("SELECT 1\x00"))
	key := Key{State: &stateA, Form: Described, Statement: &statementA}
	capture := Capture{Key: key.AppendTo(nil), SizeMax: 1 << 10}
	capture.Add('T', rows)
	capture.Add('D', row[:4])
	capture.Add('D', row[4:])
	if capture.Entry(cache, 1) != nil {
		t.Error("half an answer makes an entry")
	}
	capture.Add('C', tag)
	capture.End('C')
	entry := capture.Entry(cache, 1)
	if entry == nil {
		t.Fatal("an answer makes no entry")
	}
	got := entry.Payload.(*Answer)
	if !bytes.Equal(got.Description, rows) || !bytes.Equal(got.Body, append(bytes.Clone(row), tag...)) {
		t.Errorf("the entry has %q and %q", got.Description, got.Body)
	}
	if capture.Answer().Body[0] = 'X'; got.Body[0] == 'X' {
		t.Error("the entry shares the capture's buffer")
	}
	capture.Spoil()
	if capture.Entry(cache, 1) != nil {
		t.Error("what was given up makes an entry")
	}
}

// Rows without a description lie under what their client was told of them, by Postgres
// itself: that may come after the capture was begun.
func TestKeyOfRowsHasWhatWasTold(t *testing.T) {
	t.Parallel()
	var told atomic.Pointer[description.Description]
	begun := Key{State: &stateA, Form: Rows, Statement: &statementA, Told: twoColumns, Bound: []byte("1")}
	for name, c := range map[string]struct {
		told *description.Description
		kept bool
	}{
		"nothing":                   {nil, true},
		"by Postgres":               {oneColumn, true},
		"by the cache alone so far": {oneColumn.As(false), false},
	} {
		told.Store(c.told)
		capture := Capture{Key: begun.AppendTo(nil), Told: &told}
		if kept := capture.completeKey(); kept != c.kept {
			t.Errorf("told %s: the key is complete: %v", name, kept)
		}
		want := Key{State: &stateA, Form: Rows, Statement: &statementA, Told: c.told, Bound: []byte("1")}
		if !bytes.Equal(capture.Key, want.AppendTo(nil)) {
			t.Errorf("told %s: the key is %x", name, capture.Key)
		}
	}
}
