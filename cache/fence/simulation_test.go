package fence

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A seeded simulation of a fleet: one modelPostgres, a few caches each with its
// own Fence, sessions that read and write through them, and a shared second
// tier that lies. Only the Fence, Ticket, Session and Label are real; how they
// are driven is what the protocol asks of a follower and a cache. One goroutine,
// one step at a time: a seed always gives the same run.
//
// What every answer is checked against knows nothing of labels or events:
//
//   - it equals the database at one moment, not before the serving fence's clock
//     (and so includes every commit acknowledged before it), nor more than
//     staleness ago;
//   - for its session that moment is not before its own last write nor before
//     anything it was shown;
//   - it was loaded from the incarnation that the fence knows.

var seedFlag = flag.Int64("seed", -1, "run TestSimulation with this seed only, and log every step")

const (
	simulationSteps = 1000
	// staleness is in steps: each step takes one nanosecond of the simulated clock.
	staleness    = 150 * time.Nanosecond
	keyCount     = 6
	keptPerQuery = 4 // entries of one query in one first tier
)

// simulationSeeds are as many as make quick runs, and a third with the race detector, to which
// one goroutine shows nothing: the mutant that is hardest to notice needs 250.
var simulationSeeds = map[bool]int{false: 3000, true: 1000}[raceDetector]

// deviations are ways to drive the fence that the protocol forbids. The zero
// value forbids them too.
type deviations struct {
	labelAfterLoad     bool // label := the head when the load has ended
	upperTooEarly      bool // upper := a head whose look began before the load ended
	gapUnnoticed       bool // the trim mark is not compared with the head
	gapWithoutFloor    bool // a gap forgets the events and distrusts nothing
	startWithoutFloor  bool // a new process trusts labels older than the trim mark
	incarnationIgnored bool // one name for every incarnation
	serverUnproven     bool // captures whichever incarnation the connection reached
	rowsByID           bool // a look asks for rows after the last one it saw
	runningIgnored     bool // a look asks for xid >= xmax only
	eventsDropped      bool // some events are lost
	clockFirst         bool // the clock moves before the events are applied
	needIgnored        bool // a session is served whatever it has seen
	writesUnnoted      bool // a session does not note its own writes
	shownUnnoted       bool // a session does not note what entries showed it
	restVouches        bool // who rests vouches for its head as if it had looked
	hintIsProof        bool // what is heard of moves the clock
	hintIsHead         bool // what is heard of moves the head
}

const (
	wholesaleTag = Tag(1)
	tableTag     = Tag(2)
	keyTagBase   = Tag(10)
	otherTagBase = Tag(1000) // of tables that nobody reads
)

type simulatedQuery struct {
	keys []int
	tags []Tag
}

var simulatedQueries = func() []simulatedQuery {
	queries := []simulatedQuery{{[]int{0, 1, 2, 3, 4, 5}, []Tag{tableTag}}}
	for _, keys := range [][]int{{0}, {1}, {2}, {3}, {0, 1}, {2, 4, 5}} {
		tags := []Tag{wholesaleTag}
		for _, k := range keys {
			tags = append(tags, keyTagBase+Tag(k))
		}
		queries = append(queries, simulatedQuery{keys, tags})
	}
	return queries
}()

type simulation struct {
	random    *rand.Rand
	deviation deviations
	db        *modelPostgres
	caches    []*simulatedCache
	actions   []simulatedAction
	weightSum int

	now Instant
	// stateAt[i] is the state of the database at moment i.
	stateAt []int
	// shared holds, by query, every entry that was ever published.
	shared [][]sharedEntry

	count     simulationCount
	violation *violation
	trace     func(format string, arguments ...any) // nil: no trace
}

// simulationCount proves that the runs met what they are meant to meet.
type simulationCount map[string]int

const (
	hits            = "hits"
	sharedHits      = "hits in the second tier"
	loads           = "loads"
	refused         = "entries refused"
	unsure          = "reads without proof of freshness"
	advances        = "heads advanced"
	starts          = "starts of a follower"
	incarnations    = "changes of incarnation noticed"
	gaps            = "trim gaps noticed"
	reusedIDs       = "ids reused"
	folds           = "slots with a floor"
	published       = "entries published"
	settled         = "settled entries served"
	lostConnections = "connections lost in a crash"
	rests           = "followers that rest"
	pulses          = "looks that vouch for nothing"
)

var countedEvents = []string{
	hits, sharedHits, loads, refused, unsure, advances, starts, incarnations,
	gaps, reusedIDs, folds, published, settled, lostConnections, rests, pulses, hintsHeard, hintsInvented,
}

type violation struct{ kind, text string }

const (
	kindStale       = "stale"
	kindSession     = "session"
	kindIncarnation = "incarnation"
)

type simulatedCache struct {
	name     string
	fence    *Fence
	slots    int
	lives    int // incarnation that the newest head is of, for the checker
	look     *simulatedLook
	resting  bool
	lastRow  int // only for rowsByID
	kept     [][]*simulatedEntry
	unsent   []*simulatedEntry // not published yet
	loads    []*simulatedLoad
	sessions []*simulatedSession
}

