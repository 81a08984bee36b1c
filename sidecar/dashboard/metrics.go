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

// collector reads the metrics of one database; each add… function below adds those of one subject.
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
		statsFunc:  statsFunc,
		eventDelay: prometheus.NewDesc("freshet_event_delay_seconds", "From a commit until its event had arrived, at most: from the beginning of the look before, which lacked it.", nil, nil),
		build:      prometheus.NewDesc("freshet_build_info", "Always 1; the labels say what runs.", []string{"version", "revision", "go_version"}, nil),
	}
	c.addStatements()
	c.addCounts()
	c.addConnections()
	c.addPromise()
	c.addFollower()
	c.addChanges()
	c.addVerification()
	c.addConfiguration()
	c.addMemory()
	c.addRedis()
	return c
}

// counter adds a counter of whole things.
func (c *collector) counter(name, help string, read func(*Stats) uint64) {
	c.seconds(name, help, func(s *Stats) float64 { return float64(read(s)) })
}

// seconds adds a counter that need not be whole.
func (c *collector) seconds(name, help string, read func(*Stats) float64) {
	c.single = append(c.single, metric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, read})
}

// gauge adds a value that rises and falls.
func (c *collector) gauge(name, help string, read func(*Stats) float64) {
	c.single = append(c.single, metric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, read})
}

// counters adds a counter for each value of label.
func (c *collector) counters(name, help, label string, read func(*Stats) map[string]uint64) {
	c.labels(prometheus.CounterValue, name, help, label, func(s *Stats) map[string]float64 { return floats(read(s)) })
}

// labels adds a metric of any kind for each value of label.
func (c *collector) labels(kind prometheus.ValueType, name, help, label string, read func(*Stats) map[string]float64) {
	c.labelled = append(c.labelled, labelled{prometheus.NewDesc(name, help, []string{label}, nil), kind, read})
}

// spread adds a histogram for each value of label.
func (c *collector) spread(name, help, label string, read func(*Stats) map[string]histogram.Reading) {
	c.distributions = append(c.distributions, distribution{prometheus.NewDesc(name, help, []string{label}, nil), read})
}

// addStatements adds how statements were answered, why not from the cache, and in what time.
func (c *collector) addStatements() {
	c.counters("freshet_queries_total", "Executed statements by how they were answered.", "outcome", func(s *Stats) map[string]uint64 {
		queries := make(map[string]uint64, len(outcomeNames))
		for _, name := range outcomeNames {
			queries[name] = s.Queries[name]
		}
		return queries
	})
	c.counters("freshet_bypasses_total", "Statements that went to Postgres uncached, by the reason.", "reason", func(s *Stats) map[string]uint64 { return s.Bypasses })
	c.seconds("freshet_saved_seconds_total", "Time that Postgres would have taken, had each hit taken as long as the load of its entry did.", func(s *Stats) float64 { return s.SavedSeconds })
	c.labels(prometheus.CounterValue, "freshet_bypass_seconds_total", "Time that Postgres took for statements that went to it uncached, by the reason.", "reason", func(s *Stats) map[string]float64 { return s.BypassSeconds })
	c.counters("freshet_misses_total", "Misses, by what there was instead of an entry.", "cause", func(s *Stats) map[string]uint64 { return s.Misses })
	c.spread("freshet_query_seconds", "From a client's message to the last byte of its answer, by how it was answered.", "outcome", func(s *Stats) map[string]histogram.Reading { return s.Times.Latency })
	c.spread("freshet_upstream_query_seconds", "What Postgres took for loads, for what passed through, and for the sidecar's own questions.", "kind", func(s *Stats) map[string]histogram.Reading { return s.Times.Upstream })
	c.spread("freshet_overhead_seconds", "What of an answer's time was not Postgres'.", "path", func(s *Stats) map[string]histogram.Reading { return s.Times.Overhead })
	c.spread("freshet_hit_age_seconds", "How long before its hit an entry was loaded.", "tier", func(s *Stats) map[string]histogram.Reading { return s.Times.HitAge })
}

// addCounts adds what the sidecar counts where it happens, as the list of package count names it.
func (c *collector) addCounts() {
	for _, m := range count.Metrics() {
		if m.Label == "" {
			c.counter(m.Name, m.Help, func(s *Stats) uint64 { return m.Of[0].Read(&s.Counts) })
			continue
		}
		c.counters(m.Name, m.Help, m.Label, func(s *Stats) map[string]uint64 {
			values := make(map[string]uint64, len(m.Of))
			for _, one := range m.Of {
				values[one.Value] = one.Read(&s.Counts)
			}
			return values
		})
	}
}

