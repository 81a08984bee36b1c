package fleet

import (
	"fmt"
	"math"
)

// batchesMax is how many batches of events followers are told of in a second at most: the
// one awake notifies the others no more often.
const batchesMax = 200

// Costs are what one more sidecar costs, found from several fleets.
type Costs struct {
	Connections float64 `json:"connections"`
	// PostgresQuiet and RedisQuiet are cores that a sidecar takes while nothing happens,
	// RedisCommands the commands a second.
	PostgresQuiet float64 `json:"postgres_quiet_cores"`
	RedisQuiet    float64 `json:"redis_quiet_cores"`
	RedisCommands float64 `json:"redis_commands_per_second"`
	// PostgresBatch and SidecarBatch are seconds of a processor that a batch of events
	// takes for each sidecar, beyond what it takes when quiet.
	PostgresBatch float64 `json:"postgres_seconds_per_batch"`
	SidecarBatch  float64 `json:"sidecar_seconds_per_batch"`
}

// CostsOf finds the costs from fleets of several sizes that share the same kind. There must
// be at least one.
func CostsOf(cases []Case) Costs {
	c := Costs{Connections: cases[len(cases)-1].Connections}
	c.PostgresQuiet = perSidecar(cases, func(c *Case) float64 { return c.Quiet.PostgresCores })
	c.RedisQuiet = perSidecar(cases, func(c *Case) float64 { return c.Quiet.RedisCores })
	c.RedisCommands = perSidecar(cases, func(c *Case) float64 { return c.Quiet.RedisCommands })
	c.PostgresBatch = perSidecar(cases, func(c *Case) float64 { return beyondQuiet(c, func(c Cost) float64 { return c.PostgresCores }) })
	c.SidecarBatch = perSidecar(cases, func(c *Case) float64 { return beyondQuiet(c, func(c Cost) float64 { return c.SidecarCores }) })
	return c
}

// beyondQuiet is what a batch took of something, in all sidecars.
func beyondQuiet(c *Case, of func(Cost) float64) float64 {
	rate := float64(c.Writing.Events) / c.Writing.Seconds
	return max(0, of(c.Writing)-of(c.Quiet)) / math.Min(rate, batchesMax)
}

// perSidecar is the slope of a line through the figures of fleets by their sizes, by least
// squares; of one size alone it is the figure for each sidecar. It is never negative.
func perSidecar(cases []Case, figure func(*Case) float64) float64 {
	var n, x, y, xx, xy float64
	for i := range cases {
		size, value := float64(cases[i].Sidecars), figure(&cases[i])
		n, x, y, xx, xy = n+1, x+size, y+value, xx+size*size, xy+size*value
	}
	if spread := n*xx - x*x; spread > 0 {
		return max(0, (n*xy-x*y)/spread)
	}
	return y / x
}

// Reckoned is what a fleet of a size would take.
type Reckoned struct {
	Sidecars    int     `json:"sidecars"`
	Writes      int     `json:"writes_per_second"`
	Connections float64 `json:"connections"`
	// PostgresCores are for following alone, whatever clients ask.
	PostgresCores float64 `json:"postgres_cores"`
	RedisCommands float64 `json:"redis_commands_per_second"`
	RedisCores    float64 `json:"redis_cores"`
	// SidecarCores is what each sidecar computes for events.
	SidecarCores float64 `json:"sidecar_cores_each"`
}

// Of reckons with a fleet under so many writes a second. Events that come more often than
// batches share them.
func (c Costs) Of(sidecars, writes int) Reckoned {
	n, batches := float64(sidecars), math.Min(float64(writes), batchesMax)
	return Reckoned{
		Sidecars: sidecars, Writes: writes, Connections: n * c.Connections,
		PostgresCores: n * (c.PostgresQuiet + batches*c.PostgresBatch),
		RedisCommands: n * c.RedisCommands, RedisCores: n * c.RedisQuiet,
		SidecarCores: batches * c.SidecarBatch,
	}
}

// Limit is something that breaks, and at how many sidecars.
type Limit struct {
	What     string `json:"what"`
	Writes   int    `json:"writes_per_second"`
	Sidecars int    `json:"sidecars"`
}

// sizes of fleets that are reckoned with, and writes a second.
var (
	sizes  = []int{1, 10, 100, 300, 1000}
	paces  = []int{0, 10, 100, 1000}
	limits = []struct {
		what string
		most float64
		of   func(Reckoned) float64
	}{
		{"100 connections, Postgres' default", 100, func(r Reckoned) float64 { return r.Connections }},
		{"500 connections", 500, func(r Reckoned) float64 { return r.Connections }},
		{"0.1 core of Postgres for following", 0.1, func(r Reckoned) float64 { return r.PostgresCores }},
		{"1 core of Postgres for following", 1, func(r Reckoned) float64 { return r.PostgresCores }},
		{"1 core of Redis, which is all it has, without any load", 1, func(r Reckoned) float64 { return r.RedisCores }},
	}
)

// reachedMax is where the search for a limit ends.
const reachedMax = 10_000

// Table reckons with all sizes and paces.
func (c Costs) Table() (all []Reckoned) {
	for _, size := range sizes {
		for _, pace := range paces {
			all = append(all, c.Of(size, pace))
		}
	}
	return all
}

// Limits says for each limit and pace how many sidecars stay within it, reachedMax at most.
func (c Costs) Limits() (all []Limit) {
	for _, limit := range limits {
		for _, pace := range paces {
			one := limit.of(c.Of(1, pace))
			n := reachedMax
			if one*reachedMax > limit.most {
				n = int(limit.most / one)
			}
			if last := len(all) - 1; last >= 0 && all[last].What == limit.what && all[last].Sidecars == n {
				continue // writes make no difference to it
			}
			all = append(all, Limit{limit.what, pace, n})
		}
	}
	return all
}

// text says how many sidecars a limit lets be.
func (l Limit) text() string {
	if l.Sidecars >= reachedMax {
		return fmt.Sprintf("more than %d", reachedMax)
	}
	return fmt.Sprint(l.Sidecars)
}
