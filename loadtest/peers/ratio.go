package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"
)

// values say how large what each key stands for is, and how long its load takes.
type values struct {
	name  string
	bytes []int
	took  []time.Duration
	total int // bytes of the keys that all traces are about
}

const (
	evenBytes = 1000
	evenTook  = time.Millisecond
)

// evenValues are all alike: what they save is what they hit.
func evenValues() values {
	v := values{name: "alike"}
	for range keyCount + readCount {
		v.add(evenBytes, evenTook)
	}
	return v
}

// unevenValues are as answers of a database are: most are small and fast, few are large,
// others few are slow.
func unevenValues() values {
	const (
		bytesMedian, bytesSpread = 600, 1.2
		tookMedian, tookSpread   = 500 * time.Microsecond, 1.5
	)
	r := rand.New(rand.NewPCG(traceSeed, 2))
	v := values{name: "of many sizes and load times"}
	for range keyCount + readCount {
		bytes := bytesMedian * math.Exp(bytesSpread*r.NormFloat64())
		took := float64(tookMedian) * math.Exp(tookSpread*r.NormFloat64())
		v.add(int(bytes)+100, time.Duration(took)+100*time.Microsecond)
	}
	return v
}

func (v *values) add(bytes int, took time.Duration) {
	if len(v.bytes) < keyCount {
		v.total += bytes
	}
	v.bytes, v.took = append(v.bytes, bytes), append(v.took, took)
}

// outcome is what a tier made of a trace, in percent.
type outcome struct{ hits, saved float64 }

// replay reads a trace through a tier: what it does not have is loaded and set.
func replay(t trace, v values, in tier) outcome {
	var hits, reads int
	var saved, all time.Duration
	for _, key := range t.keys {
		reads++
		all += v.took[key]
		if in.get(key) {
			hits++
			saved += v.took[key]
			continue
		}
		in.set(key, v.bytes[key], v.took[key])
	}
	return outcome{100 * float64(hits) / float64(reads), 100 * float64(saved) / float64(all)}
}

// capacities are what a tier may hold, in percent of what there is.
var capacities = []int{1, 5, 10}

// ratios prints the hit ratio of each tier on each trace, and the database time saved.
func ratios(to io.Writer) {
	for _, v := range []values{evenValues(), unevenValues()} {
		fmt.Fprintf(to, "\nValues %s: hits of 100 reads, database time saved of 100 s\n\n%-14s %4s", v.name, "trace", "room")
		for _, m := range tiers {
			fmt.Fprintf(to, "  %13s", m.name)
		}
		fmt.Fprintln(to)
		for _, t := range traces() {
			for _, room := range capacities {
				fmt.Fprintf(to, "%-14s %3d%%", t.name, room)
				for _, m := range tiers {
					in := m.make(v.total/100*room, v.total/keyCount)
					o := replay(t, v, in)
					in.close()
					fmt.Fprintf(to, "  %6.1f %6.1f", o.hits, o.saved)
				}
				fmt.Fprintln(to)
			}
		}
	}
}
