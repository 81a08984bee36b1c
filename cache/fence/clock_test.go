package fence

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// fakeMachine has clocks that a test moves.
type fakeMachine struct {
	mu              sync.Mutex
	monotonic, wall time.Duration
	slept           time.Duration
	calls           int // of the system call
	compared        int // readings of both clocks
	// whileRead, unless nil, is called while the monotonic clock is read, once.
	whileRead func()
	// before and after are how long the process has to wait on each side of it.
	before, after time.Duration
}

func (m *fakeMachine) clock() *clock { return &clock{alone: m.alone, both: m.both, boot: m.boot} }

func (m *fakeMachine) alone() time.Duration {
	if do := m.whileRead; do != nil {
		m.whileRead = nil
		do()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.monotonic
}

func (m *fakeMachine) both() (monotonic, wall time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.compared++
	return m.monotonic, m.wall
}

func (m *fakeMachine) boot() Instant {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	m.pass(m.before)
	found := m.sinceBoot()
	m.pass(m.after)
	return found
}

func (m *fakeMachine) sinceBoot() Instant { return Instant(m.monotonic + m.slept) }

// pass lets time pass while the machine is awake.
func (m *fakeMachine) pass(d time.Duration) { m.monotonic, m.wall = m.monotonic+d, m.wall+d }

// sleep suspends the machine. To fall asleep it takes a while, awake.
func (m *fakeMachine) sleep(d time.Duration) {
	m.pass(wakeful)
	m.slept, m.wall = m.slept+d, m.wall+d
}

// set sets the wall's clock, as somebody does who takes a while for it.
func (m *fakeMachine) set(by time.Duration) {
	m.pass(wakeful)
	m.wall += by
}

// Neither a sleep nor a wall clock that is set makes a moment wrong, and only they
// cost a system call.
func TestClockOfAMachineThatSleeps(t *testing.T) {
	t.Parallel()
	m := &fakeMachine{monotonic: time.Minute, wall: 56 * 365 * 24 * time.Hour}
	c := m.clock()
	for _, step := range []struct {
		name  string
		do    func()
		calls int
	}{
		{"the first reading", func() {}, 1},
		{"awake for an hour", func() { m.pass(time.Hour) }, 0},
		{"asleep for a millisecond", func() { m.sleep(time.Millisecond) }, 1},
		{"awake", func() { m.pass(time.Second) }, 0},
		{"asleep for a night", func() { m.sleep(10 * time.Hour) }, 1},
		{"the wall's clock is set forward", func() { m.set(time.Hour) }, 1},
		{"the wall's clock is set back", func() { m.set(-48 * time.Hour) }, 1},
		{"asleep, and set back since by less", func() { m.sleep(time.Hour); m.set(time.Second - time.Hour) }, 1},
		{"awake again", func() { m.pass(time.Second) }, 0},
	} {
		step.do()
		m.calls = 0
		if got := c.now(); got != m.sinceBoot() {
			t.Errorf("%s: %v since boot, want %v", step.name, time.Duration(got), time.Duration(m.sinceBoot()))
		}
		if m.calls != step.calls {
			t.Errorf("%s: %d system calls, want %d", step.name, m.calls, step.calls)
		}
	}
}

// Both clocks are read no oftener than a machine can fall asleep.
func TestClockReadsOneWhileNobodyCanSleep(t *testing.T) {
	t.Parallel()
	m := &fakeMachine{monotonic: time.Minute, wall: time.Hour}
	c := m.clock()
	c.now()
	for range 100 {
		m.compared = 0
		for range 10 {
			m.pass(wakeful / 10)
			if got := c.now(); got != m.sinceBoot() {
				t.Fatalf("%v since boot, want %v", time.Duration(got), time.Duration(m.sinceBoot()))
			}
		}
		if m.compared != 1 {
			t.Fatalf("both clocks were read %d times in %v", m.compared, wakeful)
		}
	}
}

// The interleaving of now: while a reader looks at the monotonic clock, the machine sleeps,
// and another reader finds out.
func TestBearingOfBeforeASleep(t *testing.T) {
	t.Parallel()
	m := &fakeMachine{monotonic: time.Minute, wall: time.Hour}
	c := m.clock()
	c.now()
	m.whileRead = func() {
		m.sleep(time.Hour)
		c.now()
	}
	if got := c.now(); got != m.sinceBoot() {
		t.Errorf("%v since boot, want %v", time.Duration(got), time.Duration(m.sinceBoot()))
	}
	if m.whileRead != nil || m.slept == 0 {
		t.Error("the machine did not sleep while the monotonic clock was read")
	}
}

// A process that has to wait around the system call is never told too much, and no
// later moment is before an earlier one.
func TestBearingOfABusyMachine(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	within := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
	m := &fakeMachine{monotonic: time.Minute, wall: time.Hour}
	c := m.clock()
	last := Instant(0)
	for range 10_000 {
		m.before, m.after = 0, 0
		switch random.IntN(4) {
		case 0:
			m.before = within(5 * time.Millisecond)
		case 1:
			m.after = within(5 * time.Millisecond)
		case 2:
			m.sleep(within(time.Second))
		}
		m.pass(within(time.Second))
		if random.IntN(3) == 0 {
			m.set(within(time.Second) - time.Second/2)
		}
		got := c.now()
		if got > m.sinceBoot() {
			t.Fatalf("%v since boot, and it is %v", time.Duration(got), time.Duration(m.sinceBoot()))
		}
		if got < last {
			t.Fatalf("%v behind %v", time.Duration(got), time.Duration(last))
		}
		last = got
	}
}

// The clock of this machine is what the system says, for any number of readers.
func TestClockOfThisMachine(t *testing.T) {
	t.Parallel()
	c := newClock()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 1000 {
				earlier := sinceBoot()
				got := c.now()
				later := sinceBoot()
				// A bearing is too little by at most the time that it took.
				if got > later || earlier.Sub(got) > time.Second {
					t.Errorf("%d, between %d and %d", got, earlier, later)
					return
				}
			}
		})
	}
	readers.Wait()
}

func BenchmarkNow(b *testing.B) {
	b.Run("now", func(b *testing.B) {
		for b.Loop() {
			Now()
		}
	})
	b.Run("system call", func(b *testing.B) {
		for b.Loop() {
			sinceBoot()
		}
	})
}
