package wire

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// written is what was written to one end of a line, in the order of both ends.
type written struct{ to, what string }

// end is an end of a line that notes what is written to it.
type end struct {
	net.Conn
	to  string
	log *[]written
}

func (e end) Write(b []byte) (int, error) {
	*e.log = append(*e.log, written{e.to, string(b)})
	return len(b), nil
}

// newLine returns a line without sockets, and what is written to it.
func newLine() (*line, *[]written) {
	var log []written
	l := &line{client: transport.NewStream(end{to: "client", log: &log}, nil), up: transport.NewStream(end{to: "Postgres", log: &log}, nil), talk: conversation.New()}
	l.talk.Begin(protocol.StatusIdle)
	return l, &log
}

// What is gathered for the client is written before what Postgres is sent behind it, and many
// bytes are not held.
func TestLineKeepsTheOrder(t *testing.T) {
	t.Parallel()
	many := string(bytes.Repeat([]byte("m"), answersHeldMax))
	long := string(bytes.Repeat([]byte("b"), bodyCopyMax+1))
	for name, test := range map[string]struct {
		say  func(*line) error
		want []written
	}{
		"an answer before a message": {func(l *line) error {
			l.out = append(l.out, "answer"...)
			return errors.Join(l.sendUpstream([]byte("message")), l.flush())
		}, []written{{"client", "answer"}, {"Postgres", "message"}}},
		"a message before an answer": {func(l *line) error {
			err := l.sendUpstream([]byte("message"))
			l.out = append(l.out, "answer"...)
			return errors.Join(err, l.flush())
		}, []written{{"client", "answer"}, {"Postgres", "message"}}},
		"answers of one write": {func(l *line) error {
			return errors.Join(l.appendBody([]byte("a")), l.appendBody([]byte("b")), l.limitOut(), l.flush())
		}, []written{{"client", "ab"}}},
		"a long answer behind a short one": {func(l *line) error {
			return errors.Join(l.appendBody([]byte("a")), l.appendBody([]byte(long)), l.flush())
		}, []written{{"client", "a"}, {"client", long}}},
		"many answers": {func(l *line) error {
			l.out = append(l.out, many...)
			return l.limitOut()
		}, []written{{"client", many}}},
		"many messages": {func(l *line) error { return l.sendUpstream([]byte(many)) }, []written{{"Postgres", many}}},
		"nothing":       {(*line).flush, nil},
		"the rest of a long message": {func(l *line) error {
			l.in = transport.NewBuffer(bytes.NewReader([]byte("restnext")))
			l.passing = len("rest")
			return errors.Join(l.in.Fill(), l.passOn(), l.passOn())
		}, []written{{"Postgres", "rest"}}},
	} {
		l, log := newLine()
		if err := test.say(l); err != nil || !slices.Equal(*log, test.want) {
			t.Errorf("%s: written are %.60q, %v", name, *log, err)
		}
	}
}

// Behind the last that Postgres has said nothing is told.
func TestLineIsSilentBehindTheEnd(t *testing.T) {
	t.Parallel()
	l, log := newLine()
	l.talk.Leave()
	l.out = append(l.out, "answer"...)
	long := make([]byte, bodyCopyMax+1)
	for name, say := range map[string]func() error{
		"flush": l.flushClient, "a message": func() error { return l.sendUpstream(syncMessage) }, "a long answer": func() error { return l.appendBody(long) },
	} {
		if err := say(); !errors.Is(err, errDone) || len(*log) > 0 {
			t.Errorf("%s: %v, written are %q", name, err, *log)
		}
	}
}

// A line on which nothing but hits has passed for half of the time after which Postgres ends it
// sends a Sync, and not before.
func TestLineIsKeptAlive(t *testing.T) {
	t.Parallel()
	const limit = time.Minute
	l, log := newLine()
	if l.timeIdleness(&probe.State{}); l.timed {
		t.Error("the time is taken though Postgres ends nothing")
	}
	l.timeIdleness(&probe.State{IdleMax: limit})
	if err := errors.Join(l.sendUpstream([]byte("message")), l.flush()); err != nil {
		t.Fatal(err)
	}
	sent := l.upstreamAt
	for _, after := range []time.Duration{0, limit/2 - 1, limit / 2} {
		l.now = sent.Add(after)
		if err := l.keepAlive(limit); err != nil {
			t.Fatal(err)
		}
		if owed := l.talk.Owed(); owed != (after >= limit/2) || owed != bytes.Equal(l.toUp, syncMessage) {
			t.Errorf("%v after the last message: %q is to be sent", after, l.toUp)
		}
	}
	if l.toUp = l.toUp[:0]; l.keepAlive(0) != nil || len(l.toUp) > 0 || len(*log) != 1 {
		t.Errorf("without a limit: %q is to be sent", l.toUp)
	}
}
