package wire

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// OwedMax answers are owed, all of a group whose Sync has not come: one more unit is expected only when
// Postgres has answered one of them.
func TestWaitForRoomEndsWithAnswersToParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := unconnected(t)
		for range conversation.OwedMax {
			s.talk.Owe(conversation.Expectation{Kind: conversation.Close})
		}
		waited := make(chan struct{})
		go func() {
			s.expectUnit(conversation.Expectation{Kind: conversation.Sync})
			close(waited)
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatalf("more than %d answers are expected, want a wait for room", conversation.OwedMax)
		default:
		}
		// The answer comes without a ReadyForQuery: the Sync that would bring one is what waits for room.
		s.receive(t, []byte(protocol.CloseComplete))
		<-waited
	})
}

// On a connection that the sidecar passes through unread, such as one for replication, the client gets
// every byte of Postgres, also where a read ends within a message.
func TestUnreadConnectionHoldsNothingBack(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	s.talk.Mistrust()
	sent := bytes.Repeat(protocol.AppendMessage(nil, 'W', []byte("0123456789")), 50)
	if got := s.pass(t, sent, 7); !bytes.Equal(got, sent) {
		t.Errorf("the client got %d bytes, want the %d that Postgres sent, unchanged", len(got), len(sent))
	}
}
