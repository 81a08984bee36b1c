package answer

import (
	"bytes"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// FuzzAnswer: entries from Redis may hold anything.
func FuzzAnswer(f *testing.F) {
	whole, _ := (&Answer{Description: protocol.AppendMessage(nil, 'T', []byte{0, 0}), Body: protocol.AppendMessage(nil, 'C', []byte("SELECT 0\x00"))}).AppendBinary(nil)
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
		if back, err2 := Decode(again); err != nil || err2 != nil || !bytes.Equal(back.(*Answer).Body, a.Body) {
			t.Fatalf("%v, %v: an answer does not survive being stored", err, err2)
		}
	})
}
