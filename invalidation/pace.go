package invalidation

import "time"

// paceWindow is the time over which Pace is an average.
const paceWindow = 10 * time.Second

// Pace tells how often something happens, of the last ten seconds or so. The zero value is never.
type Pace struct {
	window      int64 // the number of the window since 1970 that now counts in
	now, before uint64
}

// add counts n at a moment.
func (p *Pace) add(n uint64, at time.Time) {
	p.turn(at)
	p.now += n
}

// turn begins another window if the one that is counted in is over.
func (p *Pace) turn(at time.Time) {
	window := at.UnixNano() / int64(paceWindow)
	switch window - p.window {
	case 0:
		return
	case 1:
		p.before = p.now
	default:
		p.before = 0
	}
	p.window, p.now = window, 0
}

// PerSecond is how often it happens, as of a moment.
func (p Pace) PerSecond(at time.Time) float64 {
	p.turn(at)
	elapsed := time.Duration(at.UnixNano() % int64(paceWindow))
	part := float64(elapsed) / float64(paceWindow)
	return (float64(p.before)*(1-part) + float64(p.now)) / paceWindow.Seconds()
}
