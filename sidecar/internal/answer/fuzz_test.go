package answer

import (
	"bytes"
	"slices"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// FuzzAnswer: entries from Redis may hold anything.
func FuzzAnswer(f *testing.F) {
	rows := protocol.AppendMessage(nil, 'T', []byte{0, 0})
	whole := slices.Concat([]byte{byte(len(rows))}, rows, protocol.AppendComplete(nil, "SELECT 0"))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, stored []byte) {
		payload, err := Decode(stored)
		if err != nil {
			return
		}
		a := payload.(*Answer)
		if !wholeMessages(a.Description) || !wholeMessages(a.Body) {
			t.Fatal("a client would be sent a part of a message")
		}
		again, err := a.AppendBinary(nil)
		if err != nil {
			t.Fatalf("an answer that was stored cannot be stored again: %v", err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("an answer that is stored again cannot be read: %v", err)
		}
		if b := back.(*Answer); !bytes.Equal(b.Body, a.Body) || !bytes.Equal(b.Description, a.Description) {
			t.Fatalf("stored again it has %q and %q, want %q and %q", b.Description, b.Body, a.Description, a.Body)
		}
	})
}
