package wire

import (
	"fmt"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// unconnected makes an idle session that has neither a client nor a Postgres, for tests of
// decisions that need neither.
func unconnected(t testing.TB) *session {
	t.Helper()
	return unconnectedBehind(t, fence.New(fewSlots))
}

// unconnectedBehind is unconnected with the fence f.
func unconnectedBehind(t testing.TB, f *fence.Fence) *session {
	t.Helper()
	server := &Server{
		database: database{background: t.Context(), fence: f, follower: idleFollower{}, verdicts: shapes.NewBook(nil, nil)},
	}
	s := newSession(server, silent{})
	t.Cleanup(s.end)
	s.talk.Begin(protocol.StatusIdle)
	return s
}

// newStore makes a cache behind the fence f, with nothing in it.
func newStore(t testing.TB, f *fence.Fence) *engine.Cache {
	t.Helper()
	store, err := engine.New(engine.Options{Fence: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// idleFollower is a follower that follows no database and has received no event.
type idleFollower struct{}

func (idleFollower) Wake() {}

func (idleFollower) Suspect() {}

func (idleFollower) KnowsRole(uint32) bool { return true }

func (idleFollower) State() *invalidation.State { return &invalidation.State{} }

// receive has the session read b as bytes from Postgres, and returns the bytes that its client
// gets of them.
func (s *session) receive(t testing.TB, b []byte) []byte {
	t.Helper()
	var partial relayed
	n, shown := s.take(b, &partial, nil)
	if n != len(b) {
		t.Fatalf("the session took %d of %d bytes, want all", n, len(b))
	}
	return shown
}

func TestFatalErrorDuringAProbeReachesTheClient(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	s.talk.OweRow()
	fatal := protocol.ErrorResponse("FATAL", "57P01", "terminating connection due to administrator command", "")
	if shown := s.receive(t, fatal); string(shown) != string(fatal) {
		t.Errorf("the client gets %q, want the fatal error %q", shown, fatal)
	}
	s = unconnected(t)
	s.talk.OweRow()
	refused := join(protocol.ErrorResponse("ERROR", "3F000", "schema \"freshet\" does not exist", ""), []byte(protocol.ReadyIdle))
	if shown := s.receive(t, refused); len(shown) > 0 {
		t.Errorf("the client gets the answer of a failed probe, want nothing:\n%s", show(shown))
	}
	row, _ := s.talk.AwaitRow()
	if state := probe.ParseAnswer(row, nil); state != nil || s.talk.Owed() {
		t.Errorf("a failed probe found the state %+v, want none; Postgres still owes an answer: %v, want false", state, s.talk.Owed())
	}
}

// Postgres reports a setting that a reload of its configuration changed, between two messages of
// an answer. The answer may depend on the new value, and its key holds the old one.
func TestCase35AnswerBehindAChangedSettingIsNotKept(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	c := &answer.Capture{SizeMax: 1 << 20}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Harmless: true, Capture: c})
	answer := join(protocol.AppendMessage(nil, 'S', []byte("TimeZone\x00Asia/Tokyo\x00")),
		protocol.AppendMessage(nil, 'T', []byte{0, 0}), protocol.AppendMessage(nil, 'C', []byte("SELECT 0\x00")))
	if shown := s.receive(t, answer); string(shown) != string(answer) {
		t.Errorf("the client gets\n%s\nwant the whole answer\n%s", show(shown), show(answer))
	}
	// ReadyForQuery goes to the conversation alone: the session would give the capture back for
	// reuse, and the test could not look at it any more.
	s.talk.Lock()
	s.talk.HearLocked(protocol.ReadyIdle[0], []byte(protocol.ReadyIdle[protocol.HeaderLength:]))
	s.talk.Unlock()
	if c.Whole() {
		t.Error("the capture is whole: the answer would be kept")
	}
	if s.talk.Clean() {
		t.Error("the conversation is clean, as if no setting had changed")
	}
}

func TestDatabaseWithoutFreshetIsNotProbedForEveryRead(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	bare := bed.postgres.CreateDatabase(t)
	before := s.Report()
	c := bed.connect(fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", s.dir, testPort, bare))
	for i := range 100 {
		var got int
		if err := c.QueryRow(t.Context(), "SELECT oid::int - oid::int + $1 FROM pg_class LIMIT 1", i).Scan(&got); err != nil || got != i {
			t.Fatalf("read %d, %v, want %d", got, err, i)
		}
	}
	after := s.Report()
	if n := after.UpstreamProbes - before.UpstreamProbes; n > 10 {
		t.Errorf("%d probes for 100 reads of a database that has no Freshet, want at most 10", n)
	}
	if after.Bypasses[reasons.ProbeFailed] == before.Bypasses[reasons.ProbeFailed] {
		t.Errorf("no read was passed through for %s: %v", reasons.ProbeFailed, after.Bypasses)
	}
}

// TestNewIncarnationIsFoundOnAnOldConnection uninstalls Freshet and installs it again, which
// gives the database a new incarnation. A session that was open before must learn it, and be
// served again: its probes ask for the incarnation only when the follower has another one than
// the session knows.
func TestNewIncarnationIsFoundOnAnOldConnection(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	conn := s.connect()
	s.warm(conn)
	if err := invalidation.Uninstall(t.Context(), bed.direct); err != nil {
		t.Fatal(err)
	}
	if _, err := invalidation.Install(t.Context(), bed.direct, invalidation.Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		t.Fatal(err)
	}
	mustHit := func(version int) {
		t.Helper()
		servers.Eventually(t, fmt.Sprintf("a hit that shows version %d", version), func() bool {
			before := s.count(HitL1)
			return versionOf7(t, conn) == version && s.count(HitL1) > before
		})
	}
	mustHit(0)
	bed.exec("UPDATE item SET version = 1 WHERE id = 7")
	mustHit(1)
}
