package view

import (
	"time"

	"github.com/freshet/freshet/loadtest/demo/shop"
)

// Frame is one moment of the business.
type Frame struct {
	// Length is how long it will last.
	Length time.Duration
	// Shop is what the clients and PostgreSQL counted.
	Shop shop.Report
	// Sidecars are what the sidecars say of themselves, in the order of the doors.
	Sidecars []Sidecar
}

// Sidecar is what one sidecar says of itself. Numbers count since its start.
type Sidecar struct {
	Name string
	// Problem says why the rest is not known; empty if it is.
	Problem string
	// Outcomes of reads.
	Outcomes
	// Reasons says why reads were passed through, by name.
	Reasons map[string]uint64
	// Events is how many changes it was told of.
	Events uint64
	// FollowerAge is how long ago its newest complete knowledge of changes began;
	// negative if it has none.
	FollowerAge time.Duration
}

// Outcomes counts reads by how they were answered.
type Outcomes struct {
	Memory uint64 // from the sidecar's memory
	Redis  uint64
	Joined uint64 // with the answer to another client's question under way
	Missed uint64 // from Postgres, and kept
	Passed uint64 // from Postgres, for a reason
	Failed uint64 // with an error
}

func (o Outcomes) total() uint64 {
	return o.Memory + o.Redis + o.Joined + o.Missed + o.Passed + o.Failed
}

func (o Outcomes) plus(p Outcomes) Outcomes {
	return Outcomes{o.Memory + p.Memory, o.Redis + p.Redis, o.Joined + p.Joined,
		o.Missed + p.Missed, o.Passed + p.Passed, o.Failed + p.Failed}
}

// since returns the difference to an earlier count; a sidecar that could not be
// read then or now makes no negative numbers.
func (o Outcomes) since(p Outcomes) Outcomes {
	return Outcomes{less(o.Memory, p.Memory), less(o.Redis, p.Redis), less(o.Joined, p.Joined),
		less(o.Missed, p.Missed), less(o.Passed, p.Passed), less(o.Failed, p.Failed)}
}

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// outcomes sums up all sidecars.
func (f Frame) outcomes() (sum Outcomes) {
	for _, s := range f.Sidecars {
		sum = sum.plus(s.Outcomes)
	}
	return sum
}

func (f Frame) events() (highest uint64) {
	for _, s := range f.Sidecars {
		highest = max(highest, s.Events) // each is told of all changes
	}
	return highest
}
