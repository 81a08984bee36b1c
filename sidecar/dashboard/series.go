package dashboard

import (
	"maps"
	"math"
	"slices"

	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// outcomeNames are the outcomes in the order in which they are shown.
var outcomeNames = []string{"hit_l1", "hit_l2", "coalesced", "miss", "bypass", "error", "consented"}

// joining says how values of a short interval become one of a longer.
type joining int

const (
	mean    joining = iota
	highest         // what is to be seen even if it was short
)

// series is one line of the history: a name, and how a value of it is read from two
// readings that are elapsedSeconds apart.
type series struct {
	name    string
	joining joining
	read    func(before, after *Stats, elapsedSeconds float64) float64
}

// unknown is the value of an interval in which there was none.
func unknown() float64 { return math.NaN() }

// allSeries are the lines of the history. Their number is fixed, and with it what the
// history takes: 4 bytes for each in each interval.
var allSeries = makeSeries()

// ageSeries is the place of the follower's age among them.
var ageSeries = slices.IndexFunc(allSeries, func(s series) bool { return s.name == "follower_age" })

func makeSeries() []series {
	var all []series
	perSecond := func(name string, read func(*Stats) uint64) {
		all = append(all, series{name, mean, func(before, after *Stats, elapsed float64) float64 {
			return rate(read(before), read(after), elapsed)
		}})
	}
	level := func(name string, joining joining, read func(*Stats) float64) {
		all = append(all, series{name, joining, func(_, after *Stats, _ float64) float64 { return read(after) }})
	}
	for _, outcome := range outcomeNames {
		perSecond(outcome, func(s *Stats) uint64 { return s.Queries[outcome] })
	}
	perSecond("by_nature", byNature)
	perSecond("upstream", func(s *Stats) uint64 { return s.UpstreamQueries })
	perSecond("changes", func(s *Stats) uint64 { return s.InvalidationEvents })
	perSecond("evictions", func(s *Stats) uint64 { return s.L1.Evictions })
	perSecond("verified", func(s *Stats) uint64 { return s.Verify.Results["same"] + s.Verify.Results["stale"] })
	all = append(all, series{"saved", mean, func(before, after *Stats, elapsed float64) float64 {
		return max(0, after.SavedSeconds-before.SavedSeconds) / elapsed
	}})
	all = append(all, series{"busy", mean, func(before, after *Stats, elapsed float64) float64 {
		return max(0, busySeconds(after)-busySeconds(before)) / elapsed
	}})
	all = append(all, latencies()...)
	level("follower_age", highest, func(s *Stats) float64 {
		if s.FollowerAgeSeconds == nil || s.FollowerResting {
			return unknown()
		}
		return *s.FollowerAgeSeconds
	})
	level("memory", highest, func(s *Stats) float64 { return float64(s.L1.Bytes) })
	level("sessions", highest, func(s *Stats) float64 { return float64(s.Sessions) })
	return all
}

// busySeconds is the time that Postgres took for statements of clients.
func busySeconds(s *Stats) float64 {
	return s.Times.Upstream["load"].SumSeconds + s.Times.Upstream["bypass"].SumSeconds
}

// latencies are the lines of what statements took: of half of them, and of 99 in 100, in
// seconds.
func latencies() (all []series) {
	quantiles := func(name string, read func(*Stats) histogram.Reading) {
		for _, q := range []struct {
			suffix string
			share  float64
		}{{"_p50", .5}, {"_p99", .99}} {
			all = append(all, series{name + q.suffix, highest, func(before, after *Stats, _ float64) float64 {
				now, earlier := read(after), read(before)
				if now.Count <= earlier.Count {
					return unknown()
				}
				return now.Since(earlier).Quantile(q.share)
			}})
		}
	}
	for _, outcome := range []string{"hit_l1", "hit_l2", "coalesced", "miss", "bypass"} {
		quantiles("latency_"+outcome, func(s *Stats) histogram.Reading { return s.Times.Latency[outcome] })
	}
	quantiles("overhead", func(s *Stats) histogram.Reading { return s.Times.Overhead["relay"] })
	return all
}

// natural are the reasons of statements that no cache could answer: writes, and what
// belongs to a transaction that writes. Nothing is to be done about them. The alerts and the
// dashboard for Grafana name them, too.
var natural = []string{"not_select", "in_transaction", "failed_transaction", "function_call", "malformed_message"}

// byNature counts the bypasses for natural reasons.
func byNature(s *Stats) (n uint64) {
	for reason, count := range s.Bypasses {
		if slices.Contains(natural, reason) {
			n += count
		}
	}
	return n
}

// rate is the growth of a counter per second.
func rate(before, after uint64, elapsedSeconds float64) float64 {
	if after < before {
		return 0
	}
	return float64(after-before) / elapsedSeconds
}

// withCounters is s with maps of its own, as a reading that is kept to be compared with
// the next one.
func withCounters(s *Stats) *Stats {
	kept := *s
	kept.Queries, kept.Bypasses = maps.Clone(s.Queries), maps.Clone(s.Bypasses)
	kept.Watched, kept.Problems = nil, nil
	return &kept
}
