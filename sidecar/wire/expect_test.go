package wire

import (
	"testing"
	"testing/synctest"
)

func TestWaitForRoomEndsWithAnswersToParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := unconnected(t)
		for range pendingMax {
			s.expectPart(expect{kind: expectClose})
		}
		waited := make(chan struct{})
		go func() {
			s.expectUnit(expect{kind: expectSync})
			close(waited)
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatal("more is expected than there is room for")
		default:
		}
		// No ReadyForQuery: the Sync that would bring it is what waits.
		s.mu.Lock()
		s.receive(t, []byte(closeComplete))
		s.mu.Unlock()
		<-waited
	})
}
