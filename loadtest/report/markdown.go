package report

import (
	"fmt"
	"os"
	"strings"
)

// headings are those of a run's table, for the cells of a target.
func (r *Run) headings() [columns]string {
	return [columns]string{"/s", "/ " + r.base().Name, "95 % of", "hits", "p50", "p99", "p99.9", "behind of 1e6", "stale of 1e6", "oldest", "processor"}
}

// WriteMarkdown writes tables for a document.
func (r *Report) WriteMarkdown(path string) error {
	var b strings.Builder
	r.markdown(&b)
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (r *Report) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "Made %s by `%s` on %s.\n", r.Made.Format("2006-01-02 15:04 MST"), r.Command, r.Machine.Text())
	if len(r.Verdicts) > 0 {
		fmt.Fprintf(b, "\n| | goal | measured | |\n|---|---|---|---|\n")
		for _, v := range r.Verdicts {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", v.What, v.Goal, v.Measured, v.Word())
		}
	}
	for i := range r.Runs {
		r.Runs[i].markdown(b)
	}
}

func (r *Run) markdown(b *strings.Builder) {
	if len(r.Targets) == 0 {
		return
	}
	headings := r.headings()
	fmt.Fprintf(b, "\n**%s**: %s\n\n", r.Title(), r.conditions())
	fmt.Fprintf(b, "| target | %s |\n|---%s|\n", strings.Join(headings[:], " | "), strings.Repeat("|---", columns))
	for i := range r.Targets {
		c := r.Targets[i].cells(r)
		fmt.Fprintf(b, "| %s | %s |\n", r.Targets[i].Name, strings.Join(c[:], " | "))
	}
	if notes := r.warnings(); len(notes) > 0 {
		fmt.Fprintf(b, "\n- %s\n", strings.Join(notes, "\n- "))
	}
}

// Text describes the machine in a line.
func (m Machine) Text() string {
	text := fmt.Sprintf("%d × %s, %d GiB, %s, load average before %.2f", m.Processors, m.Model, m.MemoryGiB, m.Kernel, m.Load)
	for _, name := range []string{"freshet", "postgres", "redis", "pgbouncer", "pgpool", "go"} {
		if v := m.Versions[name]; v != "" {
			text += "; " + v
		}
	}
	return text
}
