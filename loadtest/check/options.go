package check

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Options say what to check. Program is required.
type Options struct {
	// Program is the path of the built freshet.
	Program string
	// Environment are variables for the program, as NAME=value, beside those of this
	// process.
	Environment []string
	// Duration is how long readers and writers run at least; the first round of
	// faults is always completed. 0 means a minute.
	Duration time.Duration
	// ReadsMin makes the run go on until as many reads were judged. 0: no matter.
	ReadsMin int64
	// Seed decides the order of faults, their lengths and the clients' choices; the
	// machine decides how they interleave.
	Seed uint64
	// Faults are names of the catalogue (see FaultNames). Empty: none.
	Faults []string
	// Sidecars is how many are started. Tokens need two. 0 means 3.
	Sidecars int
	// Bound is the sidecars' --staleness. 0 means half a second.
	Bound time.Duration
	// restAfter is the sidecars' --rest-after, 0 for their default; scripts set it.
	restAfter time.Duration
	// cold is set by scripts, whose order of events is theirs: nothing is loaded that nobody asks
	// for.
	cold bool
	// ground has the server, nil for one of its own; scripts set it.
	ground *Ground
	// ReadsPerSecond and WritesPerSecond are the pace of all readers and writers
	// together. 0 means 3000 and 150.
	ReadsPerSecond, WritesPerSecond int
	// StopAtViolation ends the run soon after the first violation.
	StopAtViolation bool
	// Log is told what happens; nil means nobody is.
	Log io.Writer
}

// Defaults of Options.
const (
	durationDefault = time.Minute
	sidecarsDefault = 3
	boundDefault    = 500 * time.Millisecond
	readsDefault    = 3000
	writesDefault   = 150
	sidecarsMax     = 16
	boundMin        = 40 * time.Millisecond
)

func (o Options) withDefaults() (Options, error) {
	if o.Program == "" {
		return o, errors.New("check: Options.Program is empty, name the built freshet, such as bin/freshet")
	}
	if o.Duration < 0 || o.ReadsMin < 0 || o.Sidecars < 0 || o.Bound < 0 || o.ReadsPerSecond < 0 || o.WritesPerSecond < 0 {
		return o, errors.New("check: an option is negative, use 0 for its default")
	}
	orDefault(&o.Duration, durationDefault)
	orDefault(&o.Sidecars, sidecarsDefault)
	orDefault(&o.Bound, boundDefault)
	orDefault(&o.ReadsPerSecond, readsDefault)
	orDefault(&o.WritesPerSecond, writesDefault)
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Sidecars > sidecarsMax {
		return o, fmt.Errorf("check: %d sidecars are too many for one PostgreSQL, at most %d", o.Sidecars, sidecarsMax)
	}
	if o.Bound < boundMin {
		return o, fmt.Errorf("check: a bound of %v is too short for sidecars that look every fifth of it, at least %v", o.Bound, boundMin)
	}
	for _, name := range o.Faults {
		if !slices.Contains(FaultNames(), name) {
			return o, fmt.Errorf("check: there is no fault %q; there are %v", name, FaultNames())
		}
	}
	return o, nil
}

// pollMax is the longest time between two looks of a sidecar.
const pollMax = 100 * time.Millisecond

// poll is how often sidecars look at least: several times within the bound.
func (o Options) poll() time.Duration { return min(o.Bound/5, pollMax) }

func orDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
