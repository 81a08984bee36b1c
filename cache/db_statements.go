package cache

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/invalidation/analysis"
)

// StatementsMax is how many kinds of statements are counted apart.
const StatementsMax = 1000

// StatementStats say what became of the statements that differ in nothing but their
// literals.
type StatementStats struct {
	// SQL has a ? for each literal, and no value.
	SQL string
	// Tables are the watched tables that it reads.
	Tables []string
	// Reason is why its answers are not kept, empty if they are.
	Reason string
	Hits   uint64 // reads that were answered from memory
	Loads  uint64 // reads that were loaded, and whose answer was kept
	// Loading is what those loads took.
	Loading time.Duration
}

// statement counts the reads of one kind of statements.
type statement struct {
	sql         string
	tables      []string
	reason      string
	hits, loads atomic.Uint64
	loading     atomic.Int64 // nanoseconds
}

// loaded counts a load.
func (s *statement) loaded(took time.Duration) {
	s.loads.Add(1)
	s.loading.Add(int64(took))
}

// statements are the kinds of statements that were met, by their texts. They outlive what
// is found out about them, which ends with each change of the schema.
type statements struct {
	mu    sync.Mutex
	bySQL map[string]*statement
}

// of returns the counts of a text, as it is understood last. Beyond StatementsMax they
// are nobody's.
func (s *statements) of(sql string, standard bool, m *meaning) *statement {
	text := "(a statement with literals that are not taken apart)"
	if template, ok := analysis.NewTemplate(sql, standard); ok {
		text = template.Text()
	}
	made := &statement{sql: text, reason: m.reason}
	if m.verdict != nil {
		made.tables = m.Tables
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.bySQL[text]
	switch {
	case known == nil && len(s.bySQL) >= StatementsMax:
		return made
	case known != nil && known.reason == made.reason:
		return known
	case known != nil:
		made.hits.Store(known.hits.Load())
		made.loads.Store(known.loads.Load())
		made.loading.Store(known.loading.Load())
	case s.bySQL == nil:
		s.bySQL = map[string]*statement{}
	}
	s.bySQL[text] = made
	return made
}

// stats are those of each kind, by the time that was spent on it and saved, most first.
func (s *statements) stats() []StatementStats {
	s.mu.Lock()
	all := make([]StatementStats, 0, len(s.bySQL))
	for _, one := range s.bySQL {
		all = append(all, StatementStats{
			SQL: one.sql, Tables: one.tables, Reason: one.reason,
			Hits: one.hits.Load(), Loads: one.loads.Load(), Loading: time.Duration(one.loading.Load()),
		})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b StatementStats) int {
		return cmp.Or(cmp.Compare(b.Saved()+b.Loading, a.Saved()+a.Loading), cmp.Compare(a.SQL, b.SQL))
	})
	return all
}

// Saved is what hits have saved, had each taken as long as the average load.
func (s StatementStats) Saved() time.Duration { return saved(s.Hits, s.Loads, s.Loading) }

// saved estimates what hits have saved.
func saved(hits, loads uint64, loading time.Duration) time.Duration {
	if loads == 0 {
		return 0
	}
	return time.Duration(float64(hits) * float64(loading) / float64(loads))
}
