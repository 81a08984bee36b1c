package checker

import "time"

// Report is what the checker counted since it was made. Reads are queries, not
// rows.
type Report struct {
	// Checked reads were judged by the bound; Stale of them broke it. Versions is
	// how many row versions they returned.
	Checked, Stale, Versions uint64
	// Unjudged reads began so long ago, or on so busy a key, that the writes before
	// them were forgotten.
	Unjudged uint64
	// Contested reads returned something to which a write was acknowledged within
	// the bound before the read began: those that could have come out late.
	Contested uint64
	// Late reads returned a version that had been replaced when they began; within
	// the bound unless they also count as Stale.
	Late uint64
	// Age is how long before the read began the returned version had been replaced,
	// among contested and late reads; zero for those that returned the newest.
	Age Ages
	// OwnChecked reads returned something that the same connection had written;
	// OwnLost of them did not show it.
	OwnChecked, OwnLost uint64
	// WentBack reads returned an older version than the same connection had read.
	WentBack uint64
	// Totals were compared with the sum of their parts; TotalsWrong differed.
	Totals, TotalsWrong uint64
	// Examples describe the first violations in words.
	Examples []string
}

// Ages are quantiles of a distribution.
type Ages struct{ P50, P99, Max time.Duration }

// Violations is the number of broken promises of any kind.
func (r Report) Violations() uint64 {
	return r.Stale + r.OwnLost + r.WentBack + r.TotalsWrong
}

// Report returns the counts so far.
func (c *Checker) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	r.Examples = append([]string(nil), r.Examples...)
	r.Age = Ages{
		P50: time.Duration(c.ages.ValueAtQuantile(50)) * time.Microsecond,
		P99: time.Duration(c.ages.ValueAtQuantile(99)) * time.Microsecond,
		Max: time.Duration(c.ages.Max()) * time.Microsecond,
	}
	return r
}

// count adds one judged query.
func (c *Checker) count(r reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Versions += r.versions
	if r.unjudged {
		c.report.Unjudged++
	} else {
		c.report.Checked++
	}
	countIf(&c.report.Stale, r.stale)
	countIf(&c.report.Contested, r.contested)
	countIf(&c.report.Late, r.late)
	countIf(&c.report.OwnChecked, r.ownChecked)
	countIf(&c.report.OwnLost, r.ownLost)
	countIf(&c.report.WentBack, r.back)
	if r.contested || r.late {
		// The only error is a value beyond the range, which is cut to it.
		_ = c.ages.RecordValue(min(r.age, ageMax).Microseconds())
	}
	for _, text := range r.examples {
		c.exampleLocked(text)
	}
}

func (c *Checker) exampleLocked(text string) {
	if len(c.report.Examples) < examplesMax {
		c.report.Examples = append(c.report.Examples, text)
	}
}

func countIf(counter *uint64, happened bool) {
	if happened {
		*counter++
	}
}
