package fence

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The clock that goes on while a machine is suspended can be read by a system call
// only, which costs ten times as much as the two clocks that Go reads at once: the
// wall's, and one that stands still meanwhile. When the machine wakes, only the
// wall's clock is moved on by what was slept. So as long as the two go side by side
// nobody has slept; when they do not, somebody has, or has set the wall's clock, and
// the system call says which. What hides a sleep is a wall's clock set back by just as
// much, to the tenth of a millisecond, before the next reading.
//
// To read both costs twice as much as to read one. A machine does not fall asleep and wake
// within a moment of the clock that stands still meanwhile: it stops every process first,
// and its devices and processors, while that clock goes on, and starts them again after it
// does. So for that moment after the two were found to go side by side, it alone is read.

const (
	// clockTolerance is how far the two clocks may move apart unasked. It is more
	// than the time between the readings of the two, mostly, and less than any sleep.
	clockTolerance = 100 * time.Microsecond
	// bearingError is how long the system call may take to be believed at once, and
	// bearingsMax how often it is tried, on a machine that is busy.
	bearingError = 20 * time.Microsecond
	bearingsMax  = 8
	// wakeful is for how long after a comparison nobody can have slept. To stop the
	// processes alone takes a machine fifty times as long.
	wakeful = 20 * time.Microsecond
)

// machine is the clock of this machine.
var machine = newClock()

// clock tells moments since boot. Its methods may be called concurrently.
type clock struct {
	// alone reads the monotonic clock, both the two.
	alone func() (monotonic time.Duration)
	both  func() (monotonic, wall time.Duration)
	boot  func() Instant // the system call
	// known is what was found out last; nil before the first reading. compared is when, on
	// the monotonic clock, the two were found to go side by side as it says, or later ones
	// of it: it is set after known.
	known    atomic.Pointer[bearing]
	compared atomic.Int64

	mu sync.Mutex // held while a bearing is taken
}

// bearing says how the clocks stand to one another. It is immutable.
type bearing struct {
	// skew is how far the wall's clock is ahead of the monotonic one.
	skew time.Duration
	// ahead is how far the clock since boot is, at least: a sleep makes it more, and
	// nothing makes it less.
	ahead Instant
}

// newClock returns a clock of this machine. Its monotonic clock is counted from this call on.
func newClock() *clock {
	base := time.Now()
	return &clock{
		alone: func() time.Duration { return time.Since(base) },
		both: func() (monotonic, wall time.Duration) {
			now := time.Now()
			return now.Sub(base), time.Duration(now.UnixNano())
		},
		boot: sinceBoot,
	}
}

// now tells the moment. Were known looked at before compared:
//
//  1. a reader finds a bearing;
//  2. the machine sleeps;
//  3. another reader takes a new bearing, and sets compared;
//  4. the first one reads the monotonic clock, right after compared, and tells a moment that
//     lacks the sleep.
//
// Forced by TestBearingOfBeforeASleep.
func (c *clock) now() Instant {
	monotonic := c.alone()
	if int64(monotonic)-c.compared.Load() < int64(wakeful) {
		if b := c.known.Load(); b != nil {
			return b.ahead + Instant(monotonic)
		}
	}
	return c.compare()
}

// compare tells the moment by the two clocks.
func (c *clock) compare() Instant {
	monotonic, wall := c.both()
	if b := c.known.Load(); b != nil && (wall-monotonic-b.skew).Abs() <= clockTolerance {
		c.compared.Store(int64(monotonic))
		return b.ahead + Instant(monotonic)
	}
	return c.takeBearing()
}

// takeBearing asks how the clocks stand now.
//
// The answer is between two readings of the monotonic clock, and is compared with
// the later one: so ahead is never too much, and too little by no more than lies
// between them. Were it too much, the next bearing would have to make it less, and
// the clock would go back:
//
//  1. a bearing is too much by 5 ms, since the process had to wait in between;
//  2. a look begins at 100 ms of this clock;
//  3. the next bearing is right, and moments are 5 ms less from now on;
//  4. a reader finds the look 5 ms younger than it is.
//
// Forced by TestBearingOfABusyMachine.
func (c *clock) takeBearing() Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := bearing{}
	if before := c.known.Load(); before != nil {
		next.ahead = before.ahead
	}
	var monotonic time.Duration
	for range bearingsMax {
		earlier := c.alone()
		boot := c.boot()
		var wall time.Duration
		monotonic, wall = c.both()
		next.skew = wall - monotonic
		next.ahead = max(next.ahead, boot-Instant(monotonic))
		if monotonic-earlier <= bearingError {
			break
		}
	}
	c.known.Store(&next)
	c.compared.Store(int64(monotonic))
	return next.ahead + Instant(monotonic)
}

// sinceBoot asks the system, suspended time included where it can tell.
func sinceBoot() Instant {
	var t unix.Timespec
	if err := unix.ClockGettime(clockID, &t); err != nil {
		// Without the clock no freshness can be proven. It exists wherever Go runs,
		// so this is a broken machine.
		panic("read the clock since boot: " + err.Error())
	}
	return Instant(t.Nano())
}
