package check

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a run found. Its JSON form is stable.
type Report struct {
	Seed     uint64        `json:"seed"`
	Duration time.Duration `json:"duration_nanoseconds"`
	Bound    time.Duration `json:"bound_nanoseconds"`
	Sidecars int           `json:"sidecars"`
	Faults   []string      `json:"faults"`
	// Reads is how many reads through sidecars were judged, each once, whatever the
	// number of promises it was judged by.
	Reads    int64 `json:"reads_checked"`
	Excluded int64 `json:"reads_excluded"`
	// Failed is how many calls brought no answer: faults cut connections.
	Failed     int64 `json:"calls_failed"`
	Writes     int64 `json:"writes_acknowledged"`
	Violations int64 `json:"violations"`
	// Rows hold the counts by promise and fault; a row whose fault is "all" sums
	// up a promise.
	Rows []Row `json:"rows"`
	// Histogram is the observed staleness of all reads through sidecars that are
	// judged by the bound.
	Histogram []Bar `json:"staleness_histogram"`
	// Examples are the first violations in words.
	Examples []string `json:"examples,omitempty"`
	// Notes count what else happened, such as transaction ids that came twice.
	Notes map[string]int64 `json:"notes"`
}

// All is the fault of rows that sum up a promise.
const All = "all"

// Row counts the reads of one promise near one fault. Ages are for how long what
// was returned had been out of date when the read began.
type Row struct {
	Promise    Promise       `json:"promise"`
	Fault      string        `json:"fault"`
	Checked    int64         `json:"reads_checked"`
	Violations int64         `json:"violations"`
	AgeP50     time.Duration `json:"staleness_p50_nanoseconds"`
	AgeP99     time.Duration `json:"staleness_p99_nanoseconds"`
	AgeMax     time.Duration `json:"staleness_max_nanoseconds"`
}

// Bar counts reads whose staleness was at most UpTo, and above that of the bar
// before. UpTo 0 is for reads that were not stale at all.
type Bar struct {
	UpTo  time.Duration `json:"up_to_nanoseconds"`
	Reads int64         `json:"reads"`
}

// bars are the histogram's limits as shares of the bound; the last one is for
// what breaks it.
var bars = []float64{0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1}

// Row returns the counts of a promise near a fault, or All.
func (r Report) Row(p Promise, fault string) Row {
	for _, found := range r.Rows {
		if found.Promise == p && found.Fault == fault {
			return found
		}
	}
	return Row{Promise: p, Fault: fault}
}

// report sums up what was counted so far.
func (t *tally) report(o Options) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{
		Seed: o.Seed, Duration: time.Since(t.began), Bound: o.Bound, Sidecars: o.Sidecars, Faults: slices.Clone(o.Faults),
		Reads: sum(t.reads), Excluded: sum(t.excluded), Failed: sum(t.failed), Writes: t.writes,
		Examples: slices.Clone(t.examples), Notes: maps.Clone(t.notes),
	}
	for _, p := range Promises {
		whole := newCell()
		var rows []Row
		for _, label := range t.labelsLocked() {
			c := t.cells[place{p, label}]
			if c == nil {
				continue
			}
			rows = append(rows, c.row(p, label))
			whole.checked += c.checked
			whole.violations += c.violations
			whole.ages.Merge(c.ages)
		}
		if whole.checked == 0 {
			continue
		}
		r.Violations += whole.violations
		r.Rows = append(append(r.Rows, whole.row(p, All)), rows...)
		if p == Bounded {
			r.Histogram = histogram(whole.ages, o.Bound)
		}
	}
	return r
}

func (c *cell) row(p Promise, label string) Row {
	quantile := func(q float64) time.Duration {
		return time.Duration(c.ages.ValueAtQuantile(q)) * time.Microsecond
	}
	return Row{
		Promise: p, Fault: label, Checked: c.checked, Violations: c.violations,
		AgeP50: quantile(50), AgeP99: quantile(99), AgeMax: time.Duration(c.ages.Max()) * time.Microsecond,
	}
}

// histogram sorts ages into bars.
func histogram(ages *hdrhistogram.Histogram, bound time.Duration) []Bar {
	result := make([]Bar, len(bars)+1)
	for i, share := range bars {
		result[i].UpTo = time.Duration(share * float64(bound))
	}
	result[len(bars)].UpTo = ageMax
	for _, found := range ages.Distribution() {
		age := time.Duration(found.From) * time.Microsecond
		i := 0
		for i < len(bars) && age > result[i].UpTo {
			i++
		}
		result[i].Reads += found.Count
	}
	return result
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteTable writes the report for people.
func (r Report) WriteTable(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "promise\tfault\treads checked\tviolations\tstaleness p50\tp99\tmax\t\n")
	for _, row := range r.Rows {
		name := string(row.Promise)
		if row.Fault != All {
			name = ""
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t\n", name, row.Fault, row.Checked, row.Violations,
			milliseconds(row.AgeP50), milliseconds(row.AgeP99), milliseconds(row.AgeMax))
	}
	fmt.Fprintf(w, "\n")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	fmt.Fprintf(to, "staleness of %d reads against the bound of %v:\n", r.Row(Bounded, All).Checked, r.Bound)
	for i, bar := range r.Histogram {
		name := "up to " + milliseconds(bar.UpTo)
		switch i {
		case 0:
			name = "none"
		case len(r.Histogram) - 1:
			name = "beyond the bound"
		}
		fmt.Fprintf(to, "  %-18s %d\n", name, bar.Reads)
	}
	for _, what := range slices.Sorted(maps.Keys(r.Notes)) {
		fmt.Fprintf(to, "%s: %d\n", what, r.Notes[what])
	}
	for _, example := range r.Examples {
		fmt.Fprintf(to, "VIOLATION %s\n", example)
	}
	_, err := fmt.Fprintf(to, "seed %d, %.1f s, %d sidecars: %d reads checked, %d excluded, %d calls failed, %d writes acknowledged, %d violations\n",
		r.Seed, r.Duration.Seconds(), r.Sidecars, r.Reads, r.Excluded, r.Failed, r.Writes, r.Violations)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
