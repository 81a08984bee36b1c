package check

import (
	"fmt"
	"slices"
	"time"
)

// Promise names what is judged.
type Promise string

// The promises, as the report names them.
const (
	// Bounded: a read reflects every commit acknowledged more than the bound
	// before it began.
	Bounded Promise = "bounded staleness"
	// OwnWrites: a connection reads what it wrote itself.
	OwnWrites Promise = "own writes"
	// Beside: a connection reads what every other one of its sidecar was acknowledged
	// as written before the read began.
	Beside Promise = "own writes, one sidecar"
	// Guarded: who reads, computes and writes through one sidecar under a lock that
	// PostgreSQL does not know of, loses no update.
	Guarded Promise = "a lock around read and write"
	// Monotonic: a connection never reads an older version than before.
	Monotonic Promise = "monotonic, one key"
	// Across: of two rows that always change together, the one read second is
	// never older than the one read first.
	Across Promise = "monotonic, across keys"
	// Strong: a read reflects every commit acknowledged, and everything that a
	// finished strong read returned, before it began.
	Strong Promise = "strong, by registers"
	// Linear: the histories of strong reads and writes are linearizable, as
	// porcupine judges them.
	Linear Promise = "strong, by porcupine"
	// Causal: with a token taken after a write, a read elsewhere reflects it.
	Causal Promise = "causal token"
	// Atomic: one statement shows one state of the database.
	Atomic Promise = "atomic results"
	// Committed: what is read was committed, and the database did not lose it.
	Committed Promise = "committed only"
	// Block: what is read in a transaction that may write reflects every commit
	// acknowledged before its BEGIN.
	Block Promise = "transactions, from BEGIN"
	// AsParsed: a statement's constants mean what they meant under the settings of its
	// Parse.
	AsParsed Promise = "constants, from Parse"
	// AsDescribed: rows have the columns that their statement was described with.
	AsDescribed Promise = "rows, as described"
	// Control: all of the above for sessions connected to PostgreSQL itself. A
	// violation here is a fault of the checker, or a discovery.
	Control Promise = "control: direct"
)

// Promises lists them all, in the order of the report.
var Promises = []Promise{Bounded, OwnWrites, Beside, Guarded, Monotonic, Across, Strong, Linear, Causal, Atomic, Committed, Block, AsParsed, AsDescribed, Control}

// level is what a session asks the sidecar for.
type level uint8

const (
	levelSession level = iota // the default
	levelBounded
	levelStrong
	levelDirect // no sidecar
)

var levelNames = [...]string{"session", "bounded", "strong", "direct"}

// String is the word that freshet.consistency takes.
func (l level) String() string { return levelNames[l] }

// linear reports whether reads of the level promise to be linearizable.
func (l level) linear() bool { return l == levelStrong || l == levelDirect }

// memory is what one connection wrote and read.
type memory struct {
	wrote map[key]int64
	seen  map[key]int64
}

func newMemory() memory { return memory{wrote: map[key]int64{}, seen: map[key]int64{}} }

// question is a read that is about to be sent.
type question struct {
	epoch *epoch
	label string
	keys  []key
	// floors are, by key, what a linearizable read must return at least; nil if
	// this is none.
	floors []int64
	// beside are, by key, what was acknowledged through the same sidecar; nil if that
	// is not promised.
	beside []int64
	began  time.Time
}

// ask notes what must be known before a read is sent, the moment last.
func (s *session) ask(keys ...key) question {
	q := question{epoch: s.epoch, label: s.world.label(), keys: keys}
	if s.level.linear() {
		q.floors = make([]int64, len(keys))
		for i, k := range keys {
			q.floors[i] = s.epoch.register(k).linear()
		}
	}
	if s.door != direct && s.level != levelBounded {
		q.beside = make([]int64, len(keys))
		for i, k := range keys {
			q.beside[i] = s.epoch.register(k).through(s.door)
		}
	}
	q.began = time.Now()
	return q
}

// verdicts gathers what was found of one read, by promise.
type verdicts struct {
	session *session
	q       question
	age     time.Duration
	checked []Promise
	broken  []violation
}

type violation struct {
	promise Promise
	text    string
}

