package check

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
)

const testBound = 500 * time.Millisecond

// setup returns a world without servers, in its first epoch with everything at
// version 10, and a session of it.
func setup(t *testing.T, l level) (*world, *session) {
	t.Helper()
	w := &world{options: Options{Bound: testBound, Seed: 1}, tally: newTally(), began: time.Now(), failures: make(chan error, 1)}
	w.setLabel(calm)
	w.epochs = 1
	var truth []reading
	for k := range (&epoch{}).keys() {
		truth = append(truth, reading{key: k, version: 10})
	}
	w.epoch.Store(newEpoch(1, truth, w.began.Add(-time.Minute)))
	s := w.newSession("test", 1, 0, l, prepared)
	s.epoch, s.memory = w.epoch.Load(), newMemory()
	return w, s
}

// plant has a session be shown these versions, by a read that began a while ago.
func (s *session) plant(ago time.Duration, readings ...reading) {
	keys := make([]key, len(readings))
	for i, r := range readings {
		keys[i] = r.key
	}
	q := s.ask(keys...)
	q.began = q.began.Add(-ago)
	s.answer(q, readings...).count()
}

// wantBroken wants exactly these promises to be found broken.
func wantBroken(t *testing.T, w *world, want ...Promise) {
	t.Helper()
	if broken := brokenPromises(w.tally.report(w.options)); !slices.Equal(broken, want) {
		t.Errorf("broken are %q, want %q; %q", broken, want, w.tally.examples)
	}
}

var subject = key{row, 3}

func at(k key, version int64) reading { return reading{key: k, version: version} }

func TestReadWithinTheBoundIsNoViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes between the write and the read
		w, s := setup(t, levelBounded)
		s.epoch.register(subject).acknowledge(11, 0, time.Now().Add(-testBound+50*time.Millisecond))
		s.plant(0, at(subject, 10))
		wantBroken(t, w)
		r := w.tally.report(w.options).Row(Bounded, calm)
		if r.Checked != 1 || r.AgeMax < 400*time.Millisecond || r.AgeMax > testBound {
			t.Errorf("%+v", r)
		}
	})
}

func TestReadBeyondTheBoundIsCaught(t *testing.T) {
	w, s := setup(t, levelBounded)
	s.epoch.register(subject).acknowledge(11, 0, time.Now().Add(-testBound-20*time.Millisecond))
	s.plant(0, at(subject, 10))
	wantBroken(t, w, Bounded)
	select {
	case <-w.tally.broken:
	default:
		t.Error("nobody was told of the first violation")
	}
}

// A read that began early enough need not know what was acknowledged since.
func TestReadIsJudgedByItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes between the write and the read
		w, s := setup(t, levelBounded)
		s.epoch.register(subject).acknowledge(11, 0, time.Now().Add(-testBound-20*time.Millisecond))
		s.plant(100*time.Millisecond, at(subject, 10))
		wantBroken(t, w)
	})
}

func TestUnacknowledgedWriteIsNotExpectedAndNotSurprising(t *testing.T) {
	w, s := setup(t, levelStrong)
	s.plant(0, at(subject, 10))
	s.plant(0, at(subject, 11))
	wantBroken(t, w)
}

func TestLostOwnWriteIsCaught(t *testing.T) {
	w, s := setup(t, levelSession)
	s.memory.wrote[subject] = 11
	s.plant(0, at(subject, 10))
	wantBroken(t, w, OwnWrites)
}

func TestGoingBackIsCaught(t *testing.T) {
	w, s := setup(t, levelSession)
	s.plant(0, at(subject, 12))
	s.plant(0, at(subject, 11))
	wantBroken(t, w, Monotonic)
}

func TestGoingBackAcrossKeysIsCaught(t *testing.T) {
	w, s := setup(t, levelSession)
	s.plant(0, at(key{left, 2}, 12))
	s.plant(0, at(key{right, 2}, 11))
	wantBroken(t, w, Across)
	other, o := setup(t, levelSession)
	o.plant(0, at(key{left, 2}, 12))
	o.plant(0, at(key{right, 2}, 13))
	o.plant(0, at(key{right, 3}, 11))
	wantBroken(t, other)
}

// The level bounded promises no memory.
func TestBoundedSessionMayGoBackWithinTheBound(t *testing.T) {
	w, s := setup(t, levelBounded)
	s.plant(0, at(subject, 12))
	s.plant(0, at(subject, 11))
	wantBroken(t, w)
}

func TestStrongReadWithoutAnAcknowledgedWriteIsCaught(t *testing.T) {
	w, s := setup(t, levelStrong)
	s.epoch.register(subject).acknowledge(11, 0, time.Now())
	s.plant(0, at(subject, 10))
	wantBroken(t, w, Strong)
}

// Two strong reads of two sessions, the second after the first: new, then old.
func TestNewOldInversionIsCaught(t *testing.T) {
	w, s := setup(t, levelStrong)
	s.plant(0, at(subject, 11)) // not acknowledged yet
	other := w.newSession("test", 2, 1, levelStrong, prepared)
	other.epoch, other.memory = s.epoch, newMemory()
	other.plant(0, at(subject, 10))
	wantBroken(t, w, Strong)
}

