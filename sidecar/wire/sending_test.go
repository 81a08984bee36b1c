package wire

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// staged is a session without sockets, as far as its layers up to deciding. A script answers as
// Postgres, and all bytes that the session writes to Postgres and to its client are kept.
type staged struct {
	*deciding
	t testing.TB
	// sent holds the bytes that were written to Postgres, shown those for the client.
	sent, shown []byte
	// waits are the answers of Postgres to the next writes to it, an answer for each write, in the
	// words of saying. A write beyond the last one closes the conversation, so that the session does
	// not wait for ever.
	waits []string
	// ended are the captures that the conversation has given back, as their answers have ended.
	ended []*answer.Capture
	// news collects what the conversation has reported of all messages of Postgres.
	news conversation.News
}

// newStaged makes a session that is idle behind its start-up, and whose state is known.
func newStaged(t testing.TB) *staged {
	db := &database{verdicts: shapes.NewBook(anyAnalyzer{}, nil), follower: idleFollower{}, fence: fence.New(fence.Options{})}
	s := &staged{deciding: &deciding{}, t: t}
	s.attach(t.Context(), db, transport.NewStream(stagedEnd{write: s.show}, nil))
	s.up = transport.NewStream(stagedEnd{write: s.send}, nil)
	s.talk.Begin(protocol.StatusIdle)
	s.known.Note(&probe.State{})
	hopeless := time.AfterFunc(stagedMax, s.talk.Close)
	t.Cleanup(func() { hopeless.Stop() })
	return s
}

// stagedMax bounds a wait of a session for a message that the script does not hold.
const stagedMax = time.Minute

// stagedEnd is a connection that hands all that is written to it to a function.
type stagedEnd struct {
	silent
	write func([]byte)
}

func (e stagedEnd) Write(b []byte) (int, error) {
	e.write(b)
	return len(b), nil
}

func (s *staged) show(b []byte) { s.shown = append(s.shown, b...) }

func (s *staged) send(b []byte) {
	s.sent = append(s.sent, b...)
	if len(s.waits) == 0 {
		s.talk.Close()
		return
	}
	said := s.waits[0]
	s.waits = s.waits[1:]
	s.hear(said)
}

// hear has the session receive messages of Postgres, in the words of saying.
func (s *staged) hear(words string) {
	s.talk.Lock()
	defer s.talk.Unlock()
	for kind, message := range protocol.Messages(saying(words)) {
		h := s.talk.HearLocked(kind, message[protocol.HeaderLength:])
		if h.Capture != nil {
			h.Capture.Add(kind, message)
		}
		switch h.Action {
		case conversation.Forward:
			s.show(message)
		case conversation.Replace:
			s.show(h.Instead)
		}
		s.news |= h.News
		if h.News&conversation.Captured != 0 {
			s.ended = append(s.ended, s.talk.CapturedLocked()...)
		}
	}
}

// saying makes messages of Postgres, one for each word. A word begins with the letter of the message's
// kind, F for an error that ends the connection. What follows is the status of a ReadyForQuery, the
// code of an error, or the tag of a CommandComplete, with _ for each space; t1 is a
// ParameterDescription of one parameter. Example: "2 D CSELECT_1 ZI".
func saying(words string) (messages []byte) {
	for _, word := range strings.Fields(words) {
		kind, rest := word[0], strings.ReplaceAll(word[1:], "_", " ")
		switch kind {
		case 'Z':
			messages = protocol.AppendMessage(messages, 'Z', []byte(rest))
		case 'E':
			messages = append(messages, errorSaid(rest)...)
		case 'F':
			messages = append(messages, protocol.ErrorResponse("FATAL", rest, "said", "")...)
		case 'C':
			messages = protocol.AppendMessage(messages, 'C', []byte(rest+"\x00"))
		case 't':
			types := []byte{0, 0}
			if rest != "" {
				types = oneInteger
			}
			messages = protocol.AppendMessage(messages, 't', types)
		case 'T', 'D':
			messages = protocol.AppendMessage(messages, kind, []byte{0, 0})
		case 'G', 'H':
			messages = protocol.AppendMessage(messages, kind, []byte{0, 0, 0})
		default:
			messages = protocol.AppendMessage(messages, kind)
		}
	}
	return messages
}

