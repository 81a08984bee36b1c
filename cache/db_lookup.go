package cache

import (
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/fence"
)

// A statement whose joins lead to rows that only the data tell depends on whole tables,
// unless these rows are looked up. That goes along with the load: after its label was
// taken and before its statement, on the same connection. (Afterwards it would be unsound:
// between the two another row may have been joined to.)

const (
	// lookupLoadsMin is from which load of a shape on rows are looked up: a shape that is
	// loaded once has no use for precise tags.
	lookupLoadsMin = 2
	// lookupVainMax is after how many failures a shape is looked up no more, until the
	// schema changes: each is a load made twice.
	lookupVainMax = 3
	// lookupCrowdedMax is after how many lookups in a row that found more than tags are
	// made of only each lookupCrowdedEach-th load is looked up.
	lookupCrowdedMax  = 3
	lookupCrowdedEach = 64
)

// joins counts what became of the lookups of a shape.
type joins struct{ loads, vain, crowded atomic.Uint64 }

// worth counts a load, and reports whether its rows are to be looked up.
func (j *joins) worth() bool {
	loads := j.loads.Add(1)
	crowded := j.crowded.Load() >= lookupCrowdedMax && loads%lookupCrowdedEach != 0
	return loads >= lookupLoadsMin && j.vain.Load() < lookupVainMax && !crowded
}

// lookup is the statement that finds the rows that a read's joins lead to; empty if there
// are none, or to look is not worth it.
func (r *read) lookup() string {
	if !r.meaning.Joins() || !r.meaning.joins.worth() {
		return ""
	}
	sql, ok := r.meaning.LookupSQL(r.params())
	if !ok {
		return ""
	}
	return sql
}

// lookUp makes the tags of a load precise by what its lookup found. What that did not find
// out is depended on as a whole, as tags say already. It reports false if the lookup failed,
// and the statement with it.
func (l *execution) lookUp(tags *[]fence.Tag) bool {
	if l.lookup == "" {
		return true
	}
	joins := &l.read.meaning.joins
	results, err := l.pipeline.GetResults()
	reader, ok := results.(*pgconn.ResultReader)
	if err != nil || !ok {
		joins.vain.Add(1)
		return false
	}
	found := reader.Read()
	if found.Err != nil || len(found.Rows) != 1 {
		joins.vain.Add(1)
		return found.Err == nil
	}
	precise, ok := l.read.precise(found.Rows[0])
	if !ok {
		joins.crowded.Add(1)
		return true
	}
	joins.crowded.Store(0)
	*tags = precise
	return true
}

// precise are the tags with what a lookup found; ok is false if that was nothing, or in
// every table more than tags are made of.
func (r *read) precise(found [][]byte) (tags []fence.Tag, ok bool) {
	p := r.params()
	if p.Joined, ok = r.meaning.ReadLookup(found); !ok {
		return nil, false
	}
	tags, ok = r.meaning.FenceTags(p)
	return tags, ok && slices.ContainsFunc(found, func(c []byte) bool { return c != nil })
}