// What is acknowledged during a strong read is not demanded of it.
func TestStrongReadMayOverlapAWrite(t *testing.T) {
	w, s := setup(t, levelStrong)
	q := s.ask(subject)
	s.epoch.register(subject).acknowledge(11, 0, time.Now())
	s.answer(q, at(subject, 10)).count()
	wantBroken(t, w)
}

func TestRolledBackWriteIsCaught(t *testing.T) {
	w, s := setup(t, levelSession)
	s.plant(0, reading{key: subject, version: 11, mark: w.marks.next(s.epoch)})
	wantBroken(t, w)
	s.plant(0, reading{key: subject, version: 12, mark: w.marks.nextDoomed(s.epoch)})
	wantBroken(t, w, Committed)
}

func TestWrongAnswersAreCaught(t *testing.T) {
	w, s := setup(t, levelSession)
	mark := w.marks.next(s.epoch)
	s.epoch.register(subject).acknowledge(11, mark, time.Now())
	s.plant(0, reading{key: subject, version: 11, mark: mark})
	wantBroken(t, w)
	s.plant(0, reading{key: subject, version: 11, mark: w.marks.next(s.epoch)}) // another row's
	wantBroken(t, w, Committed)
	other, o := setup(t, levelSession)
	o.plant(0, reading{key: subject, version: 12, mark: o.epoch.number<<markEpochShift | 1}) // nobody's
	wantBroken(t, other, Committed)
}

func TestWriteThatTheDatabaseLostIsCaught(t *testing.T) {
	w, s := setup(t, levelSession)
	lost := reading{key: subject, version: 11, mark: w.marks.next(s.epoch)}
	kept := reading{key: key{row, 4}, version: 10, mark: w.marks.next(s.epoch)}
	s.epoch.register(subject).acknowledge(11, 0, time.Now().Add(-time.Second))
	before := s.epoch
	truth := []reading{at(subject, 10), at(key{row, 4}, 10)}
	w.epoch.Store(newEpoch(2, truth, time.Now()))
	if n := before.lostIn(w.epoch.Load()); n < 1 {
		t.Errorf("%d versions are lost", n)
	}

	// A read that began before is excluded, whatever it returned.
	s.plant(0, at(subject, 3))
	wantBroken(t, w)
	if r := w.tally.report(w.options); r.Excluded != 1 || r.Reads != 0 {
		t.Errorf("%d excluded, %d read", r.Excluded, r.Reads)
	}

	s.epoch, s.memory = w.epoch.Load(), newMemory()
	s.plant(0, at(subject, 10), kept)
	wantBroken(t, w)
	s.plant(0, lost)
	wantBroken(t, w, Committed)
}

func TestAbsentRowIsGivenTheBenefitOfTheDoubt(t *testing.T) {
	gone := reading{key: key{flicker, 1}, absent: true}
	for name, c := range map[string]struct {
		acknowledged, started int64
		broken                []Promise
	}{
		"nobody deleted it":           {10, 10, []Promise{Bounded}},
		"somebody may be deleting it": {10, 11, nil},
		"it was deleted":              {11, 11, nil},
		"it was inserted again":       {12, 12, []Promise{Bounded}},
		"and may be deleted again":    {12, 13, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := setup(t, levelBounded)
			register := s.epoch.register(gone.key)
			register.acknowledge(c.acknowledged, 0, time.Now().Add(-time.Second))
			register.start(c.started)
			s.plant(0, gone)
			wantBroken(t, w, c.broken...)
		})
	}
}

func TestPresentRowAfterItsDeletionIsCaught(t *testing.T) {
	w, s := setup(t, levelSession)
	k := key{flicker, 1}
	s.epoch.register(k).acknowledge(11, 0, time.Now())
	s.memory.wrote[k] = 11
	s.plant(0, at(k, 10))
	wantBroken(t, w, OwnWrites)
}

func TestTornResultsAreCaught(t *testing.T) {
	for name, c := range map[string]struct {
		balance, versions, count int64
		whole                    bool
	}{
		"whole":              {accountCount * balanceEach, 20, accountCount, true},
		"one unit too much":  {accountCount*balanceEach + 1, 20, accountCount, false},
		"half of a transfer": {accountCount * balanceEach, 21, accountCount, false},
		"an account missing": {accountCount * balanceEach, 20, accountCount - 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := setup(t, levelBounded)
			s.judgeTotal(s.ask(key{total, 0}), c.balance, c.versions, c.count)
			if c.whole {
				wantBroken(t, w)
			} else {
				wantBroken(t, w, Atomic)
			}
		})
	}
}

func TestDirectSessionsAreTheControl(t *testing.T) {
	w, s := setup(t, levelDirect)
	s.epoch.register(subject).acknowledge(11, 0, time.Now())
	s.plant(0, at(subject, 10))
	wantBroken(t, w, Control)
}

