package dashboard

import (
	"cmp"
	"slices"
	"time"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/dashboard/figures"
)

// reader reads a DB for its page.
type reader struct {
	db      *cache.DB
	options Options
	began   time.Time
}

func newReader(db *cache.DB, o Options) reader { return reader{db, o, time.Now()} }

// stats is one reading.
func (r reader) stats() dashboard.Stats {
	s := r.db.Stats()
	stats := dashboard.Stats{
		Version: r.options.Name, UptimeSeconds: time.Since(r.began).Seconds(), Listening: true,
		StalenessSeconds: s.Staleness.Seconds(),
	}
	figures.AddTiers(&stats, s.Stats, r.options.Redis)
	addReads(&stats, s.Reads)
	if r.options.Times != nil {
		r.options.Times.noted.AddTo(&stats)
	}
	addShapes(&stats, &s)
	addFollower(&stats, &s)
	stats.Watched = r.tables()
	stats.WatchedTables = len(stats.Watched)
	addWrites(&stats)
	stats.Problems = append(stats.Problems, r.db.Problems()...)
	stats.WatchProblems = len(stats.Problems)
	return stats
}

// tables are those that are watched, and what was received of their changes.
func (r reader) tables() (tables []dashboard.Table) {
	for _, t := range r.db.Watched() {
		table := dashboard.Table{Name: t.Name, Columns: t.Columns, Statements: t.Statements, Invalidations: t.Ended, EntriesEnded: t.Answers, StatementsPerSecond: t.StatementsPerSecond, InvalidationsPerSecond: t.EndedPerSecond}
		if !t.At.IsZero() {
			table.At = &t.At
		}
		tables = append(tables, table)
	}
	return tables
}

// addWrites adds the tables of whose changes something was received.
func addWrites(stats *dashboard.Stats) {
	var written []dashboard.TableWrites
	for _, t := range stats.Watched {
		if t.At != nil {
			written = append(written, dashboard.TableWrites{
				Name: t.Name, Statements: t.Statements, Invalidations: t.Invalidations, EntriesEnded: t.EntriesEnded, At: *t.At,
				StatementsPerSecond: t.StatementsPerSecond, InvalidationsPerSecond: t.InvalidationsPerSecond,
			})
		}
	}
	figures.AddWrites(stats, written)
}

// advice says what to do about the reasons that the library alone has.
var advice = map[string]string{
	"not_ready":          "Nothing, if it passes: the database is not followed yet, or has just changed its schema. Else see Options.Logger.",
	"not_understood_yet": "Nothing: the statement is being analysed.",
	"unproven":           "Look at the age of what is known: no look came in time to prove what is kept.",
	"connection_state":   "Leave connections of the pool in the role, search path and settings in which it makes them.",
	"connection_held":    "Use a *sql.Conn of its own for what changes the state of a connection.",
	"too_large":          "Read less, or raise Options.EntryMax.",
	"lookup_failed":      "Nothing, if it is rare: the rows that a join leads to could not be found out.",
	"statement_outdated": "Nothing: the statement is understood anew.",
	"arguments":          "Give arguments that pgx can encode for the statement's parameters.",
	"query_mode":         "Leave pgx.QueryExecMode and result formats out of the arguments, and the pool in a mode that describes statements.",
}

func addReads(stats *dashboard.Stats, r cache.ReadStats) {
	var passed uint64
	stats.BypassAdvice = make(map[string]string, len(r.NotKept))
	for reason, n := range r.NotKept {
		passed += n
		stats.BypassAdvice[reason] = cmp.Or(advice[reason], analysis.Reason(reason).Advice())
	}
	stats.Queries = map[string]uint64{
		"hit_l1": r.Hits, "hit_l2": r.Remote, "coalesced": r.Joined, "miss": r.Loaded, "bypass": passed, "error": r.Failed + r.Stale,
	}
	stats.Bypasses, stats.Misses = r.NotKept, r.Misses
	stats.UpstreamQueries = r.Loaded + passed
}

// examplesMax is how many statements stand for a reason.
const examplesMax = 3

// addShapes lists functions and kinds of statements together, those first on which most
// time was saved or spent.
func addShapes(stats *dashboard.Stats, s *cache.Stats) {
	stats.BypassExamples = map[string][]string{}
	for name, f := range s.Functions {
		stats.Shapes = append(stats.Shapes, dashboard.Shape{
			Statement: name + "()", Hits: f.Hits, Loads: f.Loads, SavedSeconds: f.Saved().Seconds(), LoadingSeconds: f.Loading.Seconds(),
		})
		for _, problem := range f.Problems {
			stats.Problems = append(stats.Problems, name+"(): "+problem)
		}
		if f.MemoryOnly != "" && stats.Redis.State != dashboard.RedisOff {
			stats.Problems = append(stats.Problems, name+"() stays in the memory of each process: "+f.MemoryOnly)
		}
	}
	for _, one := range s.Statements {
		if one.Reason == "" {
			stats.Shapes = append(stats.Shapes, dashboard.Shape{
				Statement: one.SQL, Tables: one.Tables, Hits: one.Hits, Loads: one.Loads,
				SavedSeconds: one.Saved().Seconds(), LoadingSeconds: one.Loading.Seconds(),
			})
		} else if of := stats.BypassExamples[one.Reason]; len(of) < examplesMax {
			stats.BypassExamples[one.Reason] = append(of, one.SQL)
		}
	}
	for _, shape := range stats.Shapes {
		stats.SavedSeconds += shape.SavedSeconds
	}
	slices.SortFunc(stats.Shapes, func(a, b dashboard.Shape) int {
		return cmp.Or(cmp.Compare(b.SavedSeconds+b.LoadingSeconds, a.SavedSeconds+a.LoadingSeconds), cmp.Compare(a.Statement, b.Statement))
	})
	stats.ShapesKnown = len(stats.Shapes)
	slices.Sort(stats.Problems)
}

func addFollower(stats *dashboard.Stats, s *cache.Stats) {
	if s.HeadAge > 0 {
		age := s.HeadAge.Seconds()
		stats.FollowerAgeSeconds = &age
	}
	figures.AddFollower(stats, s.Follower, s.HeadAge > 0 && (s.HeadAge <= s.Staleness || s.Follower.Resting))
}
