package dashboard

import (
	"math"
	"regexp"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/freshet/freshet/sidecar/internal/count"
	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// NewRegistry returns a registry that reads the sidecar once per scrape, so
// that all values of one scrape belong together.
//
// Several databases are told apart by the label database.
func NewRegistry(o Options) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	of := func(name string) prometheus.Registerer {
		if len(o.Databases) == 0 {
			return registry
		}
		return prometheus.WrapRegistererWith(prometheus.Labels{"database": name}, registry)
	}
	of(o.Database).MustRegister(newCollector(o.StatsFunc))
	for _, d := range o.Databases {
		of(d.Name).MustRegister(newCollector(d.StatsFunc))
	}
	registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: runtimeMetrics})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// runtimeMetrics are those of Go's own that Prometheus' client leaves out unless it is asked for
// them: what lived when garbage was collected last, for how long that stopped the program, and
// how long goroutines waited for a processor.
var runtimeMetrics = regexp.MustCompile(`^/(gc/heap/live:bytes|sched/pauses/total/gc:seconds|sched/latencies:seconds)$`)

// metric is one line of the table below: a name, and how to read it.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*Stats) float64
}

// labelled is a metric whose values are told apart by one label.
type labelled struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*Stats) map[string]float64
}

// distribution is a histogram for each value of one label.
type distribution struct {
	desc *prometheus.Desc
	read func(*Stats) map[string]histogram.Reading
}

type collector struct {
	statsFunc     func() Stats
	single        []metric
	labelled      []labelled
	distributions []distribution
	eventDelay    *prometheus.Desc
	build         *prometheus.Desc
}

