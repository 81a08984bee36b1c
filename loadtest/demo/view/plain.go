package view

import "strings"

// plainReport is a frame in a few lines without a layout, for logs. Rates and
// the hit ratio are those since the earlier frame.
func plainReport(now, before Frame) []line {
	r := now.Shop
	o := now.outcomes().since(before.outcomes())
	all := o.total()
	head := line{}.add(plain, "%3d s  ", int(r.Elapsed.Seconds()))
	indent := line{}.add(plain, "%s", strings.Repeat(" ", head.width()))
	var ages line
	for _, s := range now.Sidecars {
		ages = append(ages, age(s)...)
	}
	return []line{
		head.add(plain, "reads %s, reached Postgres %s (%s)   hit ratio %s: memory %s, Redis %s, joined %s",
			number(r.Asked), number(r.Reached), percent(r.Reached, r.Asked), percent(o.Memory+o.Redis+o.Joined, all),
			percent(o.Memory, all), percent(o.Redis, all), percent(o.Joined, all)),
		indent.add(plain, "product page p50/p99: hit %s / %s, miss %s / %s, without Freshet %s / %s",
			quantile(r.Probe.Again.Spared, r.Probe.Again.Spared.P50), quantile(r.Probe.Again.Spared, r.Probe.Again.Spared.P99),
			quantile(r.Probe.First.Reached, r.Probe.First.Reached.P50), quantile(r.Probe.First.Reached, r.Probe.First.Reached.P99),
			quantile(r.Probe.Direct, r.Probe.Direct.P50), quantile(r.Probe.Direct, r.Probe.Direct.P99)),
		append(indent.add(plain, "stampedes %d: %s asked, %s reached Postgres   invalidations %s   follower age",
			r.Stampedes.Count, number(r.Stampedes.Asked), number(r.Stampedes.Reached), number(now.events())), ages...),
		indent.add(plain, "stale reads: %s of %s checked, own writes missing: %s, back in time: %s, wrong totals: %s, errors: %s%s",
			number(r.Checks.Stale), number(r.Checks.Checked), number(r.Checks.OwnLost), number(r.Checks.WentBack),
			number(r.Checks.TotalsWrong), number(r.Errors), lost(r)),
	}
}
