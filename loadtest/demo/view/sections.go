package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/demo/shop"
)

// Columns of the tables. What matters most in a line stands in the first 80.
const (
	columnA  = 27
	columnB  = 40
	columnC  = 53
	columnD  = 66
	barWidth = 40
)

// section is a few lines that belong together.
type section struct {
	lines []line
	// dispensable sections are left out where the screen is too low for all.
	dispensable bool
}

// sections describes a frame. Rates and the hit ratio are those since an earlier
// frame, all else is since the start.
func sections(now, before Frame) []section {
	return []section{
		{lines: reads(now, before)},
		{lines: ratio(now, before)},
		{lines: probes(now.Shop.Probe)},
		{lines: pages(now.Shop), dispensable: true},
		{lines: happenings(now)},
		{lines: verdict(now.Shop)},
	}
}

func reads(now, before Frame) []line {
	asked, reached := now.Shop.Asked, now.Shop.Reached
	seconds := (now.Shop.Elapsed - before.Shop.Elapsed).Seconds()
	rate := func(n uint64) string {
		if seconds <= 0 {
			return unknown
		}
		return number(uint64(float64(n)/seconds+0.5)) + "/s"
	}
	return []line{
		line{}.add(bold, "Reads asked").column(columnA).add(bold, "%9s", number(asked)).
			column(columnB).add(plain, "%s", rate(less(asked, before.Shop.Asked))),
		line{}.add(bold, "reached Postgres").column(columnA).add(bold, "%9s", number(reached)).
			column(columnB).add(plain, "%s", rate(less(reached, before.Shop.Reached))).
			column(columnC).add(plain, "%s", percent(reached, asked)).add(dim, ", counted by Postgres itself"),
	}
}

func ratio(now, before Frame) []line {
	recent := now.outcomes().since(before.outcomes())
	hits, all := recent.Memory+recent.Redis+recent.Joined, recent.total()
	lines := []line{
		line{}.add(bold, "Hit ratio").column(columnA).add(bold, "%9s", percent(hits, all)).
			column(columnB).add(good, "%s", bar(hits, all, barWidth)),
		line{}.add(dim, "  memory ").add(plain, "%s", percent(recent.Memory, all)).
			add(dim, "   Redis ").add(plain, "%s", percent(recent.Redis, all)).
			add(dim, "   joined ").add(plain, "%s", percent(recent.Joined, all)).
			add(dim, "   miss ").add(plain, "%s", percent(recent.Missed, all)).
			add(dim, "   passed on ").add(plain, "%s", percent(recent.Passed, all)),
	}
	if recent.Failed > 0 {
		lines = append(lines, line{}.add(bad, "  %s answered with an error", number(recent.Failed)))
	}
	if recent.Passed*100 > all { // worth a word
		lines = append(lines, line{}.add(dim, "  passed on because of: %s", strings.Join(passedBecause(now), ", ")))
	}
	return lines
}

// passedBecause names why reads were passed through since the start.
func passedBecause(f Frame) []string {
	counts := map[string]uint64{}
	for _, s := range f.Sidecars {
		for reason, n := range s.Reasons {
			counts[reason] += n
		}
	}
	names := make([]string, 0, len(counts))
	for name, count := range counts {
		if count > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + " " + number(counts[name])
	}
	return names[:min(len(names), reasonsShownMax)]
}

const reasonsShownMax = 4

func probes(p shop.ProbeReport) []line {
	row := func(name string, t shop.Times, note string) line {
		return line{}.add(plain, "  %s", name).column(columnA).add(warm, "%10s", quantile(t, t.P50)).
			column(columnB).add(warm, "%10s", quantile(t, t.P99)).column(columnC).add(dim, "%7s", number(uint64(t.Count))).
			column(columnD).add(dim, "%s", note)
	}
	return []line{
		line{}.add(bold, "One product page").column(columnA).add(dim, "%10s", "p50").column(columnB).add(dim, "%10s", "p99").
			column(columnC).add(dim, "%7s", "reads").column(columnD).add(dim, "same query, same driver, side by side"),
		row("hit in memory", p.Again.Spared, "second read"),
		row("hit in Redis", p.Elsewhere.Spared, "first read through the other sidecar"),
		row("miss", p.First.Reached, "first read of all"),
		row("Postgres without Freshet", p.Direct, ""),
	}
}

func quantile(t shop.Times, d time.Duration) string {
	if t.Count == 0 {
		return unknown
	}
	return duration(d)
}

