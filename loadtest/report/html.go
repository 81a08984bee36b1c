package report

import (
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"os"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

var page = template.Must(template.New("page").Parse(pageText))

// Charts is the library that draws the curves; its zero value leaves them out. Bars and
// tables need none.
type Charts struct{ Script, Style string }

// pageData is what the page shows.
type pageData struct {
	Title, Made, Command, Machine string
	Style                         template.CSS
	Script                        template.JS
	Curves                        bool
	Verdicts                      []Verdict
	Met, Asked                    int
	Headlines                     []headline
	Runs                          []runData
}

// headline is a number that the page begins with.
type headline struct{ Number, Text, Tone string }

// runData is one run.
type runData struct {
	Title, Conditions string
	Headings          []string
	Rows              []rowData
	Notes             []string
	// Data is what the curves are drawn from.
	Data template.JS
}

// rowData is one target of a run: its bar, and its cells in the table.
type rowData struct {
	Name, About, Promise string
	Color                int
	PerSecond            string
	// Width is of the bar, Low and High are the ends of its interval, in percent.
	Width, Low, High float64
	HasInterval      bool
	Cells            []cell
	// Shares are the processes' processor time, in percent of the longest of the run.
	Shares []share
}

type cell struct{ Text, Tone string }

type share struct {
	Name, Text string
	Width      float64
	Color      int
}

// WriteHTML writes one page that needs nothing else.
func (r *Report) WriteHTML(path string, charts Charts) error {
	data, err := r.page(charts)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	var b strings.Builder
	if err := page.Execute(&b, data); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func (r *Report) page(charts Charts) (pageData, error) {
	d := pageData{
		Title: "Freshet under load", Made: r.Made.Format("2 January 2006, 15:04 MST"), Command: r.Command, Machine: r.Machine.Text(),
		Style: template.CSS(charts.Style + pageStyle), Curves: charts.Script != "", Verdicts: r.Verdicts, Headlines: r.headlines(),
	}
	if d.Curves {
		d.Script = template.JS(charts.Script + "\n" + pageScript)
	}
	for _, v := range r.Verdicts {
		if !v.Unknown {
			d.Asked++
		}
		if v.Met {
			d.Met++
		}
	}
	for i := range r.Runs {
		run, err := r.Runs[i].page()
		if err != nil {
			return d, err
		}
		d.Runs = append(d.Runs, run)
	}
	return d, nil
}

// headlines are of the subject in all runs: its best ratio, its hits, and what was wrong.
func (r *Report) headlines() (all []headline) {
	best, at := 0.0, ""
	var judged, wrong, others, othersJudged, compared, different int64
	for i := range r.Runs {
		run := &r.Runs[i]
		for j := range run.Targets {
			t := &run.Targets[j]
			if !strings.HasPrefix(t.Name, subject) {
				others, othersJudged = others+t.Whole.Behind, othersJudged+t.Whole.Judged
				continue
			}
			judged, wrong = judged+t.Whole.Judged, wrong+t.Whole.Stale+int64(t.WrongAtRest)
			compared, different = compared+int64(t.Compared+t.AtRest), different+int64(t.Different+t.WrongAtRest)
			if ratio, err := run.Ratio(t.Name, run.base().Name, "throughput"); err == nil && t.Name != run.base().Name && ratio.Estimate > best {
				best, at = ratio.Estimate, run.Title()
			}
		}
	}
	if best > 0 {
		all = append(all, headline{short(best) + "×", "the throughput of " + r.Runs[0].base().Name + " at best: " + at, ""})
	}
	if judged > 0 {
		tone := "good"
		if wrong > 0 {
			tone = "bad"
		}
		all = append(all, headline{fmt.Sprint(wrong), fmt.Sprintf("reads older than promised by Freshet, of %s judged", grouped(judged)), tone})
		all = append(all, headline{fmt.Sprint(different), fmt.Sprintf("answers of Freshet that differ from Postgres' own, of %s compared byte for byte", grouped(compared)), tone})
	}
	if othersJudged > 0 && others > 0 {
		all = append(all, headline{short(1e6 * float64(others) / float64(othersJudged)), "of a million reads of all others lacked what had been committed before", "warn"})
	}
	return all
}

func (r *Run) page() (runData, error) {
	headings := r.headings()
	d := runData{Title: r.Title(), Conditions: r.conditions(), Headings: headings[:], Notes: r.warnings()}
	most, longest := 0.0, 0.0
	for i := range r.Targets {
		t := &r.Targets[i]
		most = max(most, t.spread().High)
		longest = max(longest, figures["processor"](&t.Whole)-t.Whole.ProcessorUS["clients"])
	}
	for i := range r.Targets {
		d.Rows = append(d.Rows, r.Targets[i].page(r, i, most, longest))
	}
	var err error
	d.Data, err = r.curves()
	return d, err
}

// spread is the mean of a target's throughput over its turns, and the least and the most of
// them: with few rounds they say more plainly than the interval of a mean how sure it is.
func (t *Target) spread() Interval {
	of := each(t.Turns, figures["throughput"])
	if len(of) == 0 {
		return Interval{}
	}
	mean, _ := moments(of)
	return Interval{mean, slices.Min(of), slices.Max(of)}
}

func (t *Target) page(r *Run, number int, most, longest float64) rowData {
	s := t.spread()
	d := rowData{Name: t.Name, About: t.About, Promise: t.Promise, Color: number % colors, PerSecond: short(t.Whole.PerSecond),
		Width: percent(s.Estimate, most), Low: percent(s.Low, most), High: percent(s.High, most), HasInterval: s.High > s.Low}
	cells := t.cells(r)
	for i, text := range cells {
		d.Cells = append(d.Cells, cell{text, t.tone(i)})
	}
	for i, name := range slices.Sorted(maps.Keys(t.Whole.ProcessorUS)) {
		if us := t.Whole.ProcessorUS[name]; name != "clients" && us > 0 {
			d.Shares = append(d.Shares, share{name, micros(us), percent(us, longest), i % colors})
		}
	}
	return d
}

// tone colours what is wrong, in the columns of reads that are behind and stale.
func (t *Target) tone(column int) string {
	const behind, stale = 7, 8 // of cells
	switch {
	case column == stale && t.Whole.Stale > 0:
		return "bad"
	case column == behind && t.Whole.Behind > 0:
		return "warn"
	case column == stale && t.Whole.Judged > 0:
		return "good"
	}
	return ""
}

// colors is how many the style sheet has.
const colors = 7

func percent(part, of float64) float64 {
	if of <= 0 {
		return 0
	}
	return 100 * part / of
}

// curves are the latencies and the course of the turns, one after the other.
func (r *Run) curves() (template.JS, error) {
	type line struct {
		Name  string    `json:"name"`
		Color int       `json:"color"`
		Read  []Point   `json:"read"`
		Steps []float64 `json:"steps"`
	}
	var lines []line
	for i := range r.Targets {
		t := &r.Targets[i]
		l := line{Name: t.Name, Color: i % colors, Read: t.ReadCurve}
		for _, turn := range t.Turns {
			l.Steps = append(l.Steps, turn.Steps...)
		}
		lines = append(lines, l)
	}
	text, err := json.Marshal(lines)
	return template.JS(text), err
}
