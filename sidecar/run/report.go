package run

import (
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/dashboard/figures"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/verify"
	"github.com/freshet/freshet/sidecar/wire"
)

// Report reads all parts of the plain upstream's database at about one moment. It may be
// called concurrently, also before Run and after it.
func (s *Sidecar) Report() dashboard.Stats { return s.stack.report() }

// Reports are like Report, of all databases, the plain upstream's first.
func (s *Sidecar) Reports() (all []dashboard.Stats) {
	for _, of := range s.all() {
		all = append(all, of.report())
	}
	return all
}

// report reads all parts at about one moment.
func (s *stack) report() dashboard.Stats {
	stats := dashboard.Stats{
		Version:          s.options.Version,
		Revision:         s.options.Revision,
		UptimeSeconds:    time.Since(s.began).Seconds(),
		Listening:        s.of.listening(),
		Ending:           s.of.ending.Load(),
		Database:         s.name,
		Databases:        s.of.states(),
		SwitchedOff:      s.server.SwitchedOff(),
		PoolingProblem:   s.poolingProblem(),
		Socket:           s.options.socket(),
		StalenessSeconds: s.cache.Staleness().Seconds(),
	}
	addWire(&stats, s.server.Report())
	s.addClients(&stats)
	s.addShapes(&stats)
	s.addBypasses(&stats)
	a := s.server.Analysis()
	stats.Analysis = dashboard.Analysis{Analysed: a.Analysed, Failed: a.Failed, Waiting: a.Waiting, Problem: a.Problem}
	s.addFollower(&stats)
	s.addInstallation(&stats)
	s.addTiers(&stats)
	stats.Config = s.of.reloads.report()
	if s.fleet != nil {
		stats.Fleet = s.fleet.Members()
	}
	addVerification(&stats, s.verifier.Report())
	stats.Verify.Distrusted = s.distrusted.ids()
	stats.UpstreamConnections = s.connections.byUse()
	for _, n := range stats.SessionStates { // each client has its own
		stats.UpstreamConnections[useClient] += int64(n)
	}
	return stats
}

// addInstallation says whether what is installed is what this version needs.
func (s *stack) addInstallation(stats *dashboard.Stats) {
	if s.follower.State().Installed() {
		s.installed.Store(true)
	}
	stats.InstallProblem = s.follower.InstallProblem()
	stats.NeverInstalled = !s.installed.Load()
}

func addVerification(stats *dashboard.Stats, r verify.Report) {
	stats.Verify = dashboard.Verification{Share: r.Share, PerSecondMax: r.PerSecondMax, Results: r.Results, Seconds: r.Spent.Seconds()}
	if f := r.Last; f != nil {
		stats.Verify.LastStale = &dashboard.StaleAnswer{At: f.At, Statement: f.Shape, Tables: f.Tables, AgeSeconds: f.AgeSeconds}
	}
}

func addWire(stats *dashboard.Stats, r wire.Report) {
	stats.Queries = r.Queries
	stats.Bypasses, stats.BypassSeconds = r.Bypasses, r.BypassSeconds
	stats.Misses, stats.SavedSeconds = r.Misses, r.SavedSeconds
	stats.Times = dashboard.Times{Latency: r.Latency, Upstream: r.Upstream, Overhead: r.Overhead, HitAge: r.HitAge}
	stats.BypassAdvice, stats.BypassDocs = make(map[string]string, len(r.Bypasses)), make(map[string]string, len(r.Bypasses))
	for reason := range r.Bypasses {
		stats.BypassAdvice[reason], stats.BypassDocs[reason] = reasons.Advice(reason), reasons.Docs(reason)
	}
	stats.Sessions = r.Sessions
	stats.Counts = r.Counts
}

func (s *stack) addClients(stats *dashboard.Stats) {
	groups := s.server.Clients()
	stats.ClientGroups, stats.SessionList = len(groups), s.sessionList()
	stats.SessionStates = map[string]uint64{}
	for _, g := range groups {
		stats.SessionStates[wire.ClientWaiting] += uint64(g.Waiting)
		stats.SessionStates[wire.ClientBlocked] += uint64(g.Blocked)
		stats.SessionStates[wire.ClientIdle] += uint64(g.Idle)
	}
	for _, g := range groups[:min(len(groups), dashboard.ClientGroupsMax)] {
		stats.Clients = append(stats.Clients, dashboard.ClientGroup{
			Database: g.Database, Role: g.Role, Waiting: g.Waiting, InTransaction: g.Blocked, Idle: g.Idle, OldestSeconds: g.Oldest.Seconds(),
		})
	}
}

// sessionList are single clients.
func (s *stack) sessionList() []dashboard.Session {
	all := []dashboard.Session{}
	for _, c := range s.server.EachClient(dashboard.SessionListMax) {
		all = append(all, dashboard.Session{PID: c.PID, Database: c.Database, Role: c.Role, Application: c.Application, State: c.State, Since: c.Since})
	}
	return all
}

func (s *stack) addFollower(stats *dashboard.Stats) {
	f := s.follower.Stats()
	stats.Times.EventDelay = s.eventDelay.Read()
	if head := s.fence.Head(); head != nil {
		stats.Head, stats.Incarnation = head.Snapshot.String(), string(head.Incarnation)
	}
	age := s.lookAge(f)
	stats.FollowerAgeSeconds = age
	figures.AddFollower(stats, f, age != nil && (f.Resting || *age <= stats.StalenessSeconds))
	state := s.follower.State()
	s.addPostgres(stats, f.Server)
	figures.AddWrites(stats, written(state, f.Written))
	stats.Problems = state.Problems()
	if f.Wanting != "" {
		stats.Problems = append(stats.Problems, f.Wanting)
	}
	stats.WatchProblems = len(stats.Problems)
	for _, t := range state.Tables() {
		stats.WatchedTables++
		if len(stats.Watched) < dashboard.WatchedMax {
			stats.Watched = append(stats.Watched, dashboard.Table{Name: t.Schema + "." + t.Name, Columns: t.Columns})
		}
	}
}

// lookAge is how many seconds ago the last look began, nil while nothing is known. A look of
// a follower that rests vouches for nothing, and the fence does not tell of it.
func (s *stack) lookAge(f invalidation.FollowerStats) *float64 {
	began := s.fence.LookBegan()
	if began == 0 && s.fence.Head() != nil {
		began = f.LookBegan
	}
	if began == 0 {
		return nil
	}
	age := max(0, fence.Now().Sub(began)).Seconds()
	return &age
}

func (s *stack) addTiers(stats *dashboard.Stats) {
	figures.AddTiers(stats, s.cache.Stats(), s.remote)
	if s.remote == nil {
		return
	}
	stats.Times.Redis = s.redisTimes.read()
	for _, use := range s.server.RedisUses(dashboard.ShapesMax) {
		stats.Redis.Shapes = append(stats.Redis.Shapes, dashboard.RedisShape{
			Statement: use.Statement, Used: use.Used, Why: use.Why,
			LoadSeconds: use.Load.Seconds(), AskSeconds: use.Ask.Seconds(), FillSeconds: use.Fill.Seconds(),
			Found: use.Found, Loads: use.Loads,
		})
	}
}
