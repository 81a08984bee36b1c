package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/freshet/freshet/cache/fence"
)

// Uncovered runs load through a DB that is ready, and says of what its statements depend on
// and p.DependsOn leaves out: an answer would stay when that changes. A join counts as the
// whole of the tables that it leads to. Of rows of other columns or values it can tell only
// where no table that is read is named as a whole. It is for tests: cachetest.Covers.
func Uncovered[K comparable, V any](ctx context.Context, db *DB, load func(context.Context, K) (V, error), p Policy[K, V], k K) ([]string, error) {
	if p.DependsOn == nil {
		return nil, errors.New("the policy has no DependsOn: the statements tell")
	}
	if db.follower == nil {
		return nil, fmt.Errorf("find out what the load depends on: %w", ErrNoDatabase)
	}
	w := &wrapped[K, V]{function: &function{name: "load"}, load: load, policy: p}
	loading, under := withLoad(ctx, w, nil)
	v, err := load(loading, k)
	under.ended.Store(true)
	if w.failed(err) {
		return nil, err
	}
	read, refusal := under.learned()
	if refusal != "" {
		return nil, fmt.Errorf("what the load depends on cannot be told: %s", refusal)
	}
	var named []fence.Tag
	for _, d := range p.DependsOn(k, v) {
		found := resolve(db.follower.State(), d)
		if found.Doubt != nil {
			return nil, fmt.Errorf("DependsOn: %s", found.Doubt())
		}
		named = append(named, found.Tags...)
	}
	return db.uncovered(read, named), nil
}

// uncovered says which of the tags that were read are not among those that were named.
func (db *DB) uncovered(read, named []fence.Tag) (missing []string) {
	read = slices.DeleteFunc(slices.Clone(read), func(t fence.Tag) bool { return t.OfRoles() || slices.Contains(named, t) })
	read = without(read, fence.SchemaText)
	whole := false
	for _, t := range db.follower.State().Tables() {
		table, name := fence.TableText(t.Root), t.Schema+"."+t.Name
		all := slices.Contains(named, fence.NewTag(table))
		whole = whole || all
		switch {
		case all:
		case slices.Contains(read, fence.NewTag(fence.RelationSchemaText(t.Root))):
			missing = append(missing, name)
		case slices.Contains(read, fence.NewTag(table)):
			missing = append(missing, name+" as a whole")
		}
		read = without(read, table, fence.WholesaleText(t.Root), fence.RelationSchemaText(t.Root))
	}
	if len(missing) == 0 && !whole && len(read) > 0 {
		missing = append(missing, "rows that have other values or columns")
	}
	return missing
}

func without(tags []fence.Tag, texts ...string) []fence.Tag {
	gone := map[fence.Tag]bool{}
	for _, text := range texts {
		gone[fence.NewTag(text)] = true
	}
	return slices.DeleteFunc(tags, func(t fence.Tag) bool { return gone[t] })
}