func TestReadsAreCountedNearTheFaultTheyMet(t *testing.T) {
	w, s := setup(t, levelBounded)
	q := s.ask(subject)
	w.setLabel("storm")
	s.answer(q, at(subject, 10)).count() // it was under way when the fault came
	q = s.ask(subject)
	w.setLabel(calm)
	s.answer(q, at(subject, 10)).count() // it began near the fault
	s.plant(0, at(subject, 10))
	r := w.tally.report(w.options)
	if r.Row(Bounded, "storm").Checked != 2 || r.Row(Bounded, calm).Checked != 1 || r.Row(Bounded, All).Checked != 3 || r.Reads != 3 {
		t.Errorf("%+v", r.Rows)
	}
}

// A history tells of each moment of the last historyAge what a list does that forgets nothing, and
// remembers not much more.
func TestHistoryAgreesWithAListThatForgetsNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var h history
	var all []ack // version is the highest until then
	now := time.Now()
	version := int64(0)
	for range 20000 {
		now = now.Add(time.Duration(random.IntN(int(10 * time.Millisecond))))
		a := ack{version + random.Int64N(4) - 1, 0, now} // overtaken ones too
		version = max(version, a.version)
		h.add(a.version, a.mark, a.at)
		all = append(all, ack{version, 0, now})
		back := now.Add(-time.Duration(random.Int64N(int64(historyAge) + 1)))
		want := int64(0)
		for i := len(all) - 1; i >= 0; i-- {
			if !all[i].at.After(back) {
				want = all[i].version
				break
			}
		}
		if got := h.requiredAt(back); got != want && len(all) > 1 {
			t.Fatalf("required %d, want %d after %d acknowledgements", got, want, len(all))
		}
		if oldest := now.Sub(h.acks[0].at); oldest > 3*historyAge {
			t.Fatalf("the oldest of %d acknowledgements is %v old, want it forgotten", len(h.acks), oldest)
		}
	}
	if h.newest() != version {
		t.Errorf("newest is %d, want %d", h.newest(), version)
	}
}

// Of more acknowledgements than historyMax the newest are remembered, however young the others are.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	now := time.Now()
	for version := range int64(3 * historyMax) {
		if h.add(version+1, 0, now); len(h.acks) >= 2*historyMax {
			t.Fatalf("%d acknowledgements are remembered, want fewer than %d", len(h.acks), 2*historyMax)
		}
	}
	if n := len(h.acks); n < historyMax || h.acks[0].version != 3*historyMax-int64(n)+1 {
		t.Errorf("%d acknowledgements are remembered, from version %d on, want the newest %d at least", n, h.acks[0].version, historyMax)
	}
}

func TestModelOfVersions(t *testing.T) {
	read := func(version, call, end int64) porcupine.Operation {
		return porcupine.Operation{Input: operation{}, Output: version, Call: call, Return: end}
	}
	write := func(version, call, end int64) porcupine.Operation {
		return porcupine.Operation{Input: operation{write: true, doubtful: end == never}, Output: version, Call: call, Return: end}
	}
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"one after the other":          {[]porcupine.Operation{read(4, 0, 1), write(5, 2, 3), read(5, 4, 5)}, true},
		"an old value after a write":   {[]porcupine.Operation{read(4, 0, 1), write(5, 2, 3), read(4, 4, 5)}, false},
		"either during a write":        {[]porcupine.Operation{write(5, 0, 10), read(4, 1, 2), read(5, 3, 4)}, true},
		"new, then old":                {[]porcupine.Operation{write(5, 0, 10), read(5, 1, 2), read(4, 3, 4)}, false},
		"a doubtful write, seen":       {[]porcupine.Operation{read(4, 0, 1), write(5, 2, never), read(5, 4, 5)}, true},
		"a doubtful write, seen late":  {[]porcupine.Operation{write(5, 2, never), read(4, 4, 5), read(5, 6, 7)}, true},
		"a doubtful write, unseen":     {[]porcupine.Operation{read(4, 0, 1), write(5, 2, never), read(4, 4, 5), write(5, 6, 7), read(5, 8, 9)}, true},
		"a doubtful write, taken back": {[]porcupine.Operation{read(4, 0, 1), write(5, 2, never), read(5, 4, 5), read(4, 6, 7)}, false},
	} {
		if got := porcupine.CheckOperations(versions, c.history); got != c.want {
			t.Errorf("%s: linearizable is %v, want %v", name, got, c.want)
		}
	}
}

// A history that is not linearizable is one violation, whatever its length.
func TestIllegalHistoryIsOneViolation(t *testing.T) {
	w, _ := setup(t, levelStrong)
	w.judgeHistory([]porcupine.Operation{
		{Input: operation{}, Output: int64(5), Call: 0, Return: 1},
		{Input: operation{}, Output: int64(4), Call: 2, Return: 3},
	}, nil, calm)
	if r := w.tally.report(w.options).Row(Linear, All); r.Checked != 2 || r.Violations != 1 {
		t.Errorf("%+v", r)
	}
}
