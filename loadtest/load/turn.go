package load

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/target"
	"github.com/freshet/freshet/loadtest/workload"
)

const (
	// graceMax is how long after a turn operations may still be under way; then their
	// connections are cut.
	graceMax = 10 * time.Second
	// stepsMax is how many points the course of a turn has.
	stepsMax = 50
	// stormPeriod and stormTime are how often a storm comes and how long it takes, stormWrites
	// the share of writes meanwhile. stampedePeriod is how often a row is stampeded.
	stormPeriod    = time.Second
	stormTime      = 200 * time.Millisecond
	stormWrites    = 0.5
	stampedePeriod = 250 * time.Millisecond
	// rampBegin is the share of the rate with which a ramp begins.
	rampBegin = 0.1
)

// turnClock is the time of a turn, and what the load is at a time. It is immutable.
type turnClock struct {
	options     *Options
	began, ends time.Time
}

func (t *turnClock) over() bool { return !time.Now().Before(t.ends) }

// share is how much of the full rate there is at a time.
func (t *turnClock) share(at time.Time) float64 {
	if t.options.Shape != Ramp {
		return 1
	}
	return rampBegin + (1-rampBegin)*max(0, float64(at.Sub(t.began)))/float64(t.ends.Sub(t.began))
}

// pace returns a client's pace. In a closed loop, the clients of a ramp begin one after the
// other.
func (t *turnClock) pace(c *client) *pace {
	p := &pace{clock: t, client: c, intended: t.began}
	if o := t.options; o.Rate > 0 {
		p.alarm = servers.NewAlarm()
		p.gap = time.Duration(float64(o.Clients) / o.Rate * float64(time.Second))
	} else if o.Shape == Ramp {
		time.Sleep(t.ends.Sub(t.began) * time.Duration(c.number) / time.Duration(o.Clients))
	}
	return p
}

// writes is the share of writes at the moment.
func (t *turnClock) writes() float64 {
	if t.options.Shape == Storm && time.Since(t.began)%stormPeriod < stormTime {
		return stormWrites
	}
	return t.options.Mix.Writes
}

// operation is what a client does next. ok is false where it can do nothing more.
func (t *turnClock) operation(c *client) (o workload.Operation, ok bool) {
	judge := c.player.judge
	if t.options.Shape == Stampede {
		if number := int64(time.Since(t.began) / stampedePeriod); number != c.tally.stampede {
			c.tally.stampede = number
			if c.number == 0 {
				return c.script.Write(0), true
			}
			return t.options.Workload.ReadOf(0, 0, t.options.Mix, judge.Count(), int64(c.number)), true
		}
	}
	o = c.script.Next(judge.Count(), t.writes())
	return o, !o.Inserts || judge.Room() > 0
}

// turn lets all clients of a player work for a while, and returns what was found.
func (p *player) turn(length time.Duration) (report.Turn, error) {
	for _, c := range p.clients {
		c.tally.reset()
	}
	ctx := context.Background()
	before, counted, err := p.target.Counts(ctx)
	if err != nil {
		return report.Turn{}, err
	}
	runtime.GC() // so that a turn pays for its own garbage
	used := p.processorTimes()
	clock := &turnClock{options: p.options, began: time.Now()}
	clock.ends = clock.began.Add(length)
	var playing sync.WaitGroup
	for _, c := range p.clients {
		playing.Go(func() { c.play(clock) })
	}
	late := time.AfterFunc(length+graceMax, func() {
		for _, c := range p.clients {
			c.close()
		}
	})
	playing.Wait()
	late.Stop()
	took := time.Since(clock.began)
	usedAfter := p.processorTimes()
	after, _, err := p.target.Counts(ctx)
	if err != nil {
		return report.Turn{}, err
	}
	var sum tally
	for _, c := range p.clients {
		sum.add(&c.tally)
	}
	p.total.add(&sum)
	turn := sum.turn(took)
	if counted {
		turn.HitRatio = target.HitRatio(before, after)
	}
	for name, time := range usedAfter {
		turn.Computed(name, time-used[name])
	}
	if turn.Reads+turn.Writes == 0 {
		return turn, fmt.Errorf("put %s under load: not one operation succeeded: %s", p.found.Name, turn.FirstError)
	}
	return turn, nil
}

// processorTimes are those of Postgres, of the target's processes and of this one.
func (p *player) processorTimes() map[string]time.Duration {
	times := target.ProcessorTimes(p.target, p.ground)
	times["clients"] = ownTime()
	return times
}

// ownTime is what this process has computed for.
func ownTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
