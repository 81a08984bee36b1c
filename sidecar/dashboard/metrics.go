package dashboard

import (
	"math"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/freshet/freshet/sidecar/internal/count"
)

// newRegistry returns a registry that reads the sidecar once per scrape, so
// that all values of one scrape belong together.
func newRegistry(statsFunc func() Stats) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		newCollector(statsFunc),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// metric is one line of the table below: a name, and how to read it.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*Stats) float64
}

type collector struct {
	statsFunc func() Stats
	single    []metric
	queries   *prometheus.Desc
	bypasses  *prometheus.Desc
	build     *prometheus.Desc
	reloads   *prometheus.Desc
}

func newCollector(statsFunc func() Stats) *collector {
	c := &collector{
		statsFunc: statsFunc,
		queries:   prometheus.NewDesc("freshet_queries_total", "Executed statements by how they were answered.", []string{"outcome"}, nil),
		bypasses:  prometheus.NewDesc("freshet_bypasses_total", "Statements that went to Postgres uncached, by the reason.", []string{"reason"}, nil),
		build:     prometheus.NewDesc("freshet_build_info", "Always 1; the labels say what runs.", []string{"version", "go_version"}, nil),
	}
	c.reloads = prometheus.NewDesc("freshet_config_reloads_total", "How often the configuration was read again, and put in force or not.", []string{"result"}, nil)
	counter := func(name, help string, read func(*Stats) uint64) {
		c.single = append(c.single, metric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, func(s *Stats) float64 { return float64(read(s)) }})
	}
	gauge := func(name, help string, read func(*Stats) float64) {
		c.single = append(c.single, metric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, read})
	}

	for _, m := range count.Metrics() {
		counter(m.Name, m.Help, func(s *Stats) uint64 { return m.Of(&s.Counts) })
	}
	gauge("freshet_sessions_open", "Clients connected now.", func(s *Stats) float64 { return float64(s.Sessions) })

	gauge("freshet_ready", "1 if /readyz answers 200, else 0.", func(s *Stats) float64 { return one(NotReady(s) == "") })
	gauge("freshet_staleness_bound_seconds", "The promise: no cached answer lacks a commit acknowledged longer ago.", func(s *Stats) float64 { return s.StalenessSeconds })
	gauge("freshet_follower_age_seconds", "How long ago the last completed look at the outbox began; +Inf before the first. Above the bound, reads go to Postgres.", followerAge)
	counter("freshet_follower_looks_total", "Completed looks at the outbox.", func(s *Stats) uint64 { return s.FollowerLooks })
	counter("freshet_follower_notifications_total", "Notifications that made a look come sooner.", func(s *Stats) uint64 { return s.FollowerNotifications })
	counter("freshet_follower_resets_total", "How often everything known was thrown away: a new incarnation of the database, or a gap.", func(s *Stats) uint64 { return s.FollowerResets })
	counter("freshet_invalidation_events_total", "Changes received from the outbox.", func(s *Stats) uint64 { return s.InvalidationEvents })
	gauge("freshet_outbox_rows", "Rows of the outbox, as Postgres estimates them.", func(s *Stats) float64 { return float64(s.Outbox.Rows) })
	gauge("freshet_outbox_bytes", "Size of the outbox on Postgres' disk, with its index.", func(s *Stats) float64 { return float64(s.Outbox.Bytes) })
	gauge("freshet_watched_tables", "Tables whose changes are followed.", func(s *Stats) float64 { return float64(s.WatchedTables) })
	gauge("freshet_watch_problems", "Problems that keep tables from being watched.", func(s *Stats) float64 { return float64(s.WatchProblems) })

	gauge("freshet_config_last_reload_successful", "0 if the configuration was read again last without being put in force.", func(s *Stats) float64 { return one(s.Config.Problem == "") })

	gauge("freshet_memory_items", "Entries in this process's memory.", func(s *Stats) float64 { return float64(s.L1.Items) })
	gauge("freshet_memory_bytes", "Size of the entries in this process's memory.", func(s *Stats) float64 { return float64(s.L1.Bytes) })
	gauge("freshet_memory_limit_bytes", "Most that entries in this process's memory may take.", func(s *Stats) float64 { return float64(s.L1.LimitBytes) })
	counter("freshet_memory_evictions_total", "Entries that had to go for others.", func(s *Stats) uint64 { return s.L1.Evictions })
	counter("freshet_memory_rejections_total", "Entries that were not taken in.", func(s *Stats) uint64 { return s.L1.Rejections })

	gauge("freshet_redis_up", "1 if the shared tier does what it is asked for; 0 if it refuses or does not answer, or none is configured.", func(s *Stats) float64 { return one(s.Redis.State == RedisUp) })
	counter("freshet_redis_errors_total", "Calls of the shared tier that failed or took too long.", func(s *Stats) uint64 { return s.Redis.Errors })
	counter("freshet_redis_broken_entries_total", "Entries of the shared tier that could not be read.", func(s *Stats) uint64 { return s.Redis.Broken })
	counter("freshet_redis_expired_entries_total", "Entries of the shared tier that were found when their life was over.", func(s *Stats) uint64 { return s.Redis.Expired })
	counter("freshet_redis_outdated_entries_total", "Entries of the shared tier that were found when an event had overtaken them.", func(s *Stats) uint64 { return s.Redis.Outdated })
	counter("freshet_redis_dropped_writes_total", "Entries not written to the shared tier because too many waited.", func(s *Stats) uint64 { return s.Redis.Dropped })
	return c
}

// followerAge is +Inf before the first look, so that an alert on "age > bound"
// fires in that case too.
func followerAge(s *Stats) float64 {
	if s.FollowerAgeSeconds == nil {
		return math.Inf(1)
	}
	return *s.FollowerAgeSeconds
}

func one(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.single {
		out <- m.desc
	}
	out <- c.queries
	out <- c.bypasses
	out <- c.build
	out <- c.reloads
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.statsFunc()
	for _, m := range c.single {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s))
	}
	for _, name := range outcomeNames {
		out <- prometheus.MustNewConstMetric(c.queries, prometheus.CounterValue, float64(s.Queries[name]), name)
	}
	for reason, n := range s.Bypasses {
		out <- prometheus.MustNewConstMetric(c.bypasses, prometheus.CounterValue, float64(n), reason)
	}
	out <- prometheus.MustNewConstMetric(c.reloads, prometheus.CounterValue, float64(s.Config.Reloads), "done")
	out <- prometheus.MustNewConstMetric(c.reloads, prometheus.CounterValue, float64(s.Config.Failures), "refused")
	out <- prometheus.MustNewConstMetric(c.build, prometheus.GaugeValue, 1, s.Version, runtime.Version())
}
