package standard

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/target"
	"github.com/freshet/freshet/loadtest/workload"
)

// measured is a target that a benchmark measures.
type measured struct {
	benchmark *benchmark
	target    target.Target
	ground    *target.Ground
	place     target.Place
	options   *Options
}

func (m *measured) turn(ctx context.Context, length time.Duration) (report.Turn, error) {
	before, counted, err := m.target.Counts(ctx)
	if err != nil {
		return report.Turn{}, err
	}
	used := target.ProcessorTimes(m.target, m.ground)
	found, err := m.benchmark.run(ctx, m.ground, m.place, int(length.Seconds()), m.options)
	if err != nil {
		return report.Turn{}, err
	}
	usedAfter := target.ProcessorTimes(m.target, m.ground)
	after, _, err := m.target.Counts(ctx)
	if err != nil {
		return report.Turn{}, err
	}
	turn := found.turn()
	for name, time := range usedAfter {
		turn.Computed(name, time-used[name])
	}
	if counted {
		turn.HitRatio = target.HitRatio(before, after)
	}
	if turn.Reads == 0 {
		return turn, fmt.Errorf("have %s measure %s: no transaction succeeded", m.benchmark.name, m.target.Name())
	}
	return turn, nil
}

// turn is an outcome as reports have it.
func (o *outcome) turn() report.Turn {
	t := report.Turn{Reads: o.count, PerSecond: o.perSecond, Read: o.latency, HitRatio: -1}
	if o.perSecond > 0 {
		t.Seconds = float64(o.count) / o.perSecond
	}
	if o.used > 0 {
		t.Computed("clients", o.used)
	}
	return t
}

// compare asks the same through the target, twice so that one answer is from its memory, and
// of Postgres itself.
func (m *measured) compare(ctx context.Context) (compared, different int, err error) {
	near, err := m.ground.Near(ctx, m.target, target.Simple)
	if err != nil {
		return 0, 0, err
	}
	defer near.Close()
	through, err := m.target.Connect(ctx, target.Simple)
	if err != nil {
		return 0, 0, err
	}
	defer through.Close()
	for _, sql := range m.benchmark.checks {
		want, err := answer(near, sql)
		if err != nil {
			return compared, different, err
		}
		for range 2 {
			got, err := answer(through, sql)
			if err != nil {
				return compared, different, err
			}
			if compared++; got != want {
				different++
			}
		}
	}
	return compared, different, nil
}

// answer is the rows of a statement, as text.
func answer(from target.Session, sql string) (text string, err error) {
	err = from.Read(&workload.Operation{Statement: &workload.Statement{SQL: sql}}, func(row [][]byte) { text += fmt.Sprintf("%q\n", row) })
	return text, err
}
