package observe

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	// shapesShown and tablesShown are how many a person is shown.
	shapesShown = 12
	tablesShown = 8
	// lineMax is how much of a statement is shown, in characters.
	lineMax = 90
)

// Line says in one line how things stand.
func (r *Report) Line() string {
	line := fmt.Sprintf("%s: %d statements, %d reads; %s of the reads would have been hits, %s of Postgres' time saved",
		seconds(r.Seconds), r.Statements, r.Reads, between(r.HitsMin, r.Hits, r.Reads), seconds(r.SavedSeconds))
	if len(r.Elsewhere) > 0 {
		line += "; others change tables, most of all " + r.Elsewhere[0].Table
	}
	return line
}

// Print writes a report for people. install are the commands that watch the tables.
func (r *Report) Print(to io.Writer, install []string) error {
	var b strings.Builder
	say := func(format string, arguments ...any) { _, _ = fmt.Fprintf(&b, format, arguments...) }
	say("In %s %d clients sent %d statements, %d of them reads.\n", seconds(r.Seconds), r.Clients, r.Statements, r.Reads)
	say("With the cache, %s of the reads would have been hits (%s of all statements).\n", between(r.HitsMin, r.Hits, r.Reads), between(r.HitsMin, r.Hits, r.Statements))
	say("Postgres took %s for the reads; the hits would have saved %s of that, and %s with all the answers in memory.\n",
		seconds(r.ReadSeconds), betweenSeconds(r.SavedSecondsMin, r.SavedSeconds), humanize.IBytes(uint64(r.Bytes)))
	if r.Unseen > 0 || r.Lost > 0 {
		say("Not looked at, and not in these figures: %d messages that came too fast, %d sessions that were not understood.\n", r.Unseen, r.Lost)
	}
	r.printShapes(&b)
	r.printElsewhere(say)
	r.printPassing(&b)
	if len(install) > 0 {
		say("\nTo have the hits, watch these tables with these columns:\n\n")
		for _, line := range install {
			say("  %s\n", line)
		}
	} else if r.Reads > 0 {
		say("\nNo read depends on a table that can be watched.\n")
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func (r *Report) printShapes(b *strings.Builder) {
	if len(r.Shapes) == 0 {
		return
	}
	b.WriteString("\nThe reads, those first that would have saved most:\n\n")
	lines := tabwriter.NewWriter(b, 0, 8, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(lines, "times\tanswers\thits\teach\tsaved\t  statement\n")
	for _, s := range r.Shapes[:min(len(r.Shapes), shapesShown)] {
		hits := between(s.HitsMin, s.Hits, s.Executions)
		if s.Hits == 0 && s.Reason != "" {
			hits = "passed"
		}
		_, _ = fmt.Fprintf(lines, "%d\t%d\t%s\t%s\t%s\t  %s\n", s.Executions, s.Answers, hits, seconds(s.Seconds/float64(s.Executions)), seconds(s.SavedSeconds), shortened(s.SQL))
	}
	_ = lines.Flush()
	if more := len(r.Shapes) - shapesShown; more > 0 {
		_, _ = fmt.Fprintf(b, "and %d more (--json has them all)\n", more)
	}
}

func (r *Report) printElsewhere(say func(string, ...any)) {
	if len(r.Elsewhere) == 0 {
		return
	}
	say("\nRows were changed that did not pass here; the lower figures hold if each such change meets all that is read:\n\n")
	for _, e := range r.Elsewhere[:min(len(r.Elsewhere), tablesShown)] {
		say("  %s: %d rows\n", e.Table, e.Rows)
	}
}

func (r *Report) printPassing(b *strings.Builder) {
	if len(r.PassThrough) == 0 {
		return
	}
	b.WriteString("\nThese reads would still pass through:\n\n")
	for _, p := range r.PassThrough {
		_, _ = fmt.Fprintf(b, "  %d (%s)  %s, %s\n      such as %s\n      %s\n", p.Count, percent(p.Count, r.Reads), p.Reason, seconds(p.Seconds), shortened(p.Example), p.Advice)
	}
}

// between is a share, or two.
func between(least, most, whole uint64) string {
	if a, b := percent(least, whole), percent(most, whole); a != b {
		return a + " to " + b
	}
	return percent(most, whole)
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(whole))
}

func betweenSeconds(least, most float64) string {
	if a, b := seconds(least), seconds(most); a != b {
		return a + " to " + b
	}
	return seconds(most)
}

// seconds is a number of seconds as people read it, with three digits.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	digit := time.Nanosecond
	for 1000*digit <= d && digit < time.Second {
		digit *= 10
	}
	return d.Round(digit).String()
}

// shortened is a statement on one line.
func shortened(sql string) string {
	line := []rune(strings.Join(strings.Fields(sql), " "))
	if len(line) > lineMax {
		return string(line[:lineMax-1]) + "…"
	}
	return string(line)
}
