// Package standard has benchmarks that people know measure targets: pgbench, sysbench, and as
// yardsticks redis-benchmark and a Go server that sends back what it was sent. They judge no
// answer themselves, so answers are compared with those of Postgres before and after.
package standard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/target"
	"github.com/freshet/freshet/loadtest/workload"
)

// Options say what to run.
type Options struct {
	// Benchmark is one of Names.
	Benchmark string
	Protocol  target.Protocol
	// Targets are names of targets, or of yardsticks, in the order of their turns.
	Targets []string
	Clients int
	// Scale is pgbench's, 100 000 accounts each, or how many times 100 000 rows sysbench's
	// table has.
	Scale int
	// Rounds is how often each target has its turn, for Turn each. Warm is one turn more,
	// ahead of them, that does not count.
	Rounds     int
	Turn, Warm time.Duration
	Seed       uint64
	Target     target.Options
	// Echo is the command that serves an echo (ServeEcho), the socket's path left out.
	Echo []string
	// Progress is told of each turn; nil for nobody.
	Progress func(target string, round int, turn report.Turn)
}

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	b, err := find(o.Benchmark)
	switch {
	case err != nil:
		return err
	case len(o.Targets) == 0 || o.Clients < 1 || o.Rounds < 1 || o.Scale < 1 || o.Turn < time.Second || o.Warm < 0:
		return errors.New("run a benchmark: there have to be a target, a client, a round, a scale of 1, and turns of a second")
	case !slices.Contains(b.protocols, o.Protocol):
		return fmt.Errorf("run %s: it does not speak the protocol %q, but %s", b.name, o.Protocol, words(b.protocols))
	}
	for i, name := range o.Targets {
		if slices.Contains(o.Targets[:i], name) {
			return fmt.Errorf("run a benchmark: target %s is there twice", name)
		}
	}
	return nil
}

func words(of []target.Protocol) string {
	var all []string
	for _, p := range of {
		all = append(all, string(p))
	}
	return strings.Join(all, ", ")
}

// player is a target, or a yardstick, that has its turns.
type player struct {
	found report.Target
	// turn measures for a while.
	turn func(ctx context.Context, length time.Duration) (report.Turn, error)
	// compare compares answers with those of Postgres; nil where there are none.
	compare func(ctx context.Context) (compared, different int, err error)
	close   func() error
}

// Run starts the targets, has the benchmark measure one after the other in each round, and
// returns what was found. A target that fails is void, and the others go on. A transaction,
// or for yardsticks a request, counts as a read.
func Run(ctx context.Context, o Options) (r report.Run, err error) {
	if err := o.Validate(); err != nil {
		return report.Run{}, err
	}
	b, _ := find(o.Benchmark) // Validate has found it
	ground, err := target.NewGround(ctx, func(ctx context.Context, on *target.Ground, at target.Place) error {
		if err := b.fill(ctx, on, at, &o); err != nil {
			return err
		}
		return target.SQL(workload.RoleSetup)(ctx, on, at)
	}, o.Clients*len(o.Targets), 0)
	if err != nil {
		return report.Run{}, err
	}
	defer func() { err = errors.Join(err, ground.Close()) }()
	var players []*player
	defer func() {
		for _, p := range players {
			err = errors.Join(err, p.close())
		}
	}()
	for _, name := range o.Targets {
		p, err := newPlayer(ctx, b, name, ground, &o)
		if err != nil {
			return report.Run{}, err
		}
		players = append(players, p)
	}
	play(ctx, players, &o)
	r = report.Run{
		Workload: b.name, About: b.about, Protocol: string(o.Protocol), Clients: o.Clients, Keys: b.keys,
		Rows: int64(o.Scale) * rowsOfScale, Span: 1, Shape: "flat", Seed: o.Seed, Rounds: o.Rounds, TurnSeconds: o.Turn.Seconds(),
	}
	for _, p := range players {
		p.found.Whole = whole(p.found.Turns)
		r.Targets = append(r.Targets, p.found)
	}
	return r, ctx.Err()
}

func newPlayer(ctx context.Context, b *benchmark, name string, ground *target.Ground, o *Options) (*player, error) {
	if launch, is := yardsticks[name]; is {
		return launch(ctx, o)
	}
	to := o.Target
	to.Clients = o.Clients
	t, err := target.Launch(ctx, name, ground, to)
	if err != nil {
		return nil, err
	}
	place, ok := t.Place()
	if !ok {
		return nil, errors.Join(fmt.Errorf("have %s measure %s: it does not speak Postgres' protocol", b.name, name), t.Close())
	}
	m := &measured{benchmark: b, target: t, ground: ground, place: place, options: o}
	return &player{
		found: report.Target{Name: name, About: t.About(), Promise: t.Promise().Text},
		turn:  m.turn, compare: m.compare, close: t.Close,
	}, nil
}

// play lets everybody take turns.
func play(ctx context.Context, players []*player, o *Options) {
	failed := func(p *player, err error) {
		if err != nil && p.found.Void == "" && ctx.Err() == nil {
			p.found.Void = err.Error()
		}
	}
	for _, p := range players {
		compared(ctx, p, &p.found.Compared, &p.found.Different, failed)
		if p.found.Different > 0 {
			p.found.Void = fmt.Sprintf("%d of %d answers differ from Postgres' own", p.found.Different, p.found.Compared)
		}
		if o.Warm > 0 && p.found.Void == "" {
			_, err := p.turn(ctx, o.Warm)
			failed(p, err)
		}
	}
	for round := range o.Rounds {
		for _, p := range players {
			if p.found.Void != "" || ctx.Err() != nil {
				continue
			}
			turn, err := p.turn(ctx, o.Turn)
			if failed(p, err); err != nil {
				continue
			}
			p.found.Turns = append(p.found.Turns, turn)
			if o.Progress != nil {
				o.Progress(p.found.Name, round+1, turn)
			}
		}
	}
	for _, p := range players {
		if p.found.Void == "" {
			compared(ctx, p, &p.found.AtRest, &p.found.WrongAtRest, failed)
		}
	}
}

func compared(ctx context.Context, p *player, all, different *int, failed func(*player, error)) {
	if p.compare == nil || ctx.Err() != nil {
		return
	}
	var err error
	*all, *different, err = p.compare(ctx)
	failed(p, err)
}

// whole is all turns together; latencies are weighed by how many there are, which is no
// quantile of all of them, but near where turns are alike.
func whole(turns []report.Turn) report.Turn {
	w := report.Together(turns)
	w.Read.Count = w.Reads
	for _, t := range turns {
		share := float64(t.Reads) / max(1, float64(w.Reads))
		w.Read.Mean, w.Read.P50, w.Read.P90 = w.Read.Mean+share*t.Read.Mean, w.Read.P50+share*t.Read.P50, w.Read.P90+share*t.Read.P90
		w.Read.P99, w.Read.P999, w.Read.Max = w.Read.P99+share*t.Read.P99, w.Read.P999+share*t.Read.P999, max(w.Read.Max, t.Read.Max)
	}
	return w
}
