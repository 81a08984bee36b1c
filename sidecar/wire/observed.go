package wire

import (
	"errors"
	"io"
	"sync"

	"github.com/freshet/freshet/sidecar/internal/transport"
)

// Observer is shown what passes in one session, if nothing is to be cached and only found
// out what a cache would bring. FromClient is called by one goroutine and FromPostgres by
// another, with bytes as they come: a message may be in pieces. They must keep none of
// them, return at once and not panic.
type Observer interface {
	// FromClient is shown what is about to be sent to Postgres.
	FromClient(b []byte)
	// FromPostgres is shown what was sent to the client.
	FromPostgres(b []byte)
	// Owes reports whether Postgres owes the client an answer.
	Owes() bool
	// Close is called when the session has ended, and nothing after it.
	Close()
}

// passObserved passes on what comes, as it comes, until the client or Postgres leaves.
func (s *session) passObserved() {
	defer s.observer.Close()
	var upstream sync.WaitGroup
	upstream.Go(func() {
		_ = s.up.Receive(&s.relay.in, func() (bool, error) { // however it ends, it has ended
			s.writeMu.Lock()
			defer s.writeMu.Unlock()
			return passHeld(&s.relay.in, s.client, nil, s.observer.FromPostgres)
		})
		s.end()
	})
	err := s.client.Receive(&s.in, func() (bool, error) {
		return passHeld(&s.in, s.up, s.observer.FromClient, nil)
	})
	if errors.Is(err, io.EOF) {
		s.letFinish(&upstream)
	}
	s.up.HangUp()
	upstream.Wait()
}

// passHeld passes on what a buffer holds. before and after, unless nil, are shown it.
func passHeld(in *transport.Buffer, to io.Writer, before, after func([]byte)) (more bool, err error) {
	held := in.Held()
	if len(held) == 0 {
		return false, nil
	}
	if before != nil {
		before(held)
	}
	if _, err := to.Write(held); err != nil {
		return false, err
	}
	if after != nil {
		after(held)
	}
	in.Drop(len(held))
	return false, nil
}

// isIdleLocked reports whether nothing is owed to the client. The conversation is locked.
func (s *session) isIdleLocked() bool {
	if s.observer != nil {
		return !s.observer.Owes()
	}
	return s.talk.IdleLocked()
}
