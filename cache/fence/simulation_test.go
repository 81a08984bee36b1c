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
	simulationSeeds = 4000
	simulationSteps = 1000
	// staleness is in steps: each step takes one nanosecond of the simulated clock.
	staleness    = 150 * time.Nanosecond
	keyCount     = 6
	keptPerQuery = 4 // entries of one query in one first tier
)

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
)

var countedEvents = []string{
	hits, sharedHits, loads, refused, unsure, advances, starts, incarnations,
	gaps, reusedIDs, folds, published, settled, lostConnections,
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

// --- writers ---

func (s *simulation) beginTransaction() {
	if len(s.db.running) < 8 {
		s.write(nil)
	}
}

// write begins a transaction that changes one or two keys, or everything.
func (s *simulation) write(session *simulatedSession) {
	t := s.db.begin()
	t.session, t.long = session, session == nil && s.random.IntN(4) == 0
	if s.random.IntN(12) == 0 {
		s.db.write(t, simulatedQueries[0].keys, []Tag{tableTag, wholesaleTag})
	}
	for range 1 + s.random.IntN(2) {
		k := s.random.IntN(keyCount)
		s.db.write(t, []int{k}, []Tag{tableTag, keyTagBase + Tag(k)})
	}
	s.logf("transaction %d writes %v", t.xid, t.writes)
}

// writeElsewhere commits a change of many tags at once, more than a slot holds.
func (s *simulation) writeElsewhere() {
	t := s.db.begin()
	tags := make([]Tag, 40)
	for i := range tags {
		tags[i] = otherTagBase + Tag(i)
	}
	s.db.write(t, nil, tags)
	s.db.commit(t, s.random.IntN(2) == 0)
	s.logf("transaction %d changes another table", t.xid)
}

func (s *simulation) endTransaction() {
	if len(s.db.running) == 0 {
		return
	}
	t := pickOne(s.random, s.db.running)
	if t.long && s.random.IntN(10) != 0 {
		if s.random.IntN(10) == 0 {
			s.db.prepare(t)
		}
		return
	}
	if s.random.IntN(6) == 0 {
		s.db.abort(t)
		s.logf("transaction %d aborts", t.xid)
	} else {
		s.db.commit(t, t.prepared || s.random.IntN(2) == 0)
		s.logf("transaction %d commits: state %d", t.xid, s.db.current())
		if t.session != nil {
			t.session.position = s.db.current()
		}
	}
	if t.session != nil {
		t.session.busy = false
		if !s.deviation.writesUnnoted {
			t.session.Received(s.now)
		}
	}
}

func (s *simulation) trim() {
	if n := len(s.db.mayTrim); n > 0 {
		s.db.trim(s.random.IntN(n))
		s.logf("trimmed to %v", s.db.mark)
	}
}

func (s *simulation) crash() {
	if s.random.IntN(6) != 0 {
		return
	}
	for _, t := range s.db.running {
		if t.session != nil {
			t.session.busy = false // its connection is gone, and no promise was made
		}
	}
	n := s.db.crash()
	s.count[reusedIDs] += n
	s.logf("crash: incarnation %d, %d ids to be reused from %d on", s.db.incarnation, n, s.db.next)
}

// --- followers ---

func (s *simulation) restartOne() {
	if s.random.IntN(4) == 0 {
		c := pickOne(s.random, s.caches)
		s.restart(c)
		s.logf("%s restarts", c.name)
	}
}

func (s *simulation) restart(c *simulatedCache) {
	for _, t := range s.db.running {
		if slices.Contains(c.sessions, t.session) {
			t.session = nil
		}
	}
	*c = simulatedCache{
		name: c.name, slots: c.slots, fence: New(Options{Slots: c.slots}),
		kept:     make([][]*simulatedEntry, len(simulatedQueries)),
		sessions: []*simulatedSession{{}, {}, {}},
	}
}

// moveLook takes one cache's look one stage further: begun, answered by the
// server, completed.
func (s *simulation) moveLook() {
	c := pickOne(s.random, s.caches)
	switch {
	case c.look == nil:
		c.look = &simulatedLook{began: s.now, incarnation: s.db.incarnation}
	case c.look.result != nil:
		s.completeLook(c)
	case c.look.incarnation != s.db.incarnation:
		c.look = nil // a connection does not survive a crash
		s.count[lostConnections]++
	default:
		result := s.db.look(s.wanted(c))
		c.look.result = &result
		s.logf("%s looks: %v, %d events", c.name, result.snapshot, len(result.events))
	}
}

func (s *simulation) wanted(c *simulatedCache) func(outboxRow) bool {
	head := c.fence.Head()
	switch {
	case s.deviation.rowsByID && head != nil:
		last := c.lastRow
		return func(r outboxRow) bool { return r.id > last }
	case s.deviation.runningIgnored && head != nil:
		return func(r outboxRow) bool { return r.event.XID >= head.Snapshot.Xmax() }
	}
	wanted := newSince(head)
	if s.deviation.eventsDropped {
		return func(r outboxRow) bool { return wanted(r) && s.random.IntN(4) != 0 }
	}
	return wanted
}

func (s *simulation) completeLook(c *simulatedCache) {
	look := c.look
	head := &Head{s.incarnationName(look.result.incarnation), look.result.snapshot}
	previous := c.fence.Head()
	switch {
	case previous == nil:
		s.count[starts]++
		floor := look.result.mark
		if s.deviation.startWithoutFloor {
			floor = Snapshot{}
		}
		c.fence.Reset(head, floor, look.result.events, look.began)
	case previous.Incarnation != head.Incarnation || !head.Snapshot.Includes(previous.Snapshot):
		s.count[incarnations]++
		c.fence.Reset(head, head.Snapshot, nil, look.began)
	case !previous.Snapshot.Includes(look.result.mark) && !s.deviation.gapUnnoticed:
		s.count[gaps]++
		floor := head.Snapshot
		if s.deviation.gapWithoutFloor {
			floor = Snapshot{}
		}
		c.fence.Reset(head, floor, nil, look.began)
	case s.deviation.clockFirst && !look.clockIsAhead:
		look.clockIsAhead = true
		c.fence.Advance(previous, nil, look.began)
		return
	default:
		s.count[advances]++
		c.fence.Advance(head, look.result.events, look.began)
	}
	c.lives, c.lastRow, c.look = look.result.incarnation, look.result.lastRow, nil
	s.countFolds(c)
	s.publish(c, head)
	s.logf("%s: head %v, clock %d", c.name, head.Snapshot, c.fence.LookBegan())
}

func (s *simulation) incarnationName(i int) Incarnation {
	if s.deviation.incarnationIgnored {
		i = 0
	}
	return Incarnation(fmt.Sprint("life ", i))
}

func (s *simulation) countFolds(c *simulatedCache) {
	for i := range c.fence.slots {
		if c.fence.slots[i].floor != nil {
			s.count[folds]++
		}
	}
}

// --- the two tiers ---

// publish gives the second tier every entry whose upper bound is known now.
func (s *simulation) publish(c *simulatedCache, head *Head) {
	c.unsent = slices.DeleteFunc(c.unsent, func(e *simulatedEntry) bool {
		if c.fence.LookBegan() < e.ticket.Loaded() {
			return false
		}
		s.send(e, head)
		return true
	})
}

func (s *simulation) send(e *simulatedEntry, upper *Head) {
	label := e.ticket.Label()
	if label.Incarnation != upper.Incarnation {
		return
	}
	label.Upper = upper.Snapshot
	s.count[published]++
	s.shared[e.query] = append(s.shared[e.query], sharedEntry{label.AppendBinary(nil), e.value, e.incarnation})
}

// keep stores an entry in the first tier, which remembers some old ones too and
// returns any of them: a tier that drops, delays and resurrects.
func (c *simulatedCache) keep(e *simulatedEntry) {
	kept := append(c.kept[e.query], e)
	c.kept[e.query] = kept[max(0, len(kept)-keptPerQuery):]
}

// fetch returns any entry that was ever published for the query, or nil.
func (s *simulation) fetch(c *simulatedCache, query int) *simulatedEntry {
	all := s.shared[query]
	if len(all) == 0 {
		return nil
	}
	// Mostly one of the latest, so that some are good.
	from := all[max(0, len(all)-1-s.random.IntN(4)):]
	if s.random.IntN(3) == 0 {
		from = all
	}
	found := pickOne(s.random, from)
	label, rest, err := DecodeLabel(found.label)
	if err != nil || len(rest) != 0 {
		panic(fmt.Sprintf("a published label is not readable: %v", err))
	}
	e := &simulatedEntry{query, NewTicket(label, simulatedQueries[query].tags, s.now), found.value, found.incarnation}
	c.keep(e)
	return e
}

// --- readers ---

func (s *simulation) request() {
	c := pickOne(s.random, s.caches)
	session := pickOne(s.random, c.sessions)
	switch {
	case session.busy:
	case s.random.IntN(8) == 0:
		session.busy = true
		s.write(session)
	default:
		s.read(c, session, s.random.IntN(len(simulatedQueries)))
	}
}

func (s *simulation) read(c *simulatedCache, session *simulatedSession, query int) {
	clock := c.fence.LookBegan()
	if c.fence.Fresh(s.now, staleness) && (clock >= session.Need() || s.deviation.needIgnored) {
		if kept := c.kept[query]; len(kept) > 0 {
			if e := pickOne(s.random, kept); s.admits(c, e) {
				s.count[hits]++
				s.serve(c, session, e, clock)
				return
			}
		}
		if e := s.fetch(c, query); e != nil && s.admits(c, e) {
			s.count[sharedHits]++
			s.serve(c, session, e, clock)
			return
		}
	} else {
		s.count[unsure]++
	}
	load := &simulatedLoad{query: query, session: session, began: s.now, incarnation: s.db.incarnation}
	// Only what comes from the incarnation that the follower knows is captured.
	head := c.fence.Head()
	if head != nil && (head.Incarnation == s.incarnationName(s.db.incarnation) || s.deviation.serverUnproven) {
		label := LabelAt(head)
		load.label = &label
	}
	session.busy = true
	c.loads = append(c.loads, load)
}

func (s *simulation) admits(c *simulatedCache, e *simulatedEntry) bool {
	admitted := c.fence.Admits(e.ticket)
	if !admitted {
		s.count[refused]++
	}
	return admitted
}

func (s *simulation) serve(c *simulatedCache, session *simulatedSession, e *simulatedEntry, clock Instant) {
	s.logf("%s serves query %d: %v of label %v, clock %d", c.name, e.query, e.value, e.ticket.Label().Lower, clock)
	if e.incarnation != c.lives && !s.deviation.incarnationIgnored {
		s.violate(kindIncarnation, "%s, at incarnation %d, served an entry of incarnation %d", c.name, c.lives, e.incarnation)
	}
	bound := max(clock, s.now-Instant(staleness), 0)
	s.check(session, e.query, e.value, s.stateAt[bound], c.name)
	included := c.fence.Settled(e.ticket.Label())
	if included {
		s.count[settled]++
	}
	if clock < e.ticket.Loaded() && !included && !s.deviation.shownUnnoted {
		session.Received(e.ticket.Loaded())
	}
}

// moveLoad takes a load one stage further: its query runs, or its answer
// arrives and becomes an entry.
func (s *simulation) moveLoad() {
	c := pickOne(s.random, s.caches)
	if len(c.loads) == 0 {
		return
	}
	load := pickOne(s.random, c.loads)
	switch {
	case load.value != nil:
		s.finishLoad(c, load)
	case load.incarnation != s.db.incarnation:
		s.count[lostConnections]++
	default:
		for _, k := range simulatedQueries[load.query].keys {
			load.value = append(load.value, s.db.states[s.db.current()][k])
		}
		return
	}
	load.session.busy = false
	c.loads = slices.DeleteFunc(c.loads, func(l *simulatedLoad) bool { return l == load })
}

func (s *simulation) finishLoad(c *simulatedCache, load *simulatedLoad) {
	s.count[loads]++
	s.check(load.session, load.query, load.value, s.stateAt[load.began], "Postgres")
	load.session.Received(s.now)
	head := c.fence.Head()
	if s.deviation.labelAfterLoad && head != nil {
		label := LabelAt(head)
		load.label = &label
	}
	if load.label == nil {
		return
	}
	e := &simulatedEntry{load.query, NewTicket(*load.label, simulatedQueries[load.query].tags, s.now), load.value, load.incarnation}
	s.logf("%s has loaded query %d: %v with label %v", c.name, e.query, e.value, load.label.Lower)
	c.keep(e)
	if s.deviation.upperTooEarly && head != nil {
		s.send(e, head)
		return
	}
	c.unsent = append(c.unsent, e)
}

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
