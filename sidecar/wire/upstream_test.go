package wire

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

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
			t.Fatal("more is expected than there is room for")
		default:
		}
		// No ReadyForQuery: the Sync that would bring it is what waits.
		s.receive(t, []byte(protocol.CloseComplete))
		<-waited
	})
}

// A connection that is passed through unread, such as one for replication, gets
// every byte as it comes, wherever the reads end.
func TestUnreadConnectionHoldsNothingBack(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	s.talk.Mistrust()
	sent := bytes.Repeat(protocol.AppendMessage(nil, 'W', []byte("0123456789")), 50)
	if got := s.pass(t, sent, 7); !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes reached the client", len(got), len(sent))
	}
}
