package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/stale"
	"github.com/freshet/freshet/loadtest/target"
)

// game is one run: the ground and the players that take turns on it.
type game struct {
	options Options
	ground  *target.Ground
	players []*player
}

// player is a target, its clients, and what is known of its rows.
type player struct {
	options *Options
	ground  *target.Ground
	target  target.Target
	judge   *stale.Judge
	clients []*client
	// found is what is reported; total has the latencies of all turns.
	found report.Target
	total tally
	// began are the target's counters when the first turn began.
	began target.Counts
}

// gather starts everything.
func gather(ctx context.Context, o Options) (*game, error) {
	sessions := 2 * o.Clients * len(o.Targets)
	ground, err := target.NewGround(ctx, target.SQL(o.Workload.Setup(o.Mix)), sessions, o.Distance)
	if err != nil {
		return nil, err
	}
	g := &game{options: o, ground: ground}
	for _, name := range o.Targets {
		if err := g.add(ctx, name); err != nil {
			return nil, errors.Join(err, g.close())
		}
	}
	return g, nil
}

func (g *game) add(ctx context.Context, name string) error {
	to := g.options.Target
	to.Clients = g.options.Clients
	t, err := target.Launch(ctx, name, g.ground, to)
	if err != nil {
		return err
	}
	p := &player{options: &g.options, ground: g.ground, target: t, judge: stale.New(g.options.Mix.Rows, g.options.Workload.Room)}
	p.found = report.Target{Name: name, About: t.About(), Promise: t.Promise().Text}
	g.players = append(g.players, p)
	for number := range g.options.Clients {
		c, err := p.newClient(ctx, number)
		if err != nil {
			return fmt.Errorf("connect to target %s: %w", name, err)
		}
		p.clients = append(p.clients, c)
	}
	return nil
}

// play compares, warms up, lets everybody take turns, and compares again.
func (g *game) play(ctx context.Context) error {
	for _, p := range g.players {
		g.tell(Progress{Target: p.found.Name, What: "compare and warm up"})
		if err := p.prepare(ctx); err != nil {
			return err
		}
	}
	for round := range g.options.Rounds {
		for _, p := range g.players {
			if err := ctx.Err(); err != nil {
				return err
			}
			turn, err := p.turn(g.options.Turn)
			if err != nil {
				return err
			}
			p.found.Turns = append(p.found.Turns, turn)
			g.tell(Progress{Target: p.found.Name, Round: round + 1, Rounds: g.options.Rounds, Turn: turn})
		}
	}
	for _, p := range g.players {
		if err := p.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// warmTurn is how long the turns take after each of which the hit ratio is looked at, and
// standsStill how little it moves when a target is warm.
const (
	warmTurn    = 500 * time.Millisecond
	standsStill = 0.01
)

// prepare compares answers, and warms up.
func (p *player) prepare(ctx context.Context) error {
	var err error
	if p.found.Compared, p.found.Different, err = p.compare(ctx, sampleKeys(p.options.Mix.Rows)); err != nil {
		return err
	}
	if p.found.Different > 0 {
		p.found.Void = fmt.Sprintf("%d of %d answers differ from Postgres' own", p.found.Different, p.found.Compared)
	}
	before := -1.0
	for warmed := time.Duration(0); warmed < p.options.Warm; warmed += warmTurn {
		turn, err := p.turn(min(warmTurn, p.options.Warm))
		if err != nil {
			return err
		}
		if turn.HitRatio < 0 || before >= 0 && turn.HitRatio-before < standsStill && before-turn.HitRatio < standsStill {
			break
		}
		before = turn.HitRatio
	}
	p.total = tally{}
	p.began, _, err = p.target.Counts(ctx)
	return err
}

// restMin is how much longer than promises is waited until all is quiet, and restMax the
// longest wait: of who promises less, nobody learns what is wrong then.
const (
	restMin = 200 * time.Millisecond
	restMax = 15 * time.Second
)

// finish says what was passed through, and what is wrong when all is quiet.
func (p *player) finish(ctx context.Context) error {
	counts, _, err := p.target.Counts(ctx)
	if err != nil {
		return err
	}
	p.found.Bypasses = difference(counts.Bypasses, p.began.Bypasses)
	written, rest := p.judge.Written(sampleMax), p.target.Promise().Bound+restMin
	if len(written) == 0 || rest > restMax {
		return nil // nothing can be wrong, or nobody wants to wait until nothing may be
	}
	select {
	case <-time.After(max(restMin, rest)):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.found.AtRest, p.found.WrongAtRest, err = p.compare(ctx, written)
	return err
}

func difference(after, before map[string]uint64) map[string]uint64 {
	d := map[string]uint64{}
	for reason, n := range after {
		if n > before[reason] {
			d[reason] = n - before[reason]
		}
	}
	return d
}

func (g *game) tell(p Progress) {
	if g.options.Progress != nil {
		g.options.Progress(p)
	}
}

// errorsMost is which share of errors makes figures worthless: who fails is quick.
const errorsMost = 0.01

// report is what was found so far.
func (g *game) report() report.Run {
	o := &g.options
	r := report.Run{
		Workload: o.Workload.Name, About: o.Workload.About, Protocol: string(o.Protocol), Clients: o.Clients,
		Keys: o.Mix.Keys.String(), Rows: o.Mix.Rows, Span: o.Mix.Span, Writes: o.Mix.Writes, Beside: o.Target.Beside,
		Rate: o.Rate, Shape: string(o.Shape), DistanceUS: float64(o.Distance.Microseconds()), Seed: o.Seed,
		Rounds: o.Rounds, TurnSeconds: o.Turn.Seconds(),
	}
	for _, p := range g.players {
		p.found.Whole = whole(p.found.Turns, &p.total)
		if w := &p.found.Whole; p.found.Void == "" && float64(w.Errors) > errorsMost*float64(w.Reads+w.Writes) {
			p.found.Void = fmt.Sprintf("%d errors beside %d operations, such as: %s", w.Errors, w.Reads+w.Writes, w.FirstError)
		}
		p.found.ReadCurve, p.found.WriteCurve = curve(p.total.reads), curve(p.total.writes)
		r.Targets = append(r.Targets, p.found)
	}
	return r
}

func (g *game) close() error {
	var err error
	for _, p := range g.players {
		for _, c := range p.clients {
			c.close()
		}
		err = errors.Join(err, p.target.Close())
	}
	return errors.Join(err, g.ground.Close())
}
