package standard

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/report"
)

// outcome is what a program has measured.
type outcome struct {
	count     int64 // of transactions
	perSecond float64
	latency   report.Latency
	// used is what the program itself computed for; 0 where that is not known.
	used time.Duration
}

// printed is what a program has printed.
type printed struct {
	text string
	used time.Duration
}

// execute runs a program, and ends it with ctx.
func execute(ctx context.Context, name string, arguments ...string) (printed, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return printed{}, fmt.Errorf("run %s: %w; it said: %s", name, err, lastLines(out.String()+problems.String()))
	}
	return printed{out.String(), command.ProcessState.UserTime() + command.ProcessState.SystemTime()}, nil
}

// linesMost is how much of a program's last words an error quotes.
const linesMost = 5

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-linesMost):], "; ")
}

// figure reads a number that a program has printed.
func figure(pattern *regexp.Regexp, text string) (float64, error) {
	found := pattern.FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("read a benchmark's figures: no line is like %s in: %s", pattern, lastLines(text))
	}
	return strconv.ParseFloat(found[1], 64)
}

// distribution is latencies in microseconds, and how many there are of each.
type distribution []counted

type counted struct {
	us    float64
	count int64
}

func (d *distribution) add(us float64, count int64) { *d = append(*d, counted{us, count}) }

// latency sorts the distribution, and tells its quantiles.
func (d *distribution) latency() report.Latency {
	slices.SortFunc(*d, func(a, b counted) int { return cmp.Compare(a.us, b.us) })
	var l report.Latency
	for _, c := range *d {
		l.Count += c.count
		l.Mean += c.us * float64(c.count)
	}
	if l.Count == 0 {
		return l
	}
	l.Mean /= float64(l.Count)
	l.Max = (*d)[len(*d)-1].us
	for _, q := range []struct {
		share float64
		at    *float64
	}{{0.5, &l.P50}, {0.9, &l.P90}, {0.99, &l.P99}, {0.999, &l.P999}} {
		rest := int64(q.share * float64(l.Count))
		for _, c := range *d {
			if rest -= c.count; rest < 0 {
				*q.at = c.us
				break
			}
		}
	}
	return l
}
