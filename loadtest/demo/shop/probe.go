package shop

import (
	"context"
	"time"
)

const (
	// probeEvery is the shortest time between two probes.
	probeEvery = 40 * time.Millisecond
	// probeElsewhereAfter is how many probes later a product is read through the
	// second door.
	probeElsewhereAfter = 15
	// probeWarmUp is how many probes are not recorded: drivers prepare their
	// statements in the first.
	probeWarmUp = 20
)

// arm is one kind of the probe's reads, told apart by whether PostgreSQL executed
// something for it.
type arm struct{ spared, reached *recorder }

// probeTimes are the times of the probe's reads.
type probeTimes struct {
	direct                  *recorder
	first, again, elsewhere arm
}

func newProbeTimes() probeTimes {
	newArm := func() arm { return arm{newRecorder(), newRecorder()} }
	return probeTimes{newRecorder(), newArm(), newArm(), newArm()}
}

// probe reads product pages that nobody else reads or writes: each for the first
// time, then again through the same door, later through the second door, and at
// PostgreSQL itself. Nobody else uses its role, so PostgreSQL's counters say of
// each single read whether it reached PostgreSQL.
type probe struct {
	workload         *Workload
	one, two, direct *client
	last             int64 // products are archived up to this id
	next             int64
}

func (w *Workload) newProbe(ctx context.Context) (loop, error) {
	p := &probe{workload: w, next: int64(w.options.DataSet.catalogue() + 1), last: int64(w.options.DataSet.Products)}
	doors := w.options.Doors
	for _, part := range []struct {
		client **client
		door   Door
		role   string
	}{{&p.one, doors[0], roleProbe}, {&p.two, doors[len(doors)-1], roleProbe}, {&p.direct, w.options.Direct, roleDirect}} {
		c, err := w.connect(ctx, part.door, part.role, pgxPrepared)
		if err != nil {
			return nil, err
		}
		*part.client = c
	}
	every := max(probeEvery, w.options.Duration/time.Duration(p.last-p.next+1))
	return func(ctx context.Context) { pace(ctx, every, func() { p.turn(ctx) }) }, nil
}

// turn reads one new product and some of the earlier ones. When all were read, it
// does nothing.
func (p *probe) turn(ctx context.Context) {
	if p.next > p.last {
		return
	}
	first := int64(p.workload.options.DataSet.catalogue() + 1)
	times := p.workload.probe
	p.readDirect(ctx, p.next)
	p.read(ctx, p.one, p.next, times.first)
	if p.next-1 >= first {
		p.read(ctx, p.one, p.next-1, times.again)
	}
	if id := p.next - probeElsewhereAfter; id >= first && p.two.door != p.one.door {
		p.read(ctx, p.two, id, times.elsewhere)
	}
	p.next++
}

// readDirect is read at PostgreSQL itself. It asks the counters before it too: a
// read that comes first after a pause finds the processor asleep.
func (p *probe) readDirect(ctx context.Context, id int64) {
	queries := context.WithoutCancel(ctx)
	began := time.Now()
	if _, err := p.workload.counters.calls(queries, roleProbe); err != nil {
		p.workload.count(err, began)
		return
	}
	_, took, err := p.direct.ask(queries, productPage, id)
	if err != nil {
		p.direct.failed(ctx, err)
	} else if p.recording() {
		p.workload.probe.direct.record(took)
	}
}

func (p *probe) read(ctx context.Context, c *client, id int64, a arm) {
	queries := context.WithoutCancel(ctx)
	began := time.Now()
	before, err := p.workload.counters.calls(queries, roleProbe)
	if err != nil {
		p.workload.count(err, began)
		return
	}
	_, took, err := c.ask(queries, productPage, id)
	if err != nil {
		c.failed(ctx, err)
		return
	}
	began = time.Now()
	after, err := p.workload.counters.calls(queries, roleProbe)
	switch {
	case err != nil:
		p.workload.count(err, began)
	case !p.recording():
	case after == before:
		a.spared.record(took)
	default:
		a.reached.record(took)
	}
}

func (p *probe) recording() bool {
	return p.next > int64(p.workload.options.DataSet.catalogue()+probeWarmUp)
}
