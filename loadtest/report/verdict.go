package report

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// Verdict is what became of a goal.
type Verdict struct {
	What     string `json:"what"`
	Goal     string `json:"goal"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
	// Unknown is set where it was not measured.
	Unknown bool `json:"unknown,omitempty"`
}

// Word is the verdict in a word.
func (v Verdict) Word() string {
	switch {
	case v.Unknown:
		return "not measured"
	case v.Met:
		return "met"
	}
	return "**not met**"
}

// Goal is a figure of a report that is wanted to be at least, or at most, a bound.
type Goal struct {
	What string
	// Measure returns NaN where runs are missing.
	Measure func(*Report) float64
	// Most is set where Bound is the most that is wanted.
	Most  bool
	Bound float64
	// Unit stands behind numbers.
	Unit string
}

// Judge fills in the verdicts on goals.
func (r *Report) Judge(goals []Goal) {
	for _, g := range goals {
		value := g.Measure(r)
		word, met := "≥ ", value >= g.Bound
		if g.Most {
			word, met = "≤ ", value <= g.Bound
		}
		v := Verdict{What: g.What, Goal: word + short(g.Bound) + g.Unit, Measured: short(value) + g.Unit, Met: met}
		if math.IsNaN(value) {
			v.Measured, v.Unknown, v.Met = "", true, false
		}
		r.Verdicts = append(r.Verdicts, v)
	}
}

// Named returns the run of a name, or nil.
func (r *Report) Named(name string) *Run {
	for i := range r.Runs {
		if r.Runs[i].Name == name {
			return &r.Runs[i]
		}
	}
	return nil
}

// RatioIn is the estimate of a ratio in the run of a name, or NaN.
func (r *Report) RatioIn(name, above, below, figure string) float64 {
	run := r.Named(name)
	if run == nil {
		return math.NaN()
	}
	ratio, err := run.Ratio(above, below, figure)
	if err != nil {
		return math.NaN()
	}
	return ratio.Estimate
}

// BreakEven is the hit ratio above which a cache gains, from how its throughput stands to the
// database's where all is a hit, and where nothing is: (M − O) / (M − H) of the times of a
// miss, of the database alone and of a hit. It is 0 where misses cost nothing, and above 1
// where hits gain nothing.
func BreakEven(hit, miss float64) float64 {
	if miss >= 1 {
		return 0
	}
	if !(hit > miss) {
		return math.Inf(1)
	}
	return (1/miss - 1) / (1/miss - 1/hit)
}

func (r *Report) writeVerdicts(to io.Writer) error {
	if len(r.Verdicts) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nwhat\tgoal\tmeasured\tverdict\n")
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.What, v.Goal, v.Measured, v.Word())
	}
	return w.Flush()
}
