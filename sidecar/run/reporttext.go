package run

import "encoding/json"

// reportText is what a client is shown that asks for a report by its name: JSON, but for
// the version.
func (s *Sidecar) reportText(name string) string {
	if name == "version" {
		return s.options.Version
	}
	stats := s.Report()
	report := map[string]any{"bypasses": stats.Bypasses, "tables": stats.Watched, "stats": map[string]any{
		"queries": stats.Queries, "sessions": stats.Sessions, "follower_age_seconds": stats.FollowerAgeSeconds,
		"staleness_seconds": stats.StalenessSeconds, "watched_tables": stats.WatchedTables, "problems": stats.WatchProblems,
		"verify": stats.Verify, "memory": stats.L1, "redis": stats.Redis.State, "uptime_seconds": stats.UptimeSeconds,
	}}[name]
	text, err := json.Marshal(report)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
