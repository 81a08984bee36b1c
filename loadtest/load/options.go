// Package load drives clients against targets, by turns, and measures them: throughput,
// latencies, hits, processor time, and reads that were behind.
//
// Of a closed loop each client sends its next operation when the last is answered. Of an open
// loop the times are intended beforehand, and a latency counts from the intended time: who
// waits for a slow answer does not count the fewer of them. How late the generator itself was
// is reported beside.
package load

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

// Shape is how the load of a turn changes over its course.
type Shape string

// The shapes.
const (
	// Flat does not change.
	Flat Shape = "flat"
	// Ramp begins with a tenth of the rate, or in a closed loop with one client, and ends
	// with all.
	Ramp Shape = "ramp"
	// Storm has half of all operations write for a fifth of each second.
	Storm Shape = "storm"
	// Stampede has one client write the most popular row four times a second, and all others
	// read it at that moment.
	Stampede Shape = "stampede"
)

// Shapes are all.
var Shapes = []Shape{Flat, Ramp, Storm, Stampede}

// Options say what to run.
type Options struct {
	Workload *workload.Workload
	Mix      workload.Mix
	Protocol target.Protocol
	// Targets are their names, in the order of their turns.
	Targets []string
	Clients int
	// Rounds is how often each target has its turn, for Turn each.
	Rounds int
	Turn   time.Duration
	// Warm bounds how long a target is warmed up, before the first round: until its hit ratio
	// stands still, or for that long.
	Warm time.Duration
	// Rate is how many operations a second are intended, of all clients together; 0 makes a
	// closed loop.
	Rate  float64
	Shape Shape
	// Distance is how far away Postgres and Redis are, there and back.
	Distance time.Duration
	Seed     uint64
	Target   target.Options
	// Progress is told of each turn; nil for nobody.
	Progress func(Progress)
}

// Progress is the end of a turn, or of preparations.
type Progress struct {
	Target        string
	Round, Rounds int
	// What is done is said where it is no turn.
	What string
	Turn report.Turn
}

const (
	clientsMax = 1024
	roundsMax  = 100_000
)

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	switch {
	case len(o.Targets) == 0:
		return errors.New("run a load: it has no targets")
	case o.Clients < 1 || o.Clients > clientsMax:
		return fmt.Errorf("run a load: %d clients; from 1 to %d are possible", o.Clients, clientsMax)
	case o.Rounds < 1 || o.Rounds > roundsMax:
		return fmt.Errorf("run a load: %d rounds; from 1 to %d are possible", o.Rounds, roundsMax)
	case o.Turn <= 0 || o.Warm < 0 || o.Rate < 0 || o.Distance < 0:
		return errors.New("run a load: a time or rate is negative, or a turn takes none")
	case o.Mix.Writes < 0 || o.Mix.Writes > 1:
		return fmt.Errorf("run a load: a share of writes of %v; from 0 to 1 are possible", o.Mix.Writes)
	case o.Mix.Span < 1 || o.Mix.Rows < o.Mix.Span:
		return fmt.Errorf("run a load: %d rows and spans of %d; there have to be a row, and rows for a span", o.Mix.Rows, o.Mix.Span)
	case !slices.Contains(Shapes, o.Shape):
		return fmt.Errorf("run a load: shape %q; there are %s", o.Shape, join(Shapes))
	case !slices.Contains(target.Protocols, o.Protocol):
		return fmt.Errorf("run a load: protocol %q; there are %s", o.Protocol, join(target.Protocols))
	}
	for i, name := range o.Targets {
		if slices.Contains(o.Targets[:i], name) {
			return fmt.Errorf("run a load: target %s is there twice", name)
		}
	}
	return nil
}

func join[T ~string](words []T) string {
	var all []string
	for _, word := range words {
		all = append(all, string(word))
	}
	return strings.Join(all, ", ")
}

// Run starts the targets, lets them take turns, and returns what was found. The targets are
// gone when it returns. What was found is returned also if ctx ends between turns.
func Run(ctx context.Context, o Options) (report.Run, error) {
	if err := o.Validate(); err != nil {
		return report.Run{}, err
	}
	g, err := gather(ctx, o)
	if err != nil {
		return report.Run{}, err
	}
	err = g.play(ctx)
	return g.report(), errors.Join(err, g.close())
}