type simulatedLook struct {
	began        Instant
	incarnation  int // of the server to which the connection was made
	result       *looked
	clockIsAhead bool // only for clockFirst
	pulse        bool // it vouches for nothing
}

type simulatedEntry struct {
	query       int
	ticket      *Ticket
	value       []int
	incarnation int // for the checker only
}

type sharedEntry struct {
	label       []byte
	value       []int
	incarnation int
}

type simulatedLoad struct {
	query       int
	session     *simulatedSession
	began       Instant
	label       *Label // nil: the answer is not captured
	incarnation int
	value       []int // nil until the query has run
}

type simulatedSession struct {
	Session
	busy bool
	// position is the earliest state that the session's next answer may show.
	position int
}

type simulatedAction struct {
	weight int
	do     func()
}

func newSimulation(seed uint64, d deviations) *simulation {
	s := &simulation{
		random: rand.New(rand.NewPCG(seed, 0)), deviation: d, db: newModelPostgres(keyCount),
		shared: make([][]sharedEntry, len(simulatedQueries)), count: simulationCount{},
	}
	for i := range 1 + s.random.IntN(3) {
		c := &simulatedCache{name: fmt.Sprint("cache ", i), slots: []int{1, 2, 8, 64}[s.random.IntN(4)]}
		s.restart(c)
		s.caches = append(s.caches, c)
	}
	// Each seed is a world of its own: hasty or idle followers, busy or idle
	// writers, a crash now and then or never.
	s.actions = []simulatedAction{
		{2 + s.random.IntN(12), s.beginTransaction},
		{5 + s.random.IntN(15), s.endTransaction},
		{15 + s.random.IntN(60), s.moveLook},
		{60, s.request},
		{20 + s.random.IntN(60), s.moveLoad},
		{s.random.IntN(2), s.writeElsewhere},
		{1 + s.random.IntN(2), s.db.rememberForTrim},
		{s.random.IntN(2), s.trim},
		{s.random.IntN(2), s.crash},
		{s.random.IntN(2), s.restartOne},
		{s.random.IntN(3), s.rest},
		{s.random.IntN(2) * (1 + s.random.IntN(10)), s.hint},
	}
	for _, a := range s.actions {
		s.weightSum += a.weight
	}
	return s
}

// run takes steps until something was served that must not have been.
func (s *simulation) run(steps int) *violation {
	for range steps {
		s.stateAt = append(s.stateAt, s.db.current())
		s.now = Instant(len(s.stateAt) - 1)
		n := s.random.IntN(s.weightSum)
		for _, a := range s.actions {
			if n -= a.weight; n < 0 {
				a.do()
				break
			}
		}
		if s.violation != nil {
			break
		}
	}
	return s.violation
}

func (s *simulation) logf(format string, arguments ...any) {
	if s.trace != nil {
		s.trace("%4d "+format, append([]any{s.now}, arguments...)...)
	}
}

func pickOne[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// check finds the earliest state, from the bounds on, that equals the answer.
// The earliest leaves the session the most freedom for its next answers, so if
// there is none, no order of states explains what the session was shown.
func (s *simulation) check(session *simulatedSession, query int, value []int, bound int, from string) {
	keys := simulatedQueries[query].keys
	equals := func(state []int) bool {
		for i, k := range keys {
			if state[k] != value[i] {
				return false
			}
		}
		return true
	}
	if found := slices.IndexFunc(s.db.states[bound:], equals); found < 0 {
		s.violate(kindStale, "%s answered query %d with %v, which is no state from %d on", from, query, value, bound)
		return
	}
	bound = max(bound, session.position)
	found := slices.IndexFunc(s.db.states[bound:], equals)
	if found < 0 {
		s.violate(kindSession, "%s answered query %d with %v, but the session has seen state %d", from, query, value, session.position)
		return
	}
	session.position = bound + found
}

func (s *simulation) violate(kind, format string, arguments ...any) {
	if s.violation == nil {
		s.violation = &violation{kind, fmt.Sprintf(format, arguments...)}
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	if *seedFlag >= 0 {
		s := newSimulation(uint64(*seedFlag), deviations{})
		s.trace = t.Logf
		if v := s.run(simulationSteps); v != nil {
			t.Fatalf("%s: %s", v.kind, v.text)
		}
		return
	}
	total := simulationCount{}
	for seed := range uint64(simulationSeeds) {
		s := newSimulation(seed, deviations{})
		if v := s.run(simulationSteps); v != nil {
			t.Fatalf("seed %d: %s: %s\nsee it happen: go test ./cache/fence -v -run TestSimulation -seed %d", seed, v.kind, v.text, seed)
		}
		for event, n := range s.count {
			total[event] += n
		}
	}
	for _, event := range countedEvents {
		// A hundredth of the seeds is little enough to last when the dice change.
		if total[event] < simulationSeeds/100 {
			t.Errorf("%s: only %d in %d seeds: the simulation does not test what it should", event, total[event], simulationSeeds)
		}
	}
	t.Logf("%d seeds: %v", simulationSeeds, total)
}