// oneInteger is the body of a ParameterDescription of one int4.
var oneInteger = []byte{0, 1, 0, 0, 0, oidInt4}

// errorSaid makes an error of a code. Of the codes that the sidecar itself answers with, the message
// is the sidecar's.
func errorSaid(code string) []byte {
	switch code {
	case "57014":
		return protocol.ErrorResponse("ERROR", code, "canceling statement due to user request", "")
	case "0A000":
		return protocol.ErrorResponse("ERROR", code, "cached plan must not change result type", "")
	}
	return protocol.ErrorResponse("ERROR", code, "said", "")
}

// standing describes the session in words: the status of its transaction, then all that is so of
// the conversation and of the held block.
func (s *staged) standing() string {
	status := map[byte]string{0: "mistrusted", protocol.StatusIdle: "idle", protocol.StatusInBlock: "in a transaction", protocol.StatusFailed: "failed"}
	words := []string{status[s.talk.TransactionStatus()]}
	for _, x := range []struct {
		word string
		is   bool
	}{
		{"owes", s.talk.Owed()},
		{"held back", s.block.Held},
		{"failed", s.talk.FailedBlock()},
		{"opening", s.opening},
		{"mid group", s.talk.MidGroup()},
		{"soiled", !s.talk.Clean()},
		{"names doubtful", s.talk.NamesDoubtful()},
		{"left", s.talk.Left()},
	} {
		if x.is {
			words = append(words, x.word)
		}
	}
	return strings.Join(words, ", ")
}

// query passes a Query on as a session does that has decided to pass it through. harmless is set if
// the Query is known to change no setting.
func (s *staged) query(sql string, harmless bool) error {
	unit := msgQuery(sql)
	return s.unit(unit, harmless, func() { s.planQuery([]byte(sql), true) })
}

// group passes a group, or a part of one, on in the same way.
func (s *staged) group(harmless bool, messages ...[]byte) error {
	unit := join(messages...)
	return s.unit(unit, harmless, func() { s.planGroup(unit) })
}

// unit settles what has become known, makes the plan of a unit, and passes the unit on.
func (s *staged) unit(unit []byte, harmless bool, plan func()) error {
	if err := s.settle(); err != nil {
		return err
	}
	s.statements.BeginUnit(unit)
	s.obstacle()
	plan()
	return s.forward(unit, harmless)
}

// beginBlock has a block held back: texts are its BEGIN and the control statements behind it.
func (s *staged) beginBlock(texts ...string) {
	for _, text := range texts {
		next, does := s.block.Perform(block.ParseControl(text), text, block.Standing{MayBegin: true, MayHold: true})
		if !does.Answered {
			s.t.Fatalf("%s is not held back", text)
		}
		s.block = next
		if does.Begins {
			s.noteHeld(false)
		}
	}
}

// verdictOf is an analyzer that gives the same verdict on each statement.
type verdictOf struct{ *analysis.Verdict }

func (v verdictOf) Analyze(context.Context, analysis.Request) (*analysis.Verdict, error) {
	return v.Verdict, nil
}

func (verdictOf) Forget() {}

