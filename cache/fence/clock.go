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

const (
	// clockTolerance is how far the two clocks may move apart unasked. It is more
	// than the time between the readings of the two, mostly, and less than any sleep.
	clockTolerance = 100 * time.Microsecond
	// bearingError is how long the system call may take to be believed at once, and
	// bearingsMax how often it is tried, on a machine that is busy.
	bearingError = 20 * time.Microsecond
	bearingsMax  = 8
)

// machine is the clock of this machine.
var machine = &clock{read: bothClocks(), boot: sinceBoot}

// clock tells moments since boot. Its methods may be called concurrently.
type clock struct {
	read func() (monotonic, wall time.Duration)
	boot func() Instant // the system call
	// known is what was found out last; nil before the first reading.
	known atomic.Pointer[bearing]

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

// bothClocks returns what reads Go's two clocks. The monotonic one is counted from
// this call on.
func bothClocks() func() (monotonic, wall time.Duration) {
	base := time.Now()
	return func() (monotonic, wall time.Duration) {
		now := time.Now()
		return now.Sub(base), time.Duration(now.UnixNano())
	}
}

func (c *clock) now() Instant {
	monotonic, wall := c.read()
	if b := c.known.Load(); b != nil && (wall-monotonic-b.skew).Abs() <= clockTolerance {
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
		earlier, _ := c.read()
		boot := c.boot()
		var wall time.Duration
		monotonic, wall = c.read()
		next.skew = wall - monotonic
		next.ahead = max(next.ahead, boot-Instant(monotonic))
		if monotonic-earlier <= bearingError {
			break
		}
	}
	c.known.Store(&next)
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
