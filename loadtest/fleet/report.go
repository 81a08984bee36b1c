package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Report is what was found with all fleets, and what follows.
type Report struct {
	Made    time.Time `json:"made"`
	Command string    `json:"command"`
	// Machine describes where it was made.
	Machine string `json:"machine"`
	Writes  int    `json:"writes_per_second"`
	Cases   []Case `json:"cases"`
	// Costs, Reckoned and Limits are by what is shared.
	Costs    map[Kind]Costs      `json:"costs"`
	Reckoned map[Kind][]Reckoned `json:"reckoned"`
	Limits   map[Kind][]Limit    `json:"limits"`
}

// NewReport reckons with what was found.
func NewReport(command, machine string, writes int, cases []Case) *Report {
	r := &Report{Made: time.Now().UTC(), Command: command, Machine: machine, Writes: writes, Cases: cases,
		Costs: map[Kind]Costs{}, Reckoned: map[Kind][]Reckoned{}, Limits: map[Kind][]Limit{}}
	for _, kind := range Kinds {
		if of := r.of(kind); len(of) > 0 {
			c := CostsOf(of)
			r.Costs[kind], r.Reckoned[kind], r.Limits[kind] = c, c.Table(), c.Limits()
		}
	}
	return r
}

func (r *Report) of(kind Kind) (some []Case) {
	for _, c := range r.Cases {
		if c.Shared == kind {
			some = append(some, c)
		}
	}
	return some
}

// Broken says which promises did not hold: a read that was stale, and a cold key that was
// loaded more than once.
func (r *Report) Broken() (all []string) {
	for _, c := range r.Cases {
		if c.Reads.Stale > 0 {
			all = append(all, fmt.Sprintf("%d sidecars, %s: %d of %d reads were stale, by %.0f ms", c.Sidecars, c.Shared, c.Reads.Stale, c.Reads.Judged, c.Reads.OldestMS))
		}
		if c.Cold.Loads > int64(c.Cold.Keys) {
			all = append(all, fmt.Sprintf("%d sidecars, %s: %d loads of %d cold keys", c.Sidecars, c.Shared, c.Cold.Loads, c.Cold.Keys))
		}
	}
	return all
}

// WriteJSON writes the report to a file.
func (r *Report) WriteJSON(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return writeFile(path, append(text, '\n'))
}

// WriteMarkdownFile writes the report's tables to a file.
func (r *Report) WriteMarkdownFile(path string) error {
	var b strings.Builder
	if err := r.WriteMarkdown(&b); err != nil {
		return err
	}
	return writeFile(path, []byte(b.String()))
}

func writeFile(path string, text []byte) error {
	if err := os.WriteFile(path, text, 0o666); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// columns of the table of fleets.
var columns = []struct {
	name string
	of   func(*Case) string
}{
	{"sidecars", func(c *Case) string { return fmt.Sprint(c.Sidecars) }},
	{"shared", func(c *Case) string { return string(c.Shared) }},
	{"loads per cold key", func(c *Case) string { return fmt.Sprintf("%.2f", c.Cold.PerKey()) }},
	{"connections each", func(c *Case) string { return fmt.Sprintf("%.1f", c.Connections) }},
	{"statements/s each, quiet", func(c *Case) string { return each(c, c.Quiet.Statements, 1) }},
	{"writing", func(c *Case) string { return each(c, c.Writing.Statements, 1) }},
	{"Postgres ms/s each, quiet", func(c *Case) string { return each(c, 1000*c.Quiet.PostgresCores, 2) }},
	{"writing", func(c *Case) string { return each(c, 1000*c.Writing.PostgresCores, 2) }},
	{"sidecar µs per event", func(c *Case) string {
		rate := float64(c.Writing.Events) / c.Writing.Seconds
		return each(c, 1e6*(c.Writing.SidecarCores-c.Quiet.SidecarCores)/rate, 0)
	}},
	{"Redis commands/s each, quiet", func(c *Case) string { return each(c, c.Quiet.RedisCommands, 1) }},
	{"shown by all, p50 / p99 ms, quiet", func(c *Case) string { return c.ShownQuiet.text() }},
	{"writing", func(c *Case) string { return c.ShownWriting.text() }},
	{"late sidecar hits, first 100 / all", func(c *Case) string { return fmt.Sprintf("%.2f / %.2f", c.Joining.First, c.Joining.All) }},
	{"stale of reads", func(c *Case) string { return fmt.Sprintf("%d of %d", c.Reads.Stale, c.Reads.Judged) }},
}

func each(c *Case, figure float64, digits int) string {
	return fmt.Sprintf("%.*f", digits, figure/float64(c.Sidecars))
}

func (s Shown) text() string { return fmt.Sprintf("%.1f / %.1f", s.P50, s.P99) }

// WriteMarkdown writes tables that can be read as text, too.
func (r *Report) WriteMarkdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Made %s by `%s` on %s. \"Writing\" is %d rows a second.\n\n", r.Made.Format("2006-01-02 15:04 MST"), r.Command, r.Machine, r.Writes)
	var names []string
	for _, column := range columns {
		names = append(names, column.name)
	}
	row(&b, names)
	fmt.Fprintf(&b, "%s|\n", strings.Repeat("|---", len(columns)))
	for i := range r.Cases {
		var cells []string
		for _, column := range columns {
			cells = append(cells, column.of(&r.Cases[i]))
		}
		row(&b, cells)
	}
	for _, kind := range Kinds {
		if _, measured := r.Costs[kind]; measured {
			r.reckoning(&b, kind)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// reckoning writes what follows for larger fleets.
func (r *Report) reckoning(b *strings.Builder, kind Kind) {
	c := r.Costs[kind]
	fmt.Fprintf(b, "\nReckoned with %s: one more sidecar holds %.1f connections, takes %.2f ms of Postgres a second when quiet and %.0f µs for each batch of events (%d a second at most), and sends Redis %.1f commands a second.\n\n",
		kind, c.Connections, 1000*c.PostgresQuiet, 1e6*c.PostgresBatch, batchesMax, c.RedisCommands)
	row(b, []string{"sidecars", "writes/s", "connections", "Postgres cores", "Redis commands/s", "Redis cores", "cores of each sidecar for events"})
	fmt.Fprintf(b, "%s|\n", strings.Repeat("|---", 7))
	for _, k := range r.Reckoned[kind] {
		row(b, []string{fmt.Sprint(k.Sidecars), fmt.Sprint(k.Writes), fmt.Sprintf("%.0f", k.Connections), fmt.Sprintf("%.3f", k.PostgresCores),
			fmt.Sprintf("%.0f", k.RedisCommands), fmt.Sprintf("%.3f", k.RedisCores), fmt.Sprintf("%.3f", k.SidecarCores)})
	}
	fmt.Fprintln(b)
	row(b, []string{"it breaks at", "writes/s", "sidecars within it"})
	fmt.Fprintf(b, "%s|\n", strings.Repeat("|---", 3))
	for _, l := range r.Limits[kind] {
		row(b, []string{l.What, fmt.Sprint(l.Writes), l.text()})
	}
}

func row(b *strings.Builder, cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
