package run

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// tables lists those that cannot be relied on, those that statements read and nobody
// watches, and all that are watched.
func (s *stack) tables() (tables []dashboard.Table) {
	state := s.follower.State()
	for _, d := range state.Doubts() {
		tables = append(tables, dashboard.Table{Name: d.Table, State: dashboard.TableDoubtful, Why: d.Why, Since: &d.Since})
	}
	unwatched := s.server.UnwatchedTables()
	for _, name := range slices.Sorted(maps.Keys(unwatched)) {
		if _, watched := state.ByName(name); !watched && !slices.ContainsFunc(tables, func(t dashboard.Table) bool { return t.Name == name }) {
			tables = append(tables, dashboard.Table{Name: name, State: dashboard.TableUnwatched, Why: fmt.Sprintf("read by %d kinds of statements: freshet install --watch %s", unwatched[name], name)})
		}
	}
	written, entries, now := s.follower.Stats().Written, s.server.TableEntries(), time.Now()
	for _, t := range state.Tables() {
		table := dashboard.Table{Name: t.Schema + "." + t.Name, Columns: t.Columns}
		if t.OID == t.Root {
			table.Entries = entries[t.Root]
		}
		if w, ok := written[t.Root]; ok {
			table.Statements, table.Invalidations, table.EntriesEnded, table.At = w.Statements, w.Tags, w.Ended, &w.At
			table.StatementsPerSecond = w.StatementsPace.PerSecond(now)
		}
		tables = append(tables, table)
	}
	return tables
}

// written lists what was received of the changes of tables. One that was dropped has no name.
func written(state *invalidation.State, all map[uint32]invalidation.Written) (tables []dashboard.TableWrites) {
	now := time.Now()
	for root, w := range all {
		if t, ok := state.Table(root); ok {
			tables = append(tables, dashboard.TableWrites{
				Name: t.Schema + "." + t.Name, Statements: w.Statements, Invalidations: w.Tags, EntriesEnded: w.Ended, At: w.At,
				StatementsPerSecond: w.StatementsPace.PerSecond(now), InvalidationsPerSecond: w.TagsPace.PerSecond(now),
			})
		}
	}
	return tables
}

func (s *stack) addPostgres(stats *dashboard.Stats, r invalidation.ServerStats) {
	stats.Postgres = dashboard.Postgres{
		Version: r.Version, Role: r.Role, Superuser: r.Superuser, Owner: r.Owner, Missing: r.Missing,
		Publications: r.Publications, Pooler: r.Pooler, Replicas: r.Replicas, Replica: s.standby != nil,
	}
}