func newCollector(statsFunc func() Stats) *collector {
	c := &collector{
		statsFunc: statsFunc,
		build:     prometheus.NewDesc("freshet_build_info", "Always 1; the labels say what runs.", []string{"version", "revision", "go_version"}, nil),
	}
	counter := func(name, help string, read func(*Stats) uint64) {
		c.single = append(c.single, metric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, func(s *Stats) float64 { return float64(read(s)) }})
	}
	seconds := func(name, help string, read func(*Stats) float64) {
		c.single = append(c.single, metric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, read})
	}
	gauge := func(name, help string, read func(*Stats) float64) {
		c.single = append(c.single, metric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, read})
	}

	byLabel := func(kind prometheus.ValueType, name, help, label string, read func(*Stats) map[string]float64) {
		c.labelled = append(c.labelled, labelled{prometheus.NewDesc(name, help, []string{label}, nil), kind, read})
	}

	spread := func(name, help, label string, read func(*Stats) map[string]histogram.Reading) {
		c.distributions = append(c.distributions, distribution{prometheus.NewDesc(name, help, []string{label}, nil), read})
	}

	byLabel(prometheus.CounterValue, "freshet_queries_total", "Executed statements by how they were answered.", "outcome", func(s *Stats) map[string]float64 {
		queries := make(map[string]float64, len(outcomeNames))
		for _, name := range outcomeNames {
			queries[name] = float64(s.Queries[name])
		}
		return queries
	})
	byLabel(prometheus.CounterValue, "freshet_bypasses_total", "Statements that went to Postgres uncached, by the reason.", "reason", func(s *Stats) map[string]float64 { return floats(s.Bypasses) })
	seconds("freshet_saved_seconds_total", "Time that Postgres would have taken, had each hit taken as long as the load of its entry did.", func(s *Stats) float64 { return s.SavedSeconds })
	byLabel(prometheus.CounterValue, "freshet_bypass_seconds_total", "Time that Postgres took for statements that went to it uncached, by the reason.", "reason", func(s *Stats) map[string]float64 { return s.BypassSeconds })
	byLabel(prometheus.CounterValue, "freshet_misses_total", "Misses, by what there was instead of an entry.", "cause", func(s *Stats) map[string]float64 { return floats(s.Misses) })
	spread("freshet_query_seconds", "From a client's message to the last byte of its answer, by how it was answered.", "outcome", func(s *Stats) map[string]histogram.Reading { return s.Times.Latency })
	spread("freshet_upstream_query_seconds", "What Postgres took for loads, for what passed through, and for the sidecar's own questions.", "kind", func(s *Stats) map[string]histogram.Reading { return s.Times.Upstream })
	spread("freshet_overhead_seconds", "What of an answer's time was not Postgres'.", "path", func(s *Stats) map[string]histogram.Reading { return s.Times.Overhead })
	spread("freshet_hit_age_seconds", "How long before its hit an entry was loaded.", "tier", func(s *Stats) map[string]histogram.Reading { return s.Times.HitAge })
	c.eventDelay = prometheus.NewDesc("freshet_event_delay_seconds", "From a commit until its event had arrived, at most: from the beginning of the look before, which lacked it.", nil, nil)
	for _, m := range count.Metrics() {
		if m.Label == "" {
			counter(m.Name, m.Help, func(s *Stats) uint64 { return m.Of[0].Read(&s.Counts) })
			continue
		}
		byLabel(prometheus.CounterValue, m.Name, m.Help, m.Label, func(s *Stats) map[string]float64 {
			values := make(map[string]float64, len(m.Of))
			for _, one := range m.Of {
				values[one.Value] = float64(one.Read(&s.Counts))
			}
			return values
		})
	}
	byLabel(prometheus.GaugeValue, "freshet_upstream_connections", "Connections to Postgres that are open, by their use.", "use", func(s *Stats) map[string]float64 {
		uses := make(map[string]float64, len(s.UpstreamConnections))
		for use, n := range s.UpstreamConnections {
			uses[use] = float64(n)
		}
		return uses
	})
	byLabel(prometheus.GaugeValue, "freshet_sessions_open", "Clients connected now: waiting for an answer, in a transaction with nothing to wait for, or idle.", "state", func(s *Stats) map[string]float64 {
		states := map[string]float64{"waiting": 0, "in_transaction": 0, "idle": 0}
		for state, n := range s.SessionStates {
			states[state] = float64(n)
		}
		return states
	})
	gauge("freshet_draining", "1 while nobody may connect any more: before the end.", func(s *Stats) float64 { return one(!s.Listening) })

	gauge("freshet_ready", "1 if /readyz answers 200, else 0.", func(s *Stats) float64 { return one(NotReady(s) == "") })
	gauge("freshet_staleness_bound_seconds", "The promise: no cached answer lacks a commit acknowledged longer ago.", func(s *Stats) float64 { return s.StalenessSeconds })
	gauge("freshet_follower_age_seconds", "How long ago the last completed look at the outbox began; +Inf before the first. Above the bound, reads go to Postgres, unless the follower rests.", followerAge)
	gauge("freshet_follower_resting", "1 while nobody has read for a while: looks are seldom then, and the next read waits for one.", func(s *Stats) float64 { return one(s.FollowerResting) })
	counter("freshet_follower_looks_total", "Completed looks at the outbox.", func(s *Stats) uint64 { return s.FollowerLooks })
	counter("freshet_follower_notifications_total", "Notifications that made a look come sooner.", func(s *Stats) uint64 { return s.FollowerNotifications })
	byLabel(prometheus.CounterValue, "freshet_follower_resets_total", "How often everything known was thrown away, by the cause.", "cause", func(s *Stats) map[string]float64 { return floats(s.FollowerResetCauses) })
	ofParts := func(read func(FollowerPart) float64) func(s *Stats) map[string]float64 {
		return func(s *Stats) map[string]float64 {
			values := make(map[string]float64, len(s.FollowerParts))
			for name, part := range s.FollowerParts {
				values[name] = read(part)
			}
			return values
		}
	}
	byLabel(prometheus.CounterValue, "freshet_follower_reconnects_total", "Sessions of the follower that ended in an error, by its parts.", "part", ofParts(func(p FollowerPart) float64 { return float64(p.Reconnects) }))
	byLabel(prometheus.GaugeValue, "freshet_follower_state", "1 if a part of the follower has its connection, or needs none at rest; of the analysis of statements, if nothing is in its way.", "part", func(s *Stats) map[string]float64 {
		states := ofParts(func(p FollowerPart) float64 { return one(p.Working) })(s)
		states["analysis"] = one(s.Analysis.Problem == "")
		return states
	})
	byLabel(prometheus.CounterValue, "freshet_invalidation_events_total", "Changes received from the outbox, by what they change at most.", "kind", func(s *Stats) map[string]float64 { return floats(s.InvalidationKinds) })
	byLabel(prometheus.CounterValue, "freshet_invalidated_entries_total", "Entries in this process's memory that a change has ended, by what they depended on.", "kind", func(s *Stats) map[string]float64 { return floats(s.InvalidatedEntries) })
	counter("freshet_hints_said_total", "Messages about changes to the sidecars that share Redis.", func(s *Stats) uint64 { return s.Hints.Said })
	counter("freshet_hints_heard_total", "Messages about changes from the sidecars that share Redis.", func(s *Stats) uint64 { return s.Hints.Heard })
	gauge("freshet_hints_relying", "1 while another sidecar is heard that looks often for this one too.", func(s *Stats) float64 { return one(s.Hints.Relying) })
	gauge("freshet_outbox_rows", "Rows of the outbox, as Postgres estimates them.", func(s *Stats) float64 { return float64(s.Outbox.Rows) })
	gauge("freshet_outbox_bytes", "Size of the outbox on Postgres' disk, with its index.", func(s *Stats) float64 { return float64(s.Outbox.Bytes) })
	gauge("freshet_outbox_oldest_seconds", "Age that no row of the outbox exceeds.", func(s *Stats) float64 { return s.Outbox.OldestSeconds })
	gauge("freshet_watched_tables", "Tables whose changes are followed.", func(s *Stats) float64 { return float64(s.WatchedTables) })
	byLabel(prometheus.CounterValue, "freshet_tables_lost_total", "Tables that were watched and then were not, by the cause.", "cause", func(s *Stats) map[string]float64 { return floats(s.TablesLost) })
	gauge("freshet_watch_problems", "Problems that keep tables from being watched.", func(s *Stats) float64 { return float64(s.WatchProblems) })

	byLabel(prometheus.CounterValue, "freshet_verify_total", "Hits that were to be compared with what Postgres says, by the result. Every stale is proven.", "result", func(s *Stats) map[string]float64 { return floats(s.Verify.Results) })
	seconds("freshet_verify_seconds_total", "Time that was spent on comparing hits with Postgres, waits included.", func(s *Stats) float64 { return s.Verify.Seconds })

	gauge("freshet_config_last_reload_successful", "0 if the configuration was read again last without being put in force.", func(s *Stats) float64 { return one(s.Config.Problem == "") })

	gauge("freshet_memory_entries", "Entries in this process's memory.", func(s *Stats) float64 { return float64(s.L1.Items) })
	gauge("freshet_memory_bytes", "Size of the entries in this process's memory.", func(s *Stats) float64 { return float64(s.L1.Bytes) })
	gauge("freshet_memory_limit_bytes", "Most that entries in this process's memory may take.", func(s *Stats) float64 { return float64(s.L1.LimitBytes) })
	byLabel(prometheus.CounterValue, "freshet_memory_evictions_total", "Entries that have gone: good ones for want of room, or those that had ended, for that or for a new answer.", "cause", func(s *Stats) map[string]float64 { return floats(s.L1.EvictionsOf) })
	byLabel(prometheus.CounterValue, "freshet_memory_rejections_total", "Entries that were not taken in: too large, overtaken by an event while they were loaded, or less often asked for than others.", "cause", func(s *Stats) map[string]float64 {
		return map[string]float64{"admission": float64(s.L1.Rejections), "too_large": float64(s.L1.TooLarge), "overtaken": float64(s.L1.Overtaken)}
	})
	byLabel(prometheus.CounterValue, "freshet_leases_total", "Loads on behalf of all processes, waits for those of others, and waits that brought nothing.", "result", func(s *Stats) map[string]float64 {
		return map[string]float64{"won": float64(s.Leases.Won), "waited": float64(s.Leases.Waited), "vain": float64(s.Leases.Vain)}
	})

	byLabel(prometheus.GaugeValue, "freshet_redis_state", "1 for the state that the shared tier is in: off, idle, up, refusing or down.", "state", func(s *Stats) map[string]float64 {
		states := map[string]float64{}
		for _, state := range redisStates {
			states[string(state)] = one(s.Redis.State == state)
		}
		return states
	})
	byLabel(prometheus.CounterValue, "freshet_redis_errors_total", "Calls of the shared tier that failed or took too long, by what was the matter.", "kind", func(s *Stats) map[string]float64 { return floats(s.Redis.ErrorKinds) })
	spread("freshet_redis_request_seconds", "Exchanges with the shared tier, whatever came of them, by what they were for.", "op", func(s *Stats) map[string]histogram.Reading { return s.Times.Redis })
	byLabel(prometheus.CounterValue, "freshet_redis_unusable_total", "Entries of the shared tier that were found and of no use: unreadable, at the end of their life, or overtaken by an event. The last two are normal.", "cause", func(s *Stats) map[string]float64 {
		return map[string]float64{"unreadable": float64(s.Redis.Broken), "expired": float64(s.Redis.Expired), "overtaken": float64(s.Redis.Outdated)}
	})
	counter("freshet_redis_dropped_writes_total", "Entries not written to the shared tier because too many waited.", func(s *Stats) uint64 { return s.Redis.Dropped })
	byLabel(prometheus.CounterValue, "freshet_config_reloads_total", "How often the configuration was read again, and put in force or not.", "result", func(s *Stats) map[string]float64 {
		return map[string]float64{"done": float64(s.Config.Reloads), "refused": float64(s.Config.Failures)}
	})
	return c
}

func floats(counts map[string]uint64) map[string]float64 {
	values := make(map[string]float64, len(counts))
	for name, n := range counts {
		values[name] = float64(n)
	}
	return values
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
	for _, m := range c.labelled {
		out <- m.desc
	}
	for _, d := range c.distributions {
		out <- d.desc
	}
	out <- c.eventDelay
	out <- c.build
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.statsFunc()
	for _, m := range c.single {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s))
	}
	for _, m := range c.labelled {
		for label, value := range m.read(&s) {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, label)
		}
	}
	for _, d := range c.distributions {
		for label, r := range d.read(&s) {
			out <- prometheus.MustNewConstHistogram(d.desc, r.Count, r.SumSeconds, r.Cumulative(), label)
		}
	}
	delay := s.Times.EventDelay
	out <- prometheus.MustNewConstHistogram(c.eventDelay, delay.Count, delay.SumSeconds, delay.Cumulative())
	out <- prometheus.MustNewConstMetric(c.build, prometheus.GaugeValue, 1, s.Version, s.Revision, runtime.Version())
}
