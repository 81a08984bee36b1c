// Package report is what a load test found: its figures, ratios with confidence intervals,
// what was asserted of them, and their form for people and programs. It measures nothing.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// formatVersion is of the JSON form. It changes when a field's meaning does.
const formatVersion = 1

// Report is one execution of the tool.
type Report struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
	Runs    []Run     `json:"runs"`
	// Verdicts are on goals, if there were any.
	Verdicts []Verdict `json:"verdicts,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	Processors int    `json:"processors"`
	Model      string `json:"model"`
	Kernel     string `json:"kernel"`
	MemoryGiB  int    `json:"memory_gib"`
	// Load is the load average of the minute before: what others did.
	Load     float64           `json:"load_before"`
	Versions map[string]string `json:"versions"`
}

// Run is one workload under one set of circumstances, with all targets.
type Run struct {
	// Name is the run's in a suite; empty outside of one.
	Name     string  `json:"name,omitempty"`
	Workload string  `json:"workload"`
	About    string  `json:"about"`
	Protocol string  `json:"protocol"`
	Clients  int     `json:"clients"`
	Keys     string  `json:"keys"`
	Rows     int64   `json:"rows"`
	Span     int64   `json:"span"`
	Writes   float64 `json:"writes"`
	// Beside is set where writes went past the targets.
	Beside bool `json:"beside,omitempty"`
	// Rate is how many operations a second were intended; 0 for a closed loop, where each
	// client sends the next one when the last is answered.
	Rate        float64  `json:"rate,omitempty"`
	Shape       string   `json:"shape"`
	DistanceUS  float64  `json:"distance_us,omitempty"`
	Seed        uint64   `json:"seed"`
	Rounds      int      `json:"rounds"`
	TurnSeconds float64  `json:"turn_seconds"`
	Targets     []Target `json:"targets"`
}

// Target is what was found of one target.
type Target struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Promise string `json:"promise"`
	// Turns are one of each round, Whole all of them together.
	Turns []Turn `json:"turns"`
	Whole Turn   `json:"whole"`
	// Compared answers were compared with Postgres' before the load, Different of them were
	// not the same, byte for byte.
	Compared  int `json:"compared"`
	Different int `json:"different"`
	// AtRest and WrongAtRest are the same some time after the load, when every promise had
	// expired: what is wrong then stays wrong.
	AtRest      int `json:"at_rest"`
	WrongAtRest int `json:"wrong_at_rest"`
	// Void says why no figure counts; empty where they do.
	Void string `json:"void,omitempty"`
	// Bypasses are statements that the target passed through, by its reasons.
	Bypasses map[string]uint64 `json:"bypasses,omitempty"`
	// ReadCurve and WriteCurve are latencies by quantile.
	ReadCurve  []Point `json:"read_curve,omitempty"`
	WriteCurve []Point `json:"write_curve,omitempty"`
}

// Turn is what was found in one turn of one target.
type Turn struct {
	Seconds float64 `json:"seconds"`
	Reads   int64   `json:"reads"`
	Writes  int64   `json:"writes"`
	Errors  int64   `json:"errors"`
	// PerSecond is reads and writes.
	PerSecond float64 `json:"per_second"`
	Read      Latency `json:"read"`
	Write     Latency `json:"write"`
	// Lag is how much later than intended the generator itself began operations of an open
	// loop.
	Lag Latency `json:"lag"`
	// HitRatio is hits of the reads that the target decided about; negative where it has
	// none.
	HitRatio float64 `json:"hit_ratio"`
	// Judged reads show versions. Behind of them lacked what had been acknowledged before
	// they were sent, by OldestMS at most; Stale of these broke the target's promise.
	Judged   int64   `json:"judged"`
	Behind   int64   `json:"behind"`
	Stale    int64   `json:"stale"`
	OldestMS float64 `json:"oldest_ms"`
	// ProcessorUS is the processor time of each process for each operation.
	ProcessorUS map[string]float64 `json:"processor_us"`
	// Steps are operations a second over the course of the turn.
	Steps []float64 `json:"steps,omitempty"`
	// FirstError is an example.
	FirstError string `json:"first_error,omitempty"`
}

// Computed notes what a process has computed for in the turn.
func (t *Turn) Computed(process string, time time.Duration) {
	if t.ProcessorUS == nil {
		t.ProcessorUS = map[string]float64{}
	}
	t.ProcessorUS[process] = float64(time.Microseconds()) / max(1, float64(t.Reads+t.Writes))
}

// Together is turns as one, but for their latencies: shares are weighed by what they are of.
func Together(turns []Turn) Turn {
	w := Turn{HitRatio: -1, ProcessorUS: map[string]float64{}}
	var hits, decided float64
	for _, t := range turns {
		w.Seconds, w.Reads, w.Writes, w.Errors = w.Seconds+t.Seconds, w.Reads+t.Reads, w.Writes+t.Writes, w.Errors+t.Errors
		if t.HitRatio >= 0 {
			hits, decided = hits+t.HitRatio*float64(t.Reads), decided+float64(t.Reads)
		}
		for process, us := range t.ProcessorUS {
			w.ProcessorUS[process] += us * float64(t.Reads+t.Writes)
		}
	}
	for process := range w.ProcessorUS {
		w.ProcessorUS[process] /= max(1, float64(w.Reads+w.Writes))
	}
	if decided > 0 {
		w.HitRatio = hits / decided
	}
	if w.Seconds > 0 {
		w.PerSecond = float64(w.Reads+w.Writes) / w.Seconds
	}
	return w
}

// Latency is a distribution of durations, in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// Point is a quantile of latencies, in microseconds.
type Point struct {
	Quantile float64 `json:"quantile"`
	US       float64 `json:"us"`
}

// New returns a report without runs.
func New(command string, machine Machine) *Report {
	return &Report{Format: formatVersion, Made: time.Now().UTC(), Command: command, Machine: machine}
}

// WriteJSON writes the report to a file.
func (r *Report) WriteJSON(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o666); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// ReadJSON reads what WriteJSON has written.
func ReadJSON(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read report %s: %w", path, err)
	}
	if r.Format != formatVersion {
		return nil, fmt.Errorf("read report %s: its format is %d, this program knows %d", path, r.Format, formatVersion)
	}
	return &r, nil
}

// Title names a run by what tells it from others.
func (r *Run) Title() string {
	title := fmt.Sprintf("%s, %s, %d clients", r.Workload, r.Protocol, r.Clients)
	if r.Clients == 1 {
		title = fmt.Sprintf("%s, %s, 1 client", r.Workload, r.Protocol)
	}
	if r.Writes > 0 {
		title += fmt.Sprintf(", %g %% writes", 100*r.Writes)
		if r.Beside {
			title += " past it"
		}
	}
	if r.Rate > 0 {
		title += fmt.Sprintf(", %g/s", r.Rate)
	}
	if r.Shape != "flat" && r.Shape != "" {
		title += ", " + r.Shape
	}
	if r.DistanceUS > 0 {
		title += fmt.Sprintf(", %g µs apart", r.DistanceUS)
	}
	return title
}

// circumstances are what two runs must have in common to be compared.
func (r *Run) circumstances() string {
	return fmt.Sprint(r.Title(), r.Keys, r.Rows, r.Span)
}

// Find returns a target by its name, or nil.
func (r *Run) Find(target string) *Target {
	for i := range r.Targets {
		if r.Targets[i].Name == target {
			return &r.Targets[i]
		}
	}
	return nil
}

// PerMillion is how many of a million judged reads some are.
func (t *Turn) PerMillion(some int64) float64 {
	if t.Judged == 0 {
		return 0
	}
	return 1e6 * float64(some) / float64(t.Judged)
}

// Voids says which targets' figures do not count.
func (r *Report) Voids() (all []string) {
	for i := range r.Runs {
		for _, t := range r.Runs[i].Targets {
			if t.Void != "" {
				all = append(all, r.Runs[i].Title()+": "+t.Name+": "+t.Void)
			}
		}
	}
	return all
}