// addConnections adds who is connected, and what of Postgres' connections is in use for them.
func (c *collector) addConnections() {
	c.labels(prometheus.GaugeValue, "freshet_upstream_connections", "Connections to Postgres that are open, by their use.", "use", func(s *Stats) map[string]float64 {
		uses := make(map[string]float64, len(s.UpstreamConnections))
		for use, n := range s.UpstreamConnections {
			uses[use] = float64(n)
		}
		return uses
	})
	c.labels(prometheus.GaugeValue, "freshet_sessions_open", "Clients connected now: waiting for an answer, in a transaction with nothing to wait for, or idle.", "state", func(s *Stats) map[string]float64 {
		states := map[string]float64{"waiting": 0, "in_transaction": 0, "idle": 0}
		for state, n := range s.SessionStates {
			states[state] = float64(n)
		}
		return states
	})
	c.gauge("freshet_draining", "1 while nobody may connect any more: before the end.", func(s *Stats) float64 { return one(!s.Listening) })
}

// addPromise adds whether reads are served, and how fresh they are at least.
func (c *collector) addPromise() {
	c.gauge("freshet_ready", "1 if /readyz answers 200, else 0.", func(s *Stats) float64 { return one(NotReady(s) == "") })
	c.gauge("freshet_staleness_bound_seconds", "The promise: no cached answer lacks a commit acknowledged longer ago.", func(s *Stats) float64 { return s.StalenessSeconds })
}

// addFollower adds whether the follower looks at the outbox, and what was in its way.
func (c *collector) addFollower() {
	c.gauge("freshet_follower_age_seconds", "How long ago the last completed look at the outbox began; +Inf before the first. Above the bound, reads go to Postgres, unless the follower rests.", followerAge)
	c.gauge("freshet_follower_resting", "1 while nobody has read for a while: looks are seldom then, and the next read waits for one.", func(s *Stats) float64 { return one(s.FollowerResting) })
	c.counter("freshet_follower_looks_total", "Completed looks at the outbox.", func(s *Stats) uint64 { return s.FollowerLooks })
	c.counter("freshet_follower_notifications_total", "Notifications that made a look come sooner.", func(s *Stats) uint64 { return s.FollowerNotifications })
	c.counters("freshet_follower_resets_total", "How often everything known was thrown away, by the cause.", "cause", func(s *Stats) map[string]uint64 { return s.FollowerResetCauses })
	c.labels(prometheus.CounterValue, "freshet_follower_reconnects_total", "Sessions of the follower that ended in an error, by its parts.", "part", ofParts(func(p FollowerPart) float64 { return float64(p.Reconnects) }))
	c.labels(prometheus.GaugeValue, "freshet_follower_state", "1 if a part of the follower has its connection, or needs none at rest; of the analysis of statements, if nothing is in its way.", "part", func(s *Stats) map[string]float64 {
		states := ofParts(func(p FollowerPart) float64 { return one(p.Working) })(s)
		states["analysis"] = one(s.Analysis.Problem == "")
		return states
	})
}

// ofParts reads one value of each part of the follower.
func ofParts(read func(FollowerPart) float64) func(s *Stats) map[string]float64 {
	return func(s *Stats) map[string]float64 {
		values := make(map[string]float64, len(s.FollowerParts))
		for name, part := range s.FollowerParts {
			values[name] = read(part)
		}
		return values
	}
}

// addChanges adds what changed in Postgres, where changes are recorded, and of which tables.
func (c *collector) addChanges() {
	c.counters("freshet_invalidation_events_total", "Changes received from the outbox, by what they change at most.", "kind", func(s *Stats) map[string]uint64 { return s.InvalidationKinds })
	c.counters("freshet_invalidated_entries_total", "Entries in this process's memory that a change has ended, by what they depended on.", "kind", func(s *Stats) map[string]uint64 { return s.InvalidatedEntries })
	c.counter("freshet_hints_said_total", "Messages about changes to the sidecars that share Redis.", func(s *Stats) uint64 { return s.Hints.Said })
	c.counter("freshet_hints_heard_total", "Messages about changes from the sidecars that share Redis.", func(s *Stats) uint64 { return s.Hints.Heard })
	c.gauge("freshet_hints_relying", "1 while another sidecar is heard that looks often for this one too.", func(s *Stats) float64 { return one(s.Hints.Relying) })
	c.gauge("freshet_outbox_rows", "Rows of the outbox, as Postgres estimates them.", func(s *Stats) float64 { return float64(s.Outbox.Rows) })
	c.gauge("freshet_outbox_bytes", "Size of the outbox on Postgres' disk, with its index.", func(s *Stats) float64 { return float64(s.Outbox.Bytes) })
	c.gauge("freshet_outbox_oldest_seconds", "Age that no row of the outbox exceeds.", func(s *Stats) float64 { return s.Outbox.OldestSeconds })
	c.gauge("freshet_watched_tables", "Tables whose changes are followed.", func(s *Stats) float64 { return float64(s.WatchedTables) })
	c.counters("freshet_tables_lost_total", "Tables that were watched and then were not, by the cause.", "cause", func(s *Stats) map[string]uint64 { return s.TablesLost })
	c.gauge("freshet_watch_problems", "Problems that keep tables from being watched.", func(s *Stats) float64 { return float64(s.WatchProblems) })
}

