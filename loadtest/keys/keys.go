// Package keys chooses which rows a client asks for. A distribution says how often
// each key is asked for; a chooser draws from it, for one client.
//
// A distribution is immutable and may be shared. A chooser belongs to one goroutine.
package keys

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Names describes the distributions that Parse knows.
const Names = "zipf[:SKEW] (0.99 is YCSB's), uniform, latest[:SKEW], hotspot[:KEYS:DRAWS], scan"

const (
	// ycsbSkew is the skew of the distributions of YCSB.
	ycsbSkew = 0.99
	// hotKeys and hotDraws are YCSB's hotspot: a fifth of the keys has four fifths of the draws.
	hotKeys, hotDraws = 0.2, 0.8
)

// Distribution says how often each key is drawn.
type Distribution struct {
	kind string
	// skew is of zipf and latest.
	skew float64
	// hot is the share of keys that has the share draws of all draws, in a hotspot.
	hot, draws float64
}

// Parse reads a distribution, such as zipf:0.99.
func Parse(text string) (Distribution, error) {
	words := strings.Split(text, ":")
	d := Distribution{kind: words[0], skew: ycsbSkew, hot: hotKeys, draws: hotDraws}
	numbers := make([]float64, len(words)-1)
	for i, word := range words[1:] {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil || !(n > 0) || n > 100 {
			return d, fmt.Errorf("read distribution %q: %q is no positive number", text, word)
		}
		numbers[i] = n
	}
	switch {
	case (d.kind == "zipf" || d.kind == "latest") && len(numbers) == 1:
		d.skew = numbers[0]
	case d.kind == "hotspot" && len(numbers) == 2 && numbers[0] <= 1 && numbers[1] <= 1:
		d.hot, d.draws = numbers[0], numbers[1]
	case len(numbers) != 0 || !strings.Contains(" zipf uniform latest hotspot scan ", " "+d.kind+" "):
		return d, fmt.Errorf("read distribution %q: there are %s", text, Names)
	}
	return d, nil
}

// String is what Parse reads.
func (d Distribution) String() string {
	switch d.kind {
	case "zipf", "latest":
		return fmt.Sprintf("%s:%v", d.kind, d.skew)
	case "hotspot":
		return fmt.Sprintf("hotspot:%v:%v", d.hot, d.draws)
	}
	return d.kind
}

// Chooser draws keys for one client.
type Chooser interface {
	// Next returns a key of the count that there are at the moment, from 0.
	Next(random *rand.Rand, count int64) int64
}

// Chooser returns a chooser for one of several clients. count is how many keys there are
// at first.
func (d Distribution) Chooser(count int64, client, clients int) Chooser {
	switch d.kind {
	case "zipf":
		return &popular{ranks: newZipf(count, d.skew), step: stepOf(count)}
	case "latest":
		return &latest{ranks: newZipf(count, d.skew)}
	case "hotspot":
		return &hotspot{hot: max(1, int64(d.hot*float64(count))), draws: d.draws}
	case "scan":
		return &scan{next: count * int64(client) / int64(max(1, clients))}
	}
	return uniform{}
}

type uniform struct{}

func (uniform) Next(random *rand.Rand, count int64) int64 { return random.Int64N(count) }

// popular draws few keys often, which do not lie beside one another.
type popular struct {
	ranks *zipf
	step  int64
}

func (p *popular) Next(random *rand.Rand, _ int64) int64 {
	return int64((uint64(p.ranks.next(random)-1) * uint64(p.step)) % uint64(p.ranks.count))
}

// stepOf is a number that has no divisor in common with count: its multiples, modulo
// count, are all keys in another order.
func stepOf(count int64) int64 {
	step := max(1, int64(float64(count)*0.6180339887)) // the golden ratio spreads best
	for common(step, count) != 1 {
		step++
	}
	return step
}

// common is the greatest common divisor.
func common(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// latest draws the newest keys most often.
type latest struct{ ranks *zipf }

func (l *latest) Next(random *rand.Rand, count int64) int64 {
	return max(0, count-l.ranks.next(random))
}

// hotspot draws the first keys often, each as often as the other.
type hotspot struct {
	hot   int64
	draws float64
}

func (h *hotspot) Next(random *rand.Rand, count int64) int64 {
	if random.Float64() < h.draws || h.hot >= count {
		return random.Int64N(h.hot)
	}
	return h.hot + random.Int64N(count-h.hot)
}

// scan goes through all keys, one after the other, again and again.
type scan struct{ next int64 }

func (s *scan) Next(_ *rand.Rand, count int64) int64 {
	key := s.next % count
	s.next = key + 1
	return key
}