// check notes that a promise was judged, and whether it was kept.
func (v *verdicts) check(p Promise, kept bool, format string, arguments ...any) {
	if !slices.Contains(v.checked, p) {
		v.checked = append(v.checked, p)
	}
	if !kept {
		v.broken = append(v.broken, violation{p, fmt.Sprintf(format, arguments...)})
	}
}

// answer judges what a read returned: a reading for each key asked for.
func (s *session) answer(q question, readings ...reading) *verdicts {
	v := &verdicts{session: s, q: q}
	for i, r := range readings {
		v.judge(i, r)
	}
	return v
}

// judge judges one reading. What a connection was shown is remembered only if
// it was promised to stay so.
func (v *verdicts) judge(i int, r reading) {
	s := v.session
	register := v.q.epoch.register(r.key)
	f := register.facts(r, v.q.began, s.bound)
	v.age = max(v.age, f.age)
	v.check(Bounded, r.atLeast(f.required, f.started), "%v, %d was acknowledged more than %v before", r, f.required, s.bound)
	lowest := f.required
	if s.level != levelBounded {
		lowest = max(lowest, v.judgeMemory(r, f))
	}
	if !s.block.IsZero() {
		before := register.facts(r, s.block, 0).required
		v.check(Block, r.atLeast(before, f.started), "%v, %d was acknowledged before the BEGIN", r, before)
		lowest = max(lowest, before)
	}
	if v.q.beside != nil {
		beside := v.q.beside[i]
		v.check(Beside, r.atLeast(beside, f.started), "%v, %d was acknowledged by the same sidecar before the call", r, beside)
		lowest = max(lowest, beside)
	}
	if v.q.floors != nil {
		floor := v.q.floors[i]
		v.check(Strong, r.atLeast(floor, f.started), "%v, %d was acknowledged or read before the call", r, floor)
		lowest = max(lowest, floor)
	}
	if !v.judgeMark(r, f) {
		return // what was never there must not be expected of others
	}
	s.remember(r, r.lowest(lowest))
	if v.q.floors != nil {
		register.observe(r.lowest(lowest))
	}
}

// judgeMemory compares with what the connection knows, and returns the lowest
// version that it may be shown.
func (v *verdicts) judgeMemory(r reading, f facts) int64 {
	m := v.session.memory
	lowest := int64(0)
	if wrote, ok := m.wrote[r.key]; ok {
		v.check(OwnWrites, r.atLeast(wrote, f.started), "%v, the connection wrote %d", r, wrote)
		lowest = max(lowest, wrote)
	}
	if seen, ok := m.seen[r.key]; ok {
		v.check(Monotonic, r.atLeast(seen, f.started), "%v, the connection had read %d", r, seen)
		lowest = max(lowest, seen)
	}
	if other, paired := r.key.other(); paired {
		if seen, ok := m.seen[other]; ok {
			v.check(Across, r.atLeast(seen, f.started), "%v, the connection had read %d of the other half", r, seen)
		}
	}
	return lowest
}

// judgeMark reports whether the write that was read can have been committed.
func (v *verdicts) judgeMark(r reading, f facts) bool {
	if r.mark == 0 || r.absent {
		return true
	}
	before := len(v.broken)
	v.check(Committed, v.session.world.marks.given(r.mark) && !v.session.world.marks.doomed(r.mark), "%v was never committed", r)
	v.check(Committed, f.mark == 0 || f.mark == r.mark, "%v is another write's than the one that made the version", r)
	lost := r.version > f.base && epochOf(r.mark) < v.q.epoch.number
	v.check(Committed, !lost, "%v is of a commit that the database lost", r)
	return len(v.broken) == before
}

// remember notes what the connection was shown.
func (s *session) remember(r reading, version int64) {
	if version > s.memory.seen[r.key] {
		s.memory.seen[r.key] = version
	}
}

// count hands what was found to the tally.
func (v *verdicts) count() {
	s := v.session
	label := s.world.labelOf(v.q.label)
	if s.world.epoch.Load() != v.q.epoch {
		s.world.tally.exclude(label)
		return
	}
	if s.level != levelDirect {
		s.world.tally.read(label)
	}
	for _, p := range v.checked {
		broken := ""
		for _, b := range v.broken {
			if b.promise == p {
				broken = b.text
				break
			}
		}
		if s.level == levelDirect {
			if broken != "" {
				broken = string(p) + ": " + broken
			}
			p = Control
		}
		s.world.tally.count(p, label, v.age, broken, s.name)
	}
}
