package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// calmBetween is the time between two faults, in which reads count as near
	// none of them.
	calmBetween = 300 * time.Millisecond
	// faultTail is how long reads count as near a fault after it ended: what it
	// broke shows then.
	faultTail = 500 * time.Millisecond
)

// fault is something that goes wrong. make breaks it and mends it again; when
// ctx ends it mends at once.
type fault struct {
	name string
	make func(ctx context.Context, w *world, random *rand.Rand) error
}

// catalogue lists all faults, by who suffers them.
var catalogue = []fault{
	{"sidecar-kill", killSidecar},
	{"sidecar-freeze", freezeSidecar},
	{"sidecar-restart", restartSidecar},
	{"follower-cut", cutFollowers},
	{"follower-freeze", freezeFollowers},
	{"follower-delay", delayFollowers},
	{"client-cut", cutClients},
	{"link-freeze", freezeLinks},
	{"link-loss", loseBytes},
	{"redis-flush", flushRedis},
	{"redis-kill", killRedis},
	{"redis-freeze", freezeRedis},
	{"redis-garbage", garbleRedis},
	{"redis-resurrect", resurrectRedis},
	{"backend-kill", killBackend},
	{"postgres-kill", killPostgres},
	{"postgres-restart", restartPostgres},
	{"commit-loss", loseCommits},
	{"promotion", promoteStandby},
	{"split-brain", splitBrain},
	{"trim", trimOutbox},
	{"schema", changeSchema},
	{"reload", reloadSettings},
	{"settings-switch", switchSettings},
	{"pause-all", pauseEverything},
}

// FaultNames lists the faults that Options.Faults may name.
func FaultNames() []string {
	names := make([]string, len(catalogue))
	for i, f := range catalogue {
		names[i] = f.name
	}
	return names
}

// unleash makes the faults asked for, in rounds of an order drawn from the seed, until
// enough is closed and the first round is complete, or ctx ends. Before the first fault a
// history is judged in calm.
func (w *world) unleash(ctx context.Context, enough <-chan struct{}) error {
	random := rand.New(rand.NewPCG(w.options.Seed, 1))
	var chosen []fault
	for _, f := range catalogue {
		for _, name := range w.options.Faults {
			if f.name == name {
				chosen = append(chosen, f)
			}
		}
	}
	if len(chosen) == 0 {
		select {
		case <-enough:
		case <-ctx.Done():
		}
		return nil
	}
	// The calm between faults may be shorter than a history.
	judged := func() bool { return w.tally.judged(Linear, calm) }
	if err := until(ctx, "a history that is judged in calm", judged); err != nil && ctx.Err() == nil {
		return err
	}
	for made := 0; ; {
		for _, i := range random.Perm(len(chosen)) {
			select {
			case <-enough:
				if made >= len(chosen) {
					return nil
				}
			default:
			}
			pause(ctx, calmBetween)
			if ctx.Err() != nil {
				return nil
			}
			if err := w.strike(ctx, chosen[i], random); err != nil {
				return err
			}
			made++
		}
	}
}

// strike makes one fault.
func (w *world) strike(ctx context.Context, f fault, random *rand.Rand) error {
	w.logf("fault %s", f.name)
	w.setLabel(f.name)
	defer w.setLabel(calm)
	if err := f.make(ctx, w, rand.New(rand.NewPCG(random.Uint64(), 0))); err != nil && ctx.Err() == nil {
		return fmt.Errorf("make fault %s: %w", f.name, err)
	}
	pause(ctx, faultTail)
	return nil
}

// between is a time drawn from a range.
func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)+1))
}

// until polls for a condition that has no signal.
func until(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, untilMax)
	defer cancel()
	for !holds() {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
		pause(ctx, untilPause)
	}
	return nil
}

const (
	untilMax   = 30 * time.Second
	untilPause = 5 * time.Millisecond
)
