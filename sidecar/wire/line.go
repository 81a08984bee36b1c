package wire

import (
	"sync"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

const (
	// answersHeldMax is how many bytes of answers are gathered for one write.
	answersHeldMax = 64 << 10
	// bodyCopyMax is the largest answer that is copied to be written together
	// with its neighbours; a larger one is written from where it lies.
	bodyCopyMax = 16 << 10
)

// line is what joins a session to its client and to Postgres: both streams, what has come from
// the client, and what is gathered for each, to be written at once. What is said stays in order
// by three rules:
//
//   - The goroutine that reads the client writes to it only while Postgres owes nothing, and
//     whoever writes holds writeMu from the moment at which that was decided.
//   - Answers that are gathered are written before a message for Postgres is gathered behind
//     them, and so before its answer.
//   - Behind the last that Postgres has said the client is told nothing.
type line struct {
	client *transport.Stream
	up     *transport.Stream
	incoming
	outgoing
	writeMu sync.Mutex // held while writing to the client; taken before the lock of talk
	// talk says what Postgres owes. Both goroutines share it.
	talk *conversation.Conversation
}

// incoming is what comes from the client.
type incoming struct {
	in transport.Buffer
	// passing is how many bytes of a message longer than the buffer are still to
	// come and be sent on as they are.
	passing int
	// now is the arrival time of the bytes being handled; arrival takes it from the clock
	// when it is first needed, and handleHeld resets it to 0.
	now fence.Instant
}

// arrival is when the client's last message had arrived, or a little later.
func (i *incoming) arrival() fence.Instant {
	if i.now == 0 {
		i.now = fence.Now()
	}
	return i.now
}

// outgoing is what is gathered, to be written at once.
type outgoing struct {
	// out holds answers that are not written yet, toUp messages for Postgres. Answers from
	// before a message are written before the message is gathered: see sendUpstream.
	out, toUp []byte
	// upstreamAt is when Postgres was last sent something: flushUpstream notes it where timed is
	// set, keepAlive reads it. timeIdleness sets timed, for good.
	upstreamAt fence.Instant
	timed      bool
}

// hangUp ends both connections, and with them whatever is blocked in a read or a
// write, and lets go whoever waits for answers that will not come.
func (l *line) hangUp() {
	l.client.HangUp()
	l.up.HangUp()
	l.talk.Close()
}

// letFinish tells Postgres that nothing more will come, and waits until it has
// answered what came and has left: a client may say goodbye behind statements
// that are not answered yet.
func (l *line) letFinish(upstream *sync.WaitGroup) {
	half, ok := l.up.Conn.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		upstream.Wait()
	}
}

// flush writes what is gathered, for the client first.
func (l *line) flush() error {
	if err := l.flushClient(); err != nil {
		return err
	}
	return l.flushUpstream()
}

// flushClient writes the gathered answers.
func (l *line) flushClient() error {
	if len(l.out) == 0 {
		return nil
	}
	l.writeMu.Lock()
	defer l.writeMu.Unlock()
	if l.talk.Left() {
		return errDone // nothing comes behind the last that Postgres has said
	}
	_, err := l.client.Write(l.out)
	l.out = l.out[:0]
	return err
}

// flushUpstream sends the gathered messages.
func (l *line) flushUpstream() error {
	if len(l.toUp) == 0 {
		return nil
	}
	if l.timed {
		l.upstreamAt = fence.Now()
	}
	_, err := l.up.Write(l.toUp)
	l.toUp = l.toUp[:0]
	if err != nil {
		return unsentError{err}
	}
	return nil
}

// unsentError says that Postgres takes nothing more. What it has said before may still be unread:
// why it ends the connection.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// sendUpstream gathers a message for Postgres. Answers from the cache that came
// before it are written first, so that they stay before its answer.
func (l *line) sendUpstream(message []byte) error {
	if err := l.flushClient(); err != nil {
		return err
	}
	l.toUp = append(l.toUp, message...)
	if len(l.toUp) < answersHeldMax {
		return nil
	}
	return l.flushUpstream()
}

// passOn sends on what came of a message whose beginning was sent already.
func (l *line) passOn() error {
	n := min(l.passing, len(l.in.Held()))
	if n == 0 {
		return nil
	}
	if _, err := l.up.Write(l.in.Held()[:n]); err != nil {
		return unsentError{err}
	}
	l.in.Drop(n)
	l.passing -= n
	return nil
}

// appendBody gathers an answer's rows, or writes them from where they lie if
// they are many.
func (l *line) appendBody(body []byte) error {
	if len(body) <= bodyCopyMax {
		l.out = append(l.out, body...)
		return nil
	}
	if err := l.flushClient(); err != nil {
		return err
	}
	l.writeMu.Lock()
	defer l.writeMu.Unlock()
	if l.talk.Left() {
		return errDone
	}
	_, err := l.client.Write(body)
	return err
}

// limitOut writes the gathered answers if they are many.
func (l *line) limitOut() error {
	if len(l.out) < answersHeldMax {
		return nil
	}
	return l.flushClient()
}

// awaitAnswers waits until Postgres owes nothing.
func (l *line) awaitAnswers() error {
	if !l.talk.Owed() {
		return nil
	}
	if err := l.flushUpstream(); err != nil {
		return err
	}
	return l.talk.AwaitAnswers()
}

// awaitSettled waits until Postgres owes nothing. It reports false if Postgres skips what
// comes, or waits for data.
func (l *line) awaitSettled() (settled bool, err error) {
	if err := l.flushUpstream(); err != nil {
		return false, err
	}
	return l.talk.AwaitSettled()
}