// slotOf gives the session a book of verdicts in which a text has the verdict v, and returns the
// text's slot.
func (s *staged) slotOf(sql string, v *analysis.Verdict) *shapes.Slot {
	s.t.Helper()
	book := shapes.NewBook(verdictOf{v}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(s.t.Context())
	var analysing sync.WaitGroup
	analysing.Go(func() { book.Run(ctx) })
	defer analysing.Wait()
	defer stop()
	var slot *shapes.Slot
	servers.Eventually(s.t, "a verdict", func() bool {
		var found *analysis.Verdict
		slot, found, _ = book.Find(ctx, s.state(), sql, nil)
		return found == v
	})
	s.db.verdicts = book
	return slot
}

// prepare has the client prepare a statement, which Postgres accepts under the state of now.
func (s *staged) prepare(name, sql string) *statements.Prepared {
	s.t.Helper()
	if err := errors.Join(s.group(true, msgParse(name, sql), msgSync), s.flush()); err != nil {
		s.t.Fatal(err)
	}
	s.hear("1 ZI")
	s.takeBack()
	return s.statements.Named([]byte(name))
}

// answeredHere gives the session an unnamed statement whose Parse the sidecar has answered by itself,
// and that Postgres does not know of.
func (s *staged) answeredHere(sql string) *statements.Prepared {
	statement, _ := s.statements.Intern([]byte(sql + "\x00\x00\x00"))
	p := &statements.Prepared{Statement: statement, Parse: msgParse("", sql)}
	p.Meaning.Store(s.meaning())
	return s.statements.Adopt(p, true)
}

// openingOf returns the messages, without a Sync, that open a block in Postgres by executing the
// statements that were held back.
func openingOf(texts ...string) (messages []byte) {
	const name = "freshet begin"
	for _, text := range texts {
		messages = append(messages, join(msgParse(name, text), binding{portal: name, statement: name}.message(), msgExecute(name, 0), msgClose('P', name), msgClose('S', name))...)
	}
	return messages
}

// sendingTest has a session send something, lets Postgres answer, and says what must come of it. Its
// fields stand in the order of events.
type sendingTest struct {
	// given prepares the session. The bytes that are sent and shown for it do not count.
	given func(*staged)
	// do sends.
	do func(*staged) error
	// waits are the answers of Postgres that do waits for: see staged.waits.
	waits []string
	// sent are the bytes that do must send to Postgres.
	sent []byte
	// then is what standing must say when do has ended.
	then string
	// says are the messages of Postgres that come then, in the words of saying.
	says string
	// sentBehind are the bytes that the session must send when it settles afterwards, before it
	// would deal with its client's next message, and waitsBehind the answers that it waits for.
	waitsBehind []string
	sentBehind  []byte
	// end is what standing must say in the end.
	end string
	// shown are the messages that the client must be shown in all, in the words of saying.
	shown string
	// also, unless nil, checks what else must be so in the end, and describes what is wrong; empty
	// if nothing is.
	also func(*staged) string
}

// runSendingTests runs each test as a subtest by its name.
func runSendingTests(t *testing.T, tests map[string]sendingTest) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStaged(t)
			if test.given != nil {
				s.waits = make([]string, 100)
				test.given(s)
				s.sent, s.shown = nil, nil
			}
			s.waits = append(test.waits[:len(test.waits):len(test.waits)], "") // an empty answer to the last flush below
			if err := errors.Join(test.do(s), s.flush()); err != nil {
				t.Fatalf("sending fails: %v; Postgres is sent\n%s", err, showSent(s.sent))
			}
			if len(s.waits) > 0 {
				t.Errorf("the session waited for Postgres %d times fewer than wanted", len(s.waits))
			}
			if !bytes.Equal(s.sent, test.sent) {
				t.Errorf("Postgres is sent\n%s, want\n%s", showSent(s.sent), showSent(test.sent))
			}
			if got := s.standing(); got != test.then {
				t.Errorf("when all is sent, the session is %s, want %s", got, test.then)
			}
			s.hear(test.says)
			s.sent, s.waits = nil, test.waitsBehind
			if err := s.settle(); err != nil && !errors.Is(err, errDone) {
				t.Fatal(err)
			}
			if len(s.waits) > 0 {
				t.Errorf("while it settled, the session waited for Postgres %d times fewer than wanted", len(s.waits))
			}
			if !bytes.Equal(s.sent, test.sentBehind) {
				t.Errorf("while the session settled, Postgres is sent\n%s, want\n%s", showSent(s.sent), showSent(test.sentBehind))
			}
			if got := s.standing(); got != test.end {
				t.Errorf("in the end the session is %s, want %s", got, test.end)
			}
			if want := saying(test.shown); !bytes.Equal(s.shown, want) {
				t.Errorf("the client is shown\n%s\nwant\n%s", show(s.shown), show(want))
			}
			if test.also != nil {
				if wrong := test.also(s); wrong != "" {
					t.Error(wrong)
				}
			}
		})
	}
}
