package observe

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// Report is what was found out since the observer was made.
type Report struct {
	Seconds float64 `json:"seconds"`
	Clients int64   `json:"clients"`
	// Statements are all but the control of transactions that only read, as serve counts
	// them; Reads begin like reads. Unseen are units that came faster than they could be
	// looked at, and Lost sessions that are no longer understood.
	Statements uint64 `json:"statements"`
	Reads      uint64 `json:"reads"`
	Unseen     uint64 `json:"unseen"`
	Lost       uint64 `json:"lost_sessions"`
	// Hits would have been answered without Postgres: at most, and at least if all changes
	// from elsewhere meet what is read.
	Hits    uint64 `json:"hits"`
	HitsMin uint64 `json:"hits_min"`
	// ReadSeconds is what Postgres took for the reads, SavedSeconds what of it the hits
	// would have saved.
	ReadSeconds     float64 `json:"read_seconds"`
	SavedSeconds    float64 `json:"saved_seconds"`
	SavedSecondsMin float64 `json:"saved_seconds_min"`
	// Answers are the different ones that were asked for and kept, and Bytes what they hold.
	Answers int   `json:"answers"`
	Bytes   int64 `json:"bytes"`
	// Shapes are the statements, those first for which most would have been saved; others
	// than reads are left out.
	Shapes []Shape `json:"shapes"`
	// Watch are patterns for install --watch.
	Watch []string `json:"watch"`
	// Installer is who could run it.
	Installer Installer `json:"installer"`
	// PassThrough is what would still reach Postgres, and why.
	PassThrough []Passing `json:"pass_through"`
	// Elsewhere are tables that others have changed.
	Elsewhere []Elsewhere `json:"elsewhere"`
}

// Shape is a kind of statement that differs in its literals alone.
type Shape struct {
	SQL          string   `json:"sql"`
	Executions   uint64   `json:"executions"`
	Answers      uint64   `json:"answers"`
	Hits         uint64   `json:"hits"`
	HitsMin      uint64   `json:"hits_min"`
	Seconds      float64  `json:"seconds"`
	SavedSeconds float64  `json:"saved_seconds"`
	Tables       []string `json:"tables"`
	Reason       string   `json:"reason,omitempty"`
}

// Passing is what would pass through for one reason.
type Passing struct {
	Reason  string  `json:"reason"`
	Count   uint64  `json:"count"`
	Seconds float64 `json:"seconds"`
	Advice  string  `json:"advice"`
	Example string  `json:"example"`
}

// Elsewhere is a table with rows that were changed by others than the clients that were
// observed, or in a way that the observer could not follow.
type Elsewhere struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Report tells what was found out so far.
func (o *Observer) Report() Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := &o.totals
	r := Report{
		Seconds: time.Since(o.began).Seconds(), Clients: o.clientsTotal.Load(),
		Statements: t.statements, Reads: t.reads, Unseen: o.left.Load(), Lost: o.lost.Load(),
		Hits: t.hits[best], HitsMin: t.hits[worst],
		ReadSeconds: t.spent.Seconds(), SavedSeconds: t.saved[best].Seconds(), SavedSecondsMin: t.saved[worst].Seconds(),
		Answers: len(o.memory.entries), Bytes: o.memory.bytes,
		Shapes: []Shape{}, Watch: []string{}, PassThrough: []Passing{}, Elsewhere: []Elsewhere{},
		Installer: o.install,
	}
	read := map[string]bool{}
	for _, s := range append(slices.Collect(maps.Values(o.shapes)), o.others) {
		if s.reads == 0 {
			continue
		}
		r.Shapes = append(r.Shapes, Shape{
			SQL: s.text, Executions: s.all, Answers: s.keys, Hits: s.hits[best], HitsMin: s.hits[worst],
			Seconds: s.spent.Seconds(), SavedSeconds: s.saved[best].Seconds(), Tables: s.tables, Reason: s.reason,
		})
		for _, table := range s.tables {
			read[table] = true
		}
	}
	slices.SortFunc(r.Shapes, func(a, b Shape) int {
		return cmp.Or(cmp.Compare(b.SavedSeconds, a.SavedSeconds), cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.SQL, b.SQL))
	})
	for _, table := range slices.Sorted(maps.Keys(read)) {
		if pattern := o.pattern(table); pattern != "" {
			r.Watch = append(r.Watch, pattern)
		}
	}
	for reason, p := range o.reasons {
		r.PassThrough = append(r.PassThrough, Passing{reason, p.count, p.spent.Seconds(), reasons.Advice(reason), p.example})
	}
	slices.SortFunc(r.PassThrough, func(a, b Passing) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	r.Elsewhere = o.elsewhere()
	return r
}

// pattern has install watch a table with the columns that were reckoned with; empty if it
// is gone.
func (o *Observer) pattern(name string) string {
	t, ok := o.state.ByName(name)
	columns := slices.Concat(t.Columns, o.wished[t.Root])
	switch {
	case !ok:
		return ""
	case len(columns) == 0 || strings.ContainsAny(strings.Join(columns, ""), "(), "):
		return name
	}
	return name + "(" + strings.Join(columns, ", ") + ")"
}

// elsewhere lists the tables that others have changed, and that were read.
func (o *Observer) elsewhere() []Elsewhere {
	list := []Elsewhere{}
	for table, rows := range o.changes.elsewhere {
		if t, ok := o.state.Table(table); ok {
			list = append(list, Elsewhere{t.Schema + "." + t.Name, rows})
		}
	}
	slices.SortFunc(list, func(a, b Elsewhere) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Table, b.Table))
	})
	return list
}
