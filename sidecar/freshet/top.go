package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// topCommand shows what a running sidecar does, as a screen that changes or, where there is
// no terminal, as one block of text after the other.
type topCommand struct {
	adminFlags
	Socket   string        `placeholder:"DIR" help:"Ask over the sidecar's socket, as its clients do, where there is no page: the socket's directory (port 6432), or a DSN. Role and database come from PGUSER and PGDATABASE. Default: the page is asked."`
	Database string        `placeholder:"NAME" help:"Which of several databases, by the name that clients ask for. Default: that of --upstream, or of PGDATABASE over the socket, with a line for each of the others."`
	Interval time.Duration `default:"1s" placeholder:"DURATION" help:"How long each reading is shown."`
	JSON     bool          `name:"json" help:"Print what freshet stats --json prints, once in each interval, a line each."`
	Once     bool          `help:"Show one interval, and end."`
	Sort     string        `default:"time" enum:"time,count" placeholder:"BY" help:"What reasons and statements are sorted by: time of Postgres', or count."`
	Filter   string        `placeholder:"TEXT" help:"Show the reasons and statements alone that have this in their name or text. Default: all."`
}

// What a terminal is told. The screen is cleared once, and then each line and what is below
// the last one as they are written, so that nothing flickers.
const (
	clearScreen = "\x1b[2J"
	homeCursor  = "\x1b[H"
	clearLine   = "\x1b[K\n"
	clearBelow  = "\x1b[J"
)

// Run shows until interrupted.
func (c *topCommand) Run(ctx context.Context, out *output) error {
	if c.Interval < watchMin {
		return usage("--interval %s is too short: give at least %s", c.Interval, watchMin)
	}
	read, place, done, err := c.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	if was, err := c.onTerminal(ctx, out, read, place); was {
		return err
	}
	terminal := isTerminal(out.stdout) && !c.Once && !c.JSON
	if terminal {
		_, _ = io.WriteString(out.stdout, clearScreen)
	}
	before, _, err := read(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Interval):
		}
		var now dashboard.Stats
		var raw []byte
		if now, raw, err = read(ctx); err != nil {
			break
		}
		if now.UptimeSeconds < before.UptimeSeconds {
			before = dashboard.Stats{} // of another process
		}
		text := c.view().screen(&now, &before, place)
		if c.JSON {
			text = lineOf(raw)
		}
		if terminal {
			text = homeCursor + strings.ReplaceAll(text, "\n", clearLine) + clearBelow
		}
		if _, err := io.WriteString(out.stdout, text); err != nil || c.Once {
			return err
		}
		before = now
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// readFunc reads the statistics.
type readFunc func(context.Context) (s dashboard.Stats, raw []byte, err error)

// reader is how the statistics are read, and where. done ends it.
func (c *topCommand) reader(ctx context.Context) (read readFunc, place string, done func(), err error) {
	if c.Socket == "" {
		read = func(ctx context.Context) (dashboard.Stats, []byte, error) { return c.stats(ctx, c.Database) }
		return read, c.Admin, func() {}, nil
	}
	conn, err := connectOverSocket(ctx, c.Socket, c.Database, "freshet top")
	if err != nil {
		return nil, "", nil, err
	}
	read = func(ctx context.Context) (dashboard.Stats, []byte, error) { return reportOver(ctx, conn) }
	return read, c.Socket, func() { closeConnection(conn) }, nil
}

// lineOf is JSON as one line.
func lineOf(raw []byte) string {
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return err.Error() + "\n" // stats has read it a moment ago
	}
	return line.String() + "\n"
}

// isTerminal reports whether a person sees what is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// topView is what of all that there is a person wants to see.
type topView struct {
	// Sort is "time" or "count". Only reasons and statements are shown that have Filter in them.
	Sort, Filter string
	// chosen is the id of the shape that is marked, empty if none is.
	chosen string
}

// view is what the options ask for.
func (c *topCommand) view() topView { return topView{Sort: c.Sort, Filter: c.Filter} }

