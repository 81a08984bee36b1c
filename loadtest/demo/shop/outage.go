package shop

import (
	"sync"
	"time"
)

// outage knows when Postgres was away because somebody took it away: statements fail then,
// as they do without a sidecar, and so do the first ones on connections from before. Its
// methods may be called by many goroutines.
type outage struct {
	mu     sync.Mutex
	away   bool
	backAt time.Time
	lost   uint64
}

// excuses reports whether an error of what began at a moment is due to an outage, and counts
// it if so. A connection began when it was open, and an attempt to open one before it:
//
//  1. a client connects while Postgres is away;
//  2. Postgres is back, and the outage is over;
//  3. the client finds that its attempt has failed (TestOutageExcusesWhatItExplains).
func (o *outage) excuses(began time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away && !began.Before(o.backAt) {
		return false
	}
	o.lost++
	return true
}

func (o *outage) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = true
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away, o.backAt = false, time.Now()
}

func (o *outage) lostSoFar() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

// Without has Postgres be away while do runs: what fails for that is counted apart. What is
// read is judged as ever. It may be called while the workload runs.
func (w *Workload) Without(do func() error) error {
	w.outage.begin()
	defer w.outage.end()
	return do()
}
