package run

import (
	"os"
	"time"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/fleet"
)

// buildFleet has the sidecars know one another that share Redis.
func (s *stack) buildFleet() {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	s.fleet = fleet.New(fleet.Options{
		Store: s.remote, Database: s.name,
		DescribeFunc: func() (fleet.Member, fleet.Counts) { return s.describe(host) },
	})
}

// describe is what the others are told of this sidecar.
func (s *stack) describe(host string) (fleet.Member, fleet.Counts) {
	stats := s.brief()
	m := fleet.Member{
		Host: host, Socket: s.options.socket(), Page: s.of.AdminAddress(), Version: s.options.Version,
		UptimeSeconds: time.Since(s.began).Seconds(), Sessions: stats.Sessions, StalenessSeconds: stats.StalenessSeconds,
		FollowerAgeSeconds: stats.FollowerAgeSeconds,
	}
	if head := s.fence.Head(); head != nil {
		m.Incarnation = string(head.Incarnation)
	}
	m.NotReady = dashboard.NotReady(&stats)
	hits, reads := stats.Reads()
	return m, fleet.Counts{Hits: hits, Reads: reads, Queries: stats.Executed(), SavedSeconds: stats.SavedSeconds}
}

// brief is of a report what readiness and ratios are judged by.
func (s *stack) brief() dashboard.Stats {
	f := s.follower.Stats()
	stats := dashboard.Stats{
		Listening: s.of.listening(), Ending: s.of.ending.Load(), StalenessSeconds: s.cache.Staleness().Seconds(), PoolingProblem: s.poolingProblem(),
		FollowerResting: f.Resting, FollowerProblem: f.LastError,
	}
	addWire(&stats, s.server.Report())
	stats.FollowerAgeSeconds = s.lookAge(f)
	s.addInstallation(&stats)
	return stats
}