// screen is what there is to see of the time between two readings of the sidecar at a place.
func (v topView) screen(now, before *dashboard.Stats, place string) string {
	var b bytes.Buffer
	seconds := max(now.UptimeSeconds-before.UptimeSeconds, 0.001)
	writeHead(&b, now, before, seconds, place)
	fmt.Fprintf(&b, "%-22s %10s %12s %12s\n", "ANSWERED", "PER SECOND", "HALF WITHIN", "99 % WITHIN")
	for _, name := range outcomesShown {
		r := now.Times.Latency[name].Since(before.Times.Latency[name])
		half, most := "-", "-"
		if r.Count > 0 {
			half, most = duration(r.Quantile(0.5)).String(), duration(r.Quantile(0.99)).String()
		}
		fmt.Fprintf(&b, "%-22s %10.1f %12s %12s\n", name, float64(now.Queries[name]-before.Queries[name])/seconds, half, most)
	}
	fmt.Fprintf(&b, "\n%-22s %10s\n", "MISSED", "PER SECOND")
	for _, cause := range slices.Sorted(maps.Keys(now.Misses)) {
		if n := now.Misses[cause] - before.Misses[cause]; n > 0 {
			fmt.Fprintf(&b, "%-22s %10.1f\n", cause, float64(n)/seconds)
		}
	}
	fmt.Fprintf(&b, "\n%-22s %10s %12s\n", "PASSED THROUGH", "PER SECOND", "OF A SECOND")
	for _, r := range v.reasons(now, before) {
		fmt.Fprintf(&b, "%-22s %10.1f %12s  %s\n", r.name, r.count/seconds, duration(r.spent/seconds), now.BypassAdvice[r.name])
	}
	v.shapes(&b, now, before, seconds)
	return b.String() + "\n"
}

// shapesShown is how many shapes of statements are shown, statementShown how much of each.
const (
	shapesShown    = 10
	statementShown = 72
)

// shapeShown is what became of a shape between two readings.
type shapeShown struct {
	dashboard.Shape
	hits, loads, saved float64
}

// shapesOf are those that are shown: as they come, of which most was saved or loaded since the
// start, or those first whose statements came most often between two readings.
func (v topView) shapesOf(now, before *dashboard.Stats) (all []shapeShown) {
	then := map[string]dashboard.Shape{}
	for _, shape := range before.Shapes {
		then[shape.ID] = shape
	}
	for _, shape := range now.Shapes {
		if !strings.Contains(shape.ID+" "+shape.Statement, v.Filter) {
			continue
		}
		was := then[shape.ID]
		all = append(all, shapeShown{shape, increase(shape.Hits, was.Hits), increase(shape.Loads, was.Loads), max(shape.SavedSeconds-was.SavedSeconds, 0)})
	}
	if v.Sort == "count" {
		slices.SortStableFunc(all, func(a, b shapeShown) int { return cmp.Compare(b.hits+b.loads, a.hits+a.loads) })
	}
	return all[:min(len(all), shapesShown)]
}

// shapes writes what became of the shapes of statements.
func (v topView) shapes(b *bytes.Buffer, now, before *dashboard.Stats, seconds float64) {
	fmt.Fprintf(b, "\n%-10s %10s %10s %12s  %s\n", "SHAPE", "HITS/S", "LOADS/S", "SAVED/S", "STATEMENT")
	for _, shape := range v.shapesOf(now, before) {
		text := []rune(oneLine(shape.Statement))
		if len(text) > statementShown {
			text = append(text[:statementShown-1], '…')
		}
		mark := map[bool]string{true: ">"}[shape.ID == v.chosen]
		fmt.Fprintf(b, "%-10s %10.1f %10.1f %12s  %s\n", mark+shape.ID, shape.hits/seconds, shape.loads/seconds, duration(shape.saved/seconds), string(text))
	}
}

// increase is how much a counter has grown, which begins anew when the schema changes.
func increase(now, before uint64) float64 { return float64(now - min(now, before)) }

