package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// baseline is the target that others are compared with, if it is there; otherwise the first.
const baseline = "direct"

// base returns what the targets of a run are compared with.
func (r *Run) base() *Target {
	if t := r.Find(baseline); t != nil {
		return t
	}
	return &r.Targets[0]
}

// WriteText writes a table for each run.
func (r *Report) WriteText(to io.Writer) error {
	for i := range r.Runs {
		if err := r.Runs[i].writeText(to); err != nil {
			return err
		}
	}
	return r.writeVerdicts(to)
}

func (r *Run) writeText(to io.Writer) error {
	if len(r.Targets) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s\n%s\n\n", r.Title(), r.conditions())
	fmt.Fprintf(w, "target\t/s\t/ %s\t95 %% of\thit\tp50\tp99\tp99.9\tbehind/M\tstale/M\toldest\tprocessor\t\n", r.base().Name)
	for i := range r.Targets {
		t := &r.Targets[i]
		c := t.cells(r)
		fmt.Fprintf(w, "%s\t%s\t\n", t.Name, strings.Join(c[:], "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, line := range r.notes() {
		if _, err := fmt.Fprintln(to, "  "+line); err != nil {
			return err
		}
	}
	return nil
}

// conditions say what was run, in a line.
func (r *Run) conditions() string {
	loop := "closed loop"
	if r.Rate > 0 {
		loop = fmt.Sprintf("open loop, %g/s", r.Rate)
	}
	text := fmt.Sprintf("%s; %s of %d rows", r.About, r.Keys, r.Rows)
	if r.Span > 1 {
		text += fmt.Sprintf(", spans of %d", r.Span)
	}
	return text + fmt.Sprintf("; %s, %d rounds of %g s each", loop, r.Rounds, r.TurnSeconds)
}

// columns are how many cells a row of a table has.
const columns = 11

// cells are what is said of a target, for tables.
func (t *Target) cells(r *Run) [columns]string {
	ratio, interval := "1", ""
	if base := r.base(); base.Name != t.Name {
		i := Over(each(t.Turns, figures["throughput"]), each(base.Turns, figures["throughput"]))
		ratio, interval = short(i.Estimate), i.text()
	}
	w := &t.Whole
	return [columns]string{
		short(w.PerSecond), ratio, interval, w.hitText(), latencyText(w.Read.P50), latencyText(w.Read.P99), latencyText(w.Read.P999),
		w.judgedText(w.Behind), w.judgedText(w.Stale), w.oldestText(), micros(figures["processor"](w) - w.ProcessorUS["clients"]),
	}
}

func (i Interval) text() string {
	if math.IsNaN(i.Low) || math.IsInf(i.High, 0) {
		return ""
	}
	return short(i.Low) + "–" + short(i.High)
}

func (t *Turn) hitText() string {
	if t.HitRatio < 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*t.HitRatio)
}

// judgedText is how many of a million judged reads some are; empty where none was judged.
func (t *Turn) judgedText(some int64) string {
	if t.Judged == 0 {
		return ""
	}
	return short(t.PerMillion(some))
}

func (t *Turn) oldestText() string {
	if t.Behind == 0 {
		return ""
	}
	return micros(1000 * t.OldestMS)
}

// latencyText is empty where a quantile is not known.
func latencyText(us float64) string {
	if us == 0 {
		return ""
	}
	return micros(us)
}

// micros writes a number of microseconds with a fitting unit.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return short(us/1e6) + " s"
	case us >= 1e3:
		return short(us/1e3) + " ms"
	}
	return short(us) + " µs"
}

// warnings are what a reader of a table must know.
func (r *Run) warnings() (lines []string) {
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Void != "" {
			lines = append(lines, t.Name+": no figure counts: "+t.Void)
		}
		if t.WrongAtRest > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d of %d answers were still wrong when all was quiet and its promise had expired", t.Name, t.WrongAtRest, t.AtRest))
		}
		if t.Whole.Errors > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d errors, such as: %s", t.Name, t.Whole.Errors, t.Whole.FirstError))
		}
		if lag := t.Whole.Lag; lag.Count > 0 {
			lines = append(lines, fmt.Sprintf("%s: the generator was late by %s (p50), %s (p99), %s at most", t.Name, micros(lag.P50), micros(lag.P99), micros(lag.Max)))
		}
	}
	return lines
}

// notes are what does not fit into a table.
func (r *Run) notes() []string {
	lines := r.warnings()
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Whole.Writes > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d writes, p50 %s, p99 %s", t.Name, t.Whole.Writes, micros(t.Whole.Write.P50), micros(t.Whole.Write.P99)))
		}
		lines = append(lines, t.Name+": "+t.processors())
		if len(t.Bypasses) > 0 {
			lines = append(lines, t.Name+": passed through: "+counted(t.Bypasses))
		}
	}
	return lines
}

// processors says what each process computed for an operation.
func (t *Target) processors() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t.Whole.ProcessorUS)) {
		parts = append(parts, name+" "+micros(t.Whole.ProcessorUS[name]))
	}
	return "processor time of each operation: " + strings.Join(parts, ", ")
}

func counted(of map[string]uint64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}
