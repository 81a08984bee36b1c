package shop

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Options says what a Workload does. The zero value of a number means its
// default.
type Options struct {
	// Doors are where the shop's programs connect; at least one.
	Doors []Door
	// Direct is PostgreSQL itself.
	Direct Door
	// CountersDSN is a superuser's connection to PostgreSQL itself, for its
	// counters. The server must have loaded pg_stat_statements.
	CountersDSN string
	// DataSet is the size of what Fill made, and Seed its seed.
	DataSet DataSet
	Seed    uint64
	// Bound is the staleness that is promised: 1 s by default.
	Bound time.Duration
	// Readers is the number of reading connections, spread over the doors and the
	// dialects: 20 by default. Together they ask ReadsPerSecond queries, 3 000 by
	// default, or as many as get answered.
	Readers, ReadsPerSecond int
	// WritesPerSecond are made through the doors by one writer each (20 by
	// default), OfficePerSecond at PostgreSQL itself (10 by default).
	WritesPerSecond, OfficePerSecond int
	// Crowd is how many clients ask one query at once (100 by default) every
	// StampedeEvery (5 s by default).
	Crowd         int
	StampedeEvery time.Duration
	// OnStampede, unless nil, is called after each crowd was answered, with how many
	// asked and how many statements reached PostgreSQL.
	OnStampede func(asked, reached int)
	// Duration is how long Run is expected to last. It only sets the pace at which
	// the probe uses up the archived products, which are read once each: 30 s by
	// default.
	Duration time.Duration
}

func (o Options) validate() (Options, error) {
	if len(o.Doors) == 0 {
		return o, errors.New("shop workload: no door to read and write through")
	}
	if err := o.DataSet.validate(); err != nil {
		return o, fmt.Errorf("shop workload: %w", err)
	}
	for _, number := range []int{o.Readers, o.ReadsPerSecond, o.WritesPerSecond, o.OfficePerSecond, o.Crowd} {
		if number < 0 {
			return o, errors.New("shop workload: a number of clients or statements is negative")
		}
	}
	o.Readers = cmp.Or(o.Readers, 20)
	o.ReadsPerSecond = cmp.Or(o.ReadsPerSecond, 3000)
	o.WritesPerSecond = cmp.Or(o.WritesPerSecond, 20)
	o.OfficePerSecond = cmp.Or(o.OfficePerSecond, 10)
	o.Crowd = cmp.Or(o.Crowd, 100)
	if o.Bound < 0 || o.StampedeEvery < 0 || o.Duration < 0 {
		return o, errors.New("shop workload: a time is negative")
	}
	o.Bound = cmp.Or(o.Bound, time.Second)
	o.StampedeEvery = cmp.Or(o.StampedeEvery, 5*time.Second)
	o.Duration = cmp.Or(o.Duration, 30*time.Second)
	return o, nil
}