// addVerification adds what came of comparing hits with Postgres.
func (c *collector) addVerification() {
	c.counters("freshet_verify_total", "Hits that were to be compared with what Postgres says, by the result. Every stale is proven.", "result", func(s *Stats) map[string]uint64 { return s.Verify.Results })
	c.seconds("freshet_verify_seconds_total", "Time that was spent on comparing hits with Postgres, waits included.", func(s *Stats) float64 { return s.Verify.Seconds })
}

// addConfiguration adds what came of reading the configuration again.
func (c *collector) addConfiguration() {
	c.gauge("freshet_config_last_reload_successful", "0 if the configuration was read again last without being put in force.", func(s *Stats) float64 { return one(s.Config.Problem == "") })
	c.counters("freshet_config_reloads_total", "How often the configuration was read again, and put in force or not.", "result", func(s *Stats) map[string]uint64 {
		return map[string]uint64{"done": s.Config.Reloads, "refused": s.Config.Failures}
	})
}

// addMemory adds what entries take of this process's memory, and which of them had to go.
func (c *collector) addMemory() {
	c.gauge("freshet_memory_entries", "Entries in this process's memory.", func(s *Stats) float64 { return float64(s.L1.Items) })
	c.gauge("freshet_memory_bytes", "Size of the entries in this process's memory.", func(s *Stats) float64 { return float64(s.L1.Bytes) })
	c.gauge("freshet_memory_limit_bytes", "Most that entries in this process's memory may take.", func(s *Stats) float64 { return float64(s.L1.LimitBytes) })
	c.counters("freshet_memory_evictions_total", "Entries that have gone: good ones for want of room, or those that had ended, for that or for a new answer.", "cause", func(s *Stats) map[string]uint64 { return s.L1.EvictionsOf })
	c.counters("freshet_memory_rejections_total", "Entries that were not taken in: too large, overtaken by an event while they were loaded, or less often asked for than others.", "cause", func(s *Stats) map[string]uint64 {
		return map[string]uint64{"admission": s.L1.Rejections, "too_large": s.L1.TooLarge, "overtaken": s.L1.Overtaken}
	})
}

// addRedis adds how the tier is that is shared by way of Redis, and what it was used for.
func (c *collector) addRedis() {
	c.counters("freshet_leases_total", "Loads on behalf of all processes, waits for those of others, and waits that brought nothing.", "result", func(s *Stats) map[string]uint64 {
		return map[string]uint64{"won": s.Leases.Won, "waited": s.Leases.Waited, "vain": s.Leases.Vain}
	})
	c.labels(prometheus.GaugeValue, "freshet_redis_state", "1 for the state that the shared tier is in: off, idle, up, refusing or down.", "state", func(s *Stats) map[string]float64 {
		states := map[string]float64{}
		for _, state := range redisStates {
			states[string(state)] = one(s.Redis.State == state)
		}
		return states
	})
	c.counters("freshet_redis_errors_total", "Calls of the shared tier that failed or took too long, by what was the matter.", "kind", func(s *Stats) map[string]uint64 { return s.Redis.ErrorKinds })
	c.spread("freshet_redis_request_seconds", "Exchanges with the shared tier, whatever came of them, by what they were for.", "op", func(s *Stats) map[string]histogram.Reading { return s.Times.Redis })
	c.counters("freshet_redis_unusable_total", "Entries of the shared tier that were found and of no use: unreadable, at the end of their life, or overtaken by an event. The last two are normal.", "cause", func(s *Stats) map[string]uint64 {
		return map[string]uint64{"unreadable": s.Redis.Broken, "expired": s.Redis.Expired, "overtaken": s.Redis.Outdated}
	})
	c.counter("freshet_redis_dropped_writes_total", "Entries not written to the shared tier because too many waited.", func(s *Stats) uint64 { return s.Redis.Dropped })
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