// writeHead writes what the page says first: its line, and its four numbers.
func writeHead(b *bytes.Buffer, now, before *dashboard.Stats, seconds float64, place string) {
	fmt.Fprintf(b, "freshet %s at %s, up %s\n%s\n\n", now.Version, place, duration(now.UptimeSeconds).Round(time.Second), verdictLine(now, before, seconds))
	for _, d := range now.Databases {
		fmt.Fprintf(b, "%8s %s: %s\n", map[bool]string{true: ">"}[d.Name == now.Database], d.Name, stateOf(&d))
	}
	hits, misses, all := counted(now, before)
	read := reads(now, before)
	tile := func(name, format string, values ...any) {
		fmt.Fprintf(b, "%-10s %s\n", name, fmt.Sprintf(format, values...))
	}
	everHits, everReads := now.Reads()
	tile("HIT RATIO", "%s of the reads, %s of what can be cached; since the start %s", percent(hits, read), percent(hits, hits+misses), percent(everHits, everReads))
	saved := (now.SavedSeconds - before.SavedSeconds) / seconds
	tile("SAVED", "%.2f s of Postgres in a second, %.0f queries/s kept from it; %.2f s spent on what passed through", saved, float64(hits)/seconds, (sum(now.BypassSeconds)-sum(before.BypassSeconds))/seconds)
	tile("FRESHNESS", "%s; promise: no older than %s", lookAge(now), duration(now.StalenessSeconds))
	results := now.Verify.Results
	tile("VERIFIED", "%d stale of %d answers compared with Postgres since the start", results["stale"], results["same"]+results["stale"])
	fmt.Fprintf(b, "%10s %.0f statements a second, %d clients; %s of %s in memory, %d entries; Redis %s\n\n", "",
		float64(all)/seconds, now.Sessions, humanize.IBytes(now.L1.Bytes), humanize.IBytes(now.L1.LimitBytes), now.L1.Items, now.Redis.State)
}

// lookAge says how old what is served can be.
func lookAge(s *dashboard.Stats) string {
	switch {
	case s.FollowerAgeSeconds == nil:
		return "no look at the outbox has completed yet"
	case s.FollowerResting:
		return "nobody reads: looks are seldom, the next read waits for one"
	}
	text := fmt.Sprintf("%s since the last look began", duration(*s.FollowerAgeSeconds).Round(time.Millisecond))
	if p99 := s.FollowerAgeP99Seconds; p99 != nil { // over a socket it is not known
		text += fmt.Sprintf(", 99 %% of 5 minutes within %s", duration(*p99).Round(time.Millisecond))
	}
	return text
}

// verdictLine is what the page says first, and the command that helps in a line of its own.
func verdictLine(now, before *dashboard.Stats, seconds float64) string {
	v := now.Verdict()
	if v.State != "fresh" {
		line := v.Text
		if v.Alarm != "" {
			line += ". " + strings.TrimSuffix(oneLine(v.Alarm), ".")
		}
		return line + "\n-> " + v.Command // by itself: a narrow terminal cuts lines off
	}
	hits, _, _ := counted(now, before)
	read := reads(now, before)
	if read == 0 {
		return v.Text + ". No read in this interval."
	}
	results := now.Verify.Results
	return fmt.Sprintf("%s. %s of reads from the cache, %s of Postgres' time saved per minute, %d stale of %d verified.", v.Text,
		percent(hits, read), duration((now.SavedSeconds-before.SavedSeconds)/seconds*60).Round(time.Millisecond), results["stale"], results["same"]+results["stale"])
}

// reasonShown is why some statements passed through.
type reasonShown struct {
	name         string
	count, spent float64
}

// reasons are those of the statements between two readings, most first.
func (v topView) reasons(now, before *dashboard.Stats) (all []reasonShown) {
	for name, n := range now.Bypasses {
		r := reasonShown{name, float64(n - before.Bypasses[name]), now.BypassSeconds[name] - before.BypassSeconds[name]}
		if r.count > 0 && strings.Contains(name, v.Filter) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b reasonShown) int {
		byTime, byCount := cmp.Compare(b.spent, a.spent), cmp.Compare(b.count, a.count)
		if v.Sort == "count" {
			byTime, byCount = byCount, byTime
		}
		return cmp.Or(byTime, byCount, strings.Compare(a.name, b.name))
	})
	return all
}

func sum(values map[string]float64) (total float64) {
	for _, value := range values {
		total += value
	}
	return total
}