func pages(r shop.Report) []line {
	lines := []line{line{}.add(bold, "All pages").column(columnA).add(dim, "%10s", "reads").
		column(columnB).add(dim, "%10s", "to Postgres").column(columnC).add(dim, "p50 and p99, all readers").
		column(columnD+14).add(dim, "the same without Freshet")}
	for _, st := range r.Statements {
		lines = append(lines, line{}.add(plain, "  %s", st.Name).column(columnA).add(plain, "%10s", number(st.Asked)).
			column(columnB).add(plain, "%10s", percent(st.Reached, st.Asked)).
			column(columnC).add(warm, "%9s  %9s", quantile(st.Through, st.Through.P50), quantile(st.Through, st.Through.P99)).
			column(columnD+14).add(warm, "%9s  %9s", quantile(st.Direct, st.Direct.P50), quantile(st.Direct, st.Direct.P99)))
	}
	return lines
}

func happenings(f Frame) []line {
	r := f.Shop
	crowd := line{}.add(bold, "Stampedes").column(columnA)
	if r.Stampedes.Count == 0 {
		crowd = crowd.add(dim, "none yet")
	} else {
		crowd = crowd.add(plain, "%s at once: %s asked, ", number(r.Stampedes.Asked/r.Stampedes.Count), number(r.Stampedes.Asked)).
			add(bold, "%s reached Postgres", number(r.Stampedes.Reached)).
			add(dim, "; a crowd is served in %s", duration(r.Stampedes.Served.P50))
	}
	visible := line{}.add(bold, "Write past Freshet shows").column(columnA)
	if r.Visible.Count == 0 {
		visible = visible.add(dim, "none yet")
	} else {
		visible = visible.add(plain, "after p50 %s   p99 %s   max %s", duration(r.Visible.P50), duration(r.Visible.P99), duration(r.Visible.Max)).
			add(dim, "   in %s trials through both sidecars", number(uint64(r.Visible.Count)))
	}
	changes := line{}.add(bold, "Invalidations").column(columnA).add(plain, "%s", number(f.events())).add(dim, "   follower age")
	for _, s := range f.Sidecars {
		changes = append(changes, age(s)...)
	}
	changes = changes.add(dim, "   %s writes through sidecars, %s past them", number(r.Writes), number(r.OfficeWrites))
	return []line{visible, crowd, changes}
}

func age(s Sidecar) line {
	switch {
	case s.Problem != "":
		return line{}.add(bad, " %s unknown: %s", s.Name, s.Problem)
	case s.FollowerAge < 0:
		return line{}.add(bad, " %s unknown", s.Name)
	}
	return line{}.add(plain, " %s %s", s.Name, duration(s.FollowerAge))
}

func verdict(r shop.Report) []line {
	c := r.Checks
	lines := []line{
		line{}.add(mark(c.Stale), "stale reads: %s of %s checked", number(c.Stale), number(c.Checked)).
			add(dim, "   %s of them of something changed in the second before", number(c.Contested)),
		line{}.add(mark(c.OwnLost), "own writes missing: %s of %s", number(c.OwnLost), number(c.OwnChecked)).
			add(dim, "   ").add(mark(c.WentBack), "back in time: %s", number(c.WentBack)).
			add(dim, "   ").add(mark(r.Errors), "errors: %s", number(r.Errors)).
			add(dim, "%s", lost(r)),
		line{}.add(mark(c.TotalsWrong), "wrong totals: %s of %s", number(c.TotalsWrong), number(c.Totals)).
			add(dim, "   an order's total and the sum of its items, in one answer"),
		line{}.add(plain, "%s", observed(r)),
	}
	for _, example := range slices.Concat(c.Examples, r.ErrorExamples) {
		lines = append(lines, line{}.add(bad, "  %s", example))
	}
	return lines
}

// lost says what failed because Postgres was away.
func lost(r shop.Report) string {
	if r.Lost == 0 {
		return ""
	}
	return fmt.Sprintf("   lost with the restart of Postgres: %s", number(r.Lost))
}

// observed says how late the reads were that could have been.
func observed(r shop.Report) string {
	c := r.Checks
	text := number(c.Late) + " reads returned what had just been replaced"
	if c.Late > 0 {
		text += ", for " + duration(c.Age.Max) + " at most"
	}
	if c.Unjudged > 0 {
		text += "; " + number(c.Unjudged) + " could not be judged"
	}
	if r.NeverVisible > 0 {
		text += "; " + number(r.NeverVisible) + " writes did not show in twice the promised time"
	}
	return text
}

func mark(violations uint64) style {
	if violations > 0 {
		return bad
	}
	return good
}
