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

// staged is a session that can send, without sockets and without a server: Postgres says what a
// script has it say, and all that is written is kept.
type staged struct {
	*deciding
	t testing.TB
	// sent is what Postgres was sent, and shown what its client was.
	sent, shown []byte
	// waits are what Postgres says when it is written to, an element for each write. Behind the
	// last one nothing more is heard, so that nobody waits for ever.
	waits []string
	// ended are the captures whose answers have ended.
	ended []*answer.Capture
	// news is all that it was told of what it has heard.
	news conversation.News
}

// newStaged is one that Postgres has let in, and whose state is known.
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

// stagedMax is how long a wait lasts for what a script does not have Postgres say.
const stagedMax = time.Minute

// stagedEnd is an end of a line that hands on what is written to it.
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

// hear has the session hear what Postgres says: see saying.
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

// saying are the messages of Postgres that words stand for, each its letter. Behind it may stand the
// status of a ReadyForQuery, the code of an error, or the tag of a command, with _ for a space. t1 is
// the description of one parameter, F an error that ends the connection.
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

// errorSaid is an error of a code: one that the sidecar gives in Postgres' place is as it says.
func errorSaid(code string) []byte {
	switch code {
	case "57014":
		return protocol.ErrorResponse("ERROR", code, "canceling statement due to user request", "")
	case "0A000":
		return protocol.ErrorResponse("ERROR", code, "cached plan must not change result type", "")
	}
	return protocol.ErrorResponse("ERROR", code, "said", "")
}

// standing tells how things stand between the session and Postgres, and what is held back.
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

// query sends a Query as session does that has decided to: behind what is held back, as the plan
// that it is.
func (s *staged) query(sql string, harmless bool) error {
	unit := msgQuery(sql)
	return s.unit(unit, harmless, func() { s.planQuery([]byte(sql), true) })
}

// group sends a group, or a part of one, likewise.
func (s *staged) group(harmless bool, messages ...[]byte) error {
	unit := join(messages...)
	return s.unit(unit, harmless, func() { s.planGroup(unit) })
}

func (s *staged) unit(unit []byte, harmless bool, plan func()) error {
	if err := s.settle(); err != nil {
		return err
	}
	s.statements.BeginUnit(unit)
	s.obstacle()
	plan()
	return s.forward(unit, harmless)
}

// beginBlock holds back a BEGIN, and what comes behind it.
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

// verdictOf analyses everything as one verdict.
type verdictOf struct{ *analysis.Verdict }

func (v verdictOf) Analyze(context.Context, analysis.Request) (*analysis.Verdict, error) {
	return v.Verdict, nil
}

func (verdictOf) Forget() {}

// slotOf has a text analysed, with a verdict.
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

// prepare has Postgres accept a statement of the client's, as what its text means now.
func (s *staged) prepare(name, sql string) *statements.Prepared {
	s.t.Helper()
	if err := errors.Join(s.group(true, msgParse(name, sql), msgSync), s.flush()); err != nil {
		s.t.Fatal(err)
	}
	s.hear("1 ZI")
	s.takeBack()
	return s.statements.Named([]byte(name))
}

// answeredHere is an unnamed statement that the client believes to have prepared, and that
// Postgres has not heard of.
func (s *staged) answeredHere(sql string) *statements.Prepared {
	statement, _ := s.statements.Intern([]byte(sql + "\x00\x00\x00"))
	p := &statements.Prepared{Statement: statement, Parse: msgParse("", sql)}
	p.Meaning.Store(s.meaning())
	return s.statements.Adopt(p, true)
}

// opened is what begins a block in Postgres, by its statements, without a Sync.
func opened(texts ...string) (messages []byte) {
	const name = "freshet begin"
	for _, text := range texts {
		messages = append(messages, join(msgParse(name, text), binding{portal: name, statement: name}.message(), msgExecute(name, 0), msgClose('P', name), msgClose('S', name))...)
	}
	return messages
}

// sendingTest is one way to send something, and what comes of it.
type sendingTest struct {
	// given is done before, and what is sent and shown for it does not count.
	given func(*staged)
	do    func(*staged) error
	// waits are what Postgres says while it is waited for: see staged.
	waits []string
	sent  []byte
	// then is how things stand when all is sent, and in the end, when Postgres has said what it
	// says behind that.
	then string
	says string
	end  string
	// waitsBehind are what Postgres says while the session finds out what came of it, before its
	// client's next message is dealt with, and sentBehind is what it is sent for that.
	waitsBehind []string
	sentBehind  []byte
	// shown is what the client is shown of all that Postgres says, or in its place.
	shown string
	// also says what else is wrong, if anything is.
	also func(*staged) string
}

// doSending does so.
func doSending(t *testing.T, tests map[string]sendingTest) {
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
			s.waits = append(test.waits[:len(test.waits):len(test.waits)], "") // for the flush behind it
			if err := errors.Join(test.do(s), s.flush()); err != nil {
				t.Fatalf("%v; sent is\n%s", err, showSent(s.sent))
			}
			if len(s.waits) > 0 {
				t.Errorf("Postgres is waited for %d times fewer than it is to be", len(s.waits))
			}
			if !bytes.Equal(s.sent, test.sent) {
				t.Errorf("sent is\n%s, want\n%s", showSent(s.sent), showSent(test.sent))
			}
			if got := s.standing(); got != test.then {
				t.Errorf("when it is sent, %s; want %s", got, test.then)
			}
			s.hear(test.says)
			s.sent, s.waits = nil, test.waitsBehind
			if err := s.settle(); err != nil && !errors.Is(err, errDone) {
				t.Fatal(err)
			}
			if len(s.waits) > 0 {
				t.Error("behind it Postgres is not waited for")
			}
			if !bytes.Equal(s.sent, test.sentBehind) {
				t.Errorf("behind it sent is\n%s, want\n%s", showSent(s.sent), showSent(test.sentBehind))
			}
			if got := s.standing(); got != test.end {
				t.Errorf("in the end, %s; want %s", got, test.end)
			}
			if want := saying(test.shown); !bytes.Equal(s.shown, want) {
				t.Errorf("the client is shown\n%s, want\n%s", show(s.shown), show(want))
			}
			if test.also != nil {
				if wrong := test.also(s); wrong != "" {
					t.Error(wrong)
				}
			}
		})
	}
}
