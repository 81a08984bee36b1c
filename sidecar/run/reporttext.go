package run

import (
	"encoding/json"
	"strings"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/fleet"
)

// reportText is what a client is shown that asks for a report by its name: JSON, but for
// the version.
func (s *stack) reportText(name string) string {
	if name == "version" {
		return s.options.Version
	}
	stats := s.report()
	if name == "report" {
		return wholeText(stats)
	}
	report := map[string]any{"bypasses": stats.Bypasses, "tables": stats.Watched, "queries": shortened(stats.Shapes), "fleet": append([]fleet.Member{}, stats.Fleet...), "sessions": stats.SessionList, "databases": append([]dashboard.DatabaseState{}, stats.Databases...), "stats": map[string]any{
		"queries": stats.Queries, "sessions": stats.Sessions, "follower_age_seconds": stats.FollowerAgeSeconds,
		"staleness_seconds": stats.StalenessSeconds, "watched_tables": stats.WatchedTables, "problems": stats.WatchProblems,
		"misses": stats.Misses, "saved_seconds": stats.SavedSeconds, "times": latencies(&stats),
		"verify": stats.Verify, "memory": stats.L1, "redis": stats.Redis.State, "uptime_seconds": stats.UptimeSeconds,
	}}[name]
	text, err := json.Marshal(report)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// wholeText is what GET /api/v1/stats answers, without its longest lists.
func wholeText(stats dashboard.Stats) string {
	stats.Watched, stats.Redis.Shapes, stats.Shapes = nil, nil, shortened(stats.Shapes)
	stats.JudgeReadiness()
	text, err := json.Marshal(stats)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// reportStatementMax bounds a statement in a report, in bytes.
const reportStatementMax = 512

// shortened are shapes with no text that is longer than a report has room for.
func shortened(all []dashboard.Shape) []dashboard.Shape {
	all = append([]dashboard.Shape{}, all...)
	for i := range all {
		if text := all[i].Statement; len(text) > reportStatementMax {
			all[i].Statement = strings.ToValidUTF8(text[:reportStatementMax], "") + "…"
		}
	}
	return all
}

// latencies are what answers took since the start, in milliseconds, by how they were
// answered.
func latencies(stats *dashboard.Stats) map[string]any {
	all := map[string]any{}
	for outcome, r := range stats.Times.Latency {
		if r.Count > 0 {
			all[outcome] = map[string]float64{"p50_ms": 1000 * r.Quantile(0.5), "p99_ms": 1000 * r.Quantile(0.99)}
		}
	}
	return all
}
