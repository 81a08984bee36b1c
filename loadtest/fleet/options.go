// Package fleet measures what many sidecars before one Postgres cost and give: loads for
// each cold key, the price of following and of an event for each sidecar, connections, how
// soon all of them show a commit, and what a sidecar finds that joins late. Every read is
// judged for staleness. From what was measured it reckons how far a fleet goes, and what
// breaks first.
//
// A Run starts and ends all servers itself. Its figures of time are those of the machine it
// runs on, with whatever else that does; its counts are not.
package fleet

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what the sidecars share.
type Kind string

// The kinds.
const (
	// Alone is one Redis.
	Alone Kind = "redis"
	// Cluster is a Redis Cluster of three masters.
	Cluster Kind = "cluster"
)

// Kinds are all.
var Kinds = []Kind{Alone, Cluster}

// Limits of what a run may ask for.
const (
	sidecarsMax = 64
	writesMax   = 5000
	rowsMin     = 200
	rowsMax     = 100_000
)

// Options say what to run. All are required, unless they say so.
type Options struct {
	// Program is the built freshet.
	Program string
	// Sidecars are the sizes of the fleets, each a case of its own with each of Kinds.
	Sidecars []int
	Kinds    []Kind
	// Phase is how long each thing is measured that takes time.
	Phase time.Duration
	// Writes is how many rows a second are written where that is measured.
	Writes int
	// Rows is how many there are, Cold how many of them are asked for as cold keys.
	Rows, Cold int
	// Commits is how many are timed until every sidecar shows them.
	Commits int
	// Staleness is the sidecars' --staleness: what a read may lack at most.
	Staleness time.Duration
	// Flags are further flags of freshet serve; none are required.
	Flags []string
	// Progress is told of each step; nil for nobody.
	Progress func(what string)
}

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	switch {
	case len(o.Sidecars) == 0 || len(o.Kinds) == 0:
		return errors.New("run a fleet: give sizes and what is shared")
	case o.Phase <= 0 || o.Staleness <= 0:
		return errors.New("run a fleet: a phase takes time, and so does staleness")
	case o.Writes < 1 || o.Writes > writesMax:
		return fmt.Errorf("run a fleet: %d writes a second; from 1 to %d are possible", o.Writes, writesMax)
	case o.Rows < rowsMin || o.Rows > rowsMax:
		return fmt.Errorf("run a fleet: %d rows; from %d to %d are possible", o.Rows, rowsMin, rowsMax)
	case o.Cold < 1 || o.Cold > o.Rows/2 || o.Commits < 1:
		return fmt.Errorf("run a fleet: %d cold keys and %d commits; give at least one, and keys of half the rows at most", o.Cold, o.Commits)
	}
	for _, n := range o.Sidecars {
		if n < 1 || n > sidecarsMax {
			return fmt.Errorf("run a fleet: %d sidecars; from 1 to %d are possible", n, sidecarsMax)
		}
	}
	for _, kind := range o.Kinds {
		if kind != Alone && kind != Cluster {
			return fmt.Errorf("run a fleet: it cannot share %q; there are %v", kind, Kinds)
		}
	}
	return nil
}

func (o *Options) say(format string, arguments ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, arguments...))
	}
}
