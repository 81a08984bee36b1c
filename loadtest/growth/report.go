package growth

import (
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
)

// Report is what was seen.
type Report struct {
	// Samples are those that could be had, Missed counts the others.
	Samples []Sample `json:"samples"`
	Missed  int      `json:"missed"`
	// Operations are those of all clients, Errors the unexpected ones, and FirstError says what
	// the first of these was.
	Operations int64  `json:"operations"`
	Errors     int64  `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
}

// Broken says what grew, or went wrong; nothing where all is well.
func (r *Report) Broken() (broken []string) {
	if r.Errors > 0 {
		broken = append(broken, fmt.Sprintf("%d of %d operations failed, the first: %s", r.Errors, r.Operations, r.FirstError))
	}
	if r.Missed > len(r.Samples) {
		broken = append(broken, fmt.Sprintf("%d samples could not be had", r.Missed))
	}
	all := trends(r.Samples)
	if all == nil {
		broken = append(broken, fmt.Sprintf("%d samples are too few to judge, at least %d are needed", len(r.Samples), minSamples))
	}
	for _, t := range all {
		if t.grew() {
			broken = append(broken, fmt.Sprintf("%s grew from %s to %s", t.name, t.text(t.before), t.text(t.after)))
		}
	}
	return broken
}

// text is a value of a figure for people.
func (f figure) text(n float64) string {
	switch {
	case !f.bytes:
		return fmt.Sprintf("%.0f", n)
	case n < 0:
		return "-" + humanize.IBytes(uint64(-n))
	default:
		return humanize.IBytes(uint64(n))
	}
}

// Write prints the report for people.
func (r *Report) Write(to io.Writer) error {
	if len(r.Samples) > 0 {
		fmt.Fprintf(to, "%d operations in %v, %d failed; %d samples, of which the first third is not judged\n\n",
			r.Operations, r.Samples[len(r.Samples)-1].At, r.Errors, len(r.Samples))
	}
	_, err := fmt.Fprint(to, "| what | median of the first half | of the second | slope in an hour | |\n|---|---|---|---|---|\n")
	for _, t := range trends(r.Samples) {
		verdict := "steady"
		if t.grew() {
			verdict = "**grew**"
		}
		_, err = fmt.Fprintf(to, "| %s | %s | %s | %s | %s |\n", t.name, t.text(t.before), t.text(t.after), t.text(t.hourly), verdict)
	}
	return err
}
