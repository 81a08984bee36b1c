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

// written is one write to an end of a line: to the client or to Postgres.
type written struct{ to, what string }

// end is an end of a line that appends each write to the log of both ends.
type end struct {
	net.Conn
	to  string
	log *[]written
}

func (e end) Write(b []byte) (int, error) {
	*e.log = append(*e.log, written{e.to, string(b)})
	return len(b), nil
}

// newLine returns a line without sockets, and the log of what is written to its ends, in order.
func newLine() (*line, *[]written) {
	var log []written
	l := &line{client: transport.NewStream(end{to: "client", log: &log}, nil), up: transport.NewStream(end{to: "Postgres", log: &log}, nil), talk: conversation.New()}
	l.talk.Begin(protocol.StatusIdle)
	return l, &log
}

// Answers that are gathered for the client are written before messages that are gathered for
// Postgres. Many bytes are written as they come, instead of being gathered.
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
			t.Errorf("%s: written are %.60q, %v, want %.60q and no error", name, *log, err, test.want)
		}
	}
}

// Once Postgres has ended the connection, nothing more is written to the client.
func TestLineIsSilentOncePostgresHasLeft(t *testing.T) {
	t.Parallel()
	long := func(l *line) error { return l.appendBody(make([]byte, bodyCopyMax+1)) }
	for name, test := range map[string]struct {
		gathered string // for the client, before Postgres leaves
		say      func(*line) error
	}{
		"flush":                        {"answer", (*line).flushClient},
		"a message behind an answer":   {"answer", func(l *line) error { return l.sendUpstream(syncMessage) }},
		"a long answer behind another": {"answer", long},
		"a long answer alone":          {"", long},
	} {
		l, log := newLine()
		l.out = append(l.out, test.gathered...)
		l.talk.Leave()
		if err := test.say(l); !errors.Is(err, errDone) || len(*log) > 0 {
			t.Errorf("%s: %v, written are %.60q, want %v and nothing written", name, err, *log, errDone)
		}
	}
}

// Behind a hit, a line sends a Sync if Postgres was sent nothing for half of the time after which
// it ends an idle session, and not before.
func TestLineIsKeptAlive(t *testing.T) {
	t.Parallel()
	const limit = time.Minute
	l, log := newLine()
	if l.timeIdleness(&probe.State{}); l.timed {
		t.Error("the time of each message to Postgres is taken, though Postgres ends no idle session, want it not taken")
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
			t.Errorf("%v after the last message %q is to be sent, want a Sync: %v", after, l.toUp, after >= limit/2)
		}
	}
	if l.toUp = l.toUp[:0]; l.keepAlive(0) != nil || len(l.toUp) > 0 || len(*log) != 1 {
		t.Errorf("without a limit %q is to be sent, and %d writes were made, want nothing more than the first", l.toUp, len(*log))
	}
}
