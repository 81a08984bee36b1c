package fence

import "time"

// Instant is a moment of this machine in nanoseconds since it booted, suspended
// time included, so that a laptop or virtual machine that slept does not take
// an old head for a fresh one. The zero value is before every other moment.
// Instants of different machines must not be compared.
type Instant int64

// Now reads the clock. It makes no system call, unless the machine has slept or
// somebody has set its clock since the last call. A sleep of less than
// clockTolerance goes unnoticed.
func Now() Instant { return machine.now() }

// Add returns the moment d after i.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub returns the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }
