package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// figures are what can be asserted of a target. hit is a share, latencies are in
// microseconds.
var figures = map[string]func(*Turn) float64{
	"hit":        func(t *Turn) float64 { return t.HitRatio },
	"throughput": func(t *Turn) float64 { return t.PerSecond },
	"p50":        func(t *Turn) float64 { return t.Read.P50 },
	"p90":        func(t *Turn) float64 { return t.Read.P90 },
	"p99":        func(t *Turn) float64 { return t.Read.P99 },
	"p999":       func(t *Turn) float64 { return t.Read.P999 },
	"mean":       func(t *Turn) float64 { return t.Read.Mean },
	"write-p99":  func(t *Turn) float64 { return t.Write.P99 },
	"lag":        func(t *Turn) float64 { return t.Lag.P99 },
	"stale":      func(t *Turn) float64 { return float64(t.Stale) },
	"behind":     func(t *Turn) float64 { return float64(t.Behind) },
	"errors":     func(t *Turn) float64 { return float64(t.Errors) },
	"processor": func(t *Turn) (sum float64) {
		for _, us := range t.ProcessorUS {
			sum += us
		}
		return sum
	},
}

// Figures are the names of what can be asserted.
func Figures() []string { return slices.Sorted(maps.Keys(figures)) }

func figureOf(name string) (func(*Turn) float64, error) {
	of, known := figures[name]
	if !known {
		return nil, fmt.Errorf("find figure %q: there are %s", name, strings.Join(Figures(), ", "))
	}
	return of, nil
}

func missing(above, below string, r *Run) error {
	var names []string
	for _, t := range r.Targets {
		names = append(names, t.Name)
	}
	return fmt.Errorf("compare %s with %s: the targets are %s", above, below, strings.Join(names, ", "))
}

// Assertion is a claim about every run: hit>0.9, p99(direct)<500, ratio(freshet/direct)>2 or
// ratio.p99(freshet/direct)<1.
type Assertion struct {
	text string
	// figure is of one target, or the ratio of two.
	figure       string
	target, over string
	operator     string
	bound        float64
}

// subject is the target that an assertion is about if it names none.
const subject = "freshet"

var assertionForm = regexp.MustCompile(`^([a-z0-9.-]+)(?:\(([a-z+-]+)(?:/([a-z+-]+))?\))?(<=|>=|=|<|>)([0-9.eE+-]+)$`)

// ParseAssertions reads assertions with commas between.
func ParseAssertions(text string) ([]Assertion, error) {
	var all []Assertion
	for part := range strings.SplitSeq(text, ",") {
		part = strings.ReplaceAll(strings.TrimSpace(part), " ", "")
		if part == "" {
			continue
		}
		a, err := parseAssertion(part)
		if err != nil {
			return nil, fmt.Errorf("read assertion %q: %w", part, err)
		}
		all = append(all, a)
	}
	return all, nil
}

func parseAssertion(text string) (Assertion, error) {
	words := assertionForm.FindStringSubmatch(text)
	if words == nil {
		return Assertion{}, fmt.Errorf("it takes a form such as hit>0.9, p99(direct)<500 or ratio(freshet/direct)>2")
	}
	bound, err := strconv.ParseFloat(words[5], 64)
	if err != nil {
		return Assertion{}, fmt.Errorf("%q is no number", words[5])
	}
	a := Assertion{text: text, figure: words[1], target: cmp.Or(words[2], subject), over: words[3], operator: words[4], bound: bound}
	ratio, isRatio := strings.CutPrefix(a.figure, "ratio")
	if isRatio != (a.over != "") {
		return a, fmt.Errorf("a ratio is of two targets: ratio(freshet/direct) or ratio.p99(freshet/direct)")
	}
	if isRatio {
		a.figure = cmp.Or(strings.TrimPrefix(ratio, "."), "throughput")
	}
	_, err = figureOf(a.figure)
	return a, err
}

// Check returns what does not hold, of each run that has the targets. An assertion that no
// run can be asked for does not hold.
func Check(runs []Run, assertions []Assertion) []string {
	var broken []string
	for _, a := range assertions {
		asked := false
		for i := range runs {
			r := &runs[i]
			if r.Find(a.target) == nil || a.over != "" && r.Find(a.over) == nil {
				continue
			}
			asked = true
			if value := a.value(r); !a.holds(value) {
				broken = append(broken, fmt.Sprintf("%s: %s does not hold: it is %s", r.Title(), a.text, short(value)))
			}
		}
		if !asked {
			broken = append(broken, a.text+" is about targets that were not under load")
		}
	}
	return broken
}

func (a Assertion) value(r *Run) float64 {
	if a.over != "" {
		ratio, _ := r.Ratio(a.target, a.over, a.figure) // both are there, and the figure was found
		return ratio.Estimate
	}
	return figures[a.figure](&r.Find(a.target).Whole)
}

func (a Assertion) holds(value float64) bool {
	switch a.operator {
	case "<":
		return value < a.bound
	case "<=":
		return value <= a.bound
	case ">":
		return value > a.bound
	case ">=":
		return value >= a.bound
	}
	return value == a.bound
}

// grouped writes a number with narrow spaces between thousands.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// short writes a number with as many digits as it deserves.
func short(x float64) string {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "–"
	case x >= 1e9:
		return strconv.FormatFloat(x, 'e', 0, 64)
	case x >= 10_000:
		return grouped(int64(math.Round(x)))
	case x >= 100 || x == math.Trunc(x):
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}
