package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Find returns a workload by its name.
func Find(name string) (*Workload, error) {
	for _, w := range all {
		if w.Name == name {
			return w, nil
		}
	}
	return nil, fmt.Errorf("find workload %q: there are %s", name, strings.Join(Names(), ", "))
}

// Names are the workloads' names.
func Names() []string {
	var names []string
	for _, w := range all {
		names = append(names, w.Name)
	}
	return names
}

// All are the workloads.
func All() []*Workload { return slices.Clone(all) }

var all = []*Workload{point, cold, relayed, aggregate, reach, window, expensive, dashboard, shop, ycsbB, ycsbC, ycsbD}

// items is the table of what is not about tenants. A shelf holds span rows that follow one
// another.
const items = `
	CREATE TABLE items (id bigint PRIMARY KEY, version bigint NOT NULL, shelf bigint NOT NULL, price bigint NOT NULL, name text NOT NULL, body text NOT NULL);
	INSERT INTO items SELECT i, 1, i / {span}, 100 + i * 7919 % 9900, 'item ' || i, md5(i::text) || md5((i + 1)::text)
		FROM generate_series(0, {rows}::bigint - 1) i;
	CREATE INDEX ON items (shelf);`

var writeItem = &Statement{Name: "change an item", SQL: `UPDATE items SET version = $2::bigint, price = 100 + ($2::bigint * 7919) % 9900 WHERE id = $1`}

// The ways in which arguments follow from a key.

func oneRow(key int64, _ Mix, _ int64) ([ArgumentsMax]int64, int) {
	return [ArgumentsMax]int64{key}, 1
}

func oneRowOnce(key int64, _ Mix, unique int64) ([ArgumentsMax]int64, int) {
	return [ArgumentsMax]int64{key, unique}, 2
}

func itsShelf(key int64, m Mix, _ int64) ([ArgumentsMax]int64, int) {
	return [ArgumentsMax]int64{key / m.Span}, 1
}

func aRange(key int64, m Mix, _ int64) ([ArgumentsMax]int64, int) {
	first, last := rangeOf(key, m, m.Rows)
	return [ArgumentsMax]int64{first, last}, 2
}

// The rows that are shown.

func theRow(key int64, _ Mix, _ int64) (first, last int64) { return key, key }

func theShelf(key int64, m Mix, rows int64) (first, last int64) {
	first = key / m.Span * m.Span
	return first, min(first+m.Span, rows) - 1
}

func rangeOf(key int64, m Mix, rows int64) (first, last int64) {
	first = max(0, min(key, rows-m.Span))
	return first, min(first+m.Span, rows) - 1
}

var point = &Workload{
	Name: "point", About: "one row by its key", schema: items, write: writeItem, DefaultSpan: 1,
	page: []step{{&Statement{Name: "item", SQL: `SELECT id, version, name, price, body FROM items WHERE id = $1`, Shows: Rows, Single: true}, oneRow, theRow}},
}

var cold = &Workload{
	Name: "cold", About: "one row by its key, in a read that never comes again: what a miss costs", schema: items, write: writeItem, DefaultSpan: 1, DefaultKeys: "uniform",
	page: []step{{&Statement{Name: "item, once", SQL: `SELECT id, version, name, price, body FROM items WHERE id = $1 AND $2::bigint IS NOT NULL`, Shows: Rows}, oneRowOnce, theRow}},
}

var relayed = &Workload{
	Name: "relayed", About: "one row by its key, in a statement that says that it is not to be cached: what it costs to pass through", schema: items, write: writeItem, DefaultSpan: 1,
	page: []step{{&Statement{Name: "item, not cached", SQL: `/* freshet: off */ /*NO QUERY CACHE*/ SELECT id, version, name, price, body FROM items WHERE id = $1`, Shows: Rows, Single: true}, oneRow, theRow}},
}

var aggregate = &Workload{
	Name: "aggregate", About: "sum, count and average of the rows of a shelf, found by an equality", schema: items, write: writeItem, DefaultSpan: 100,
	page: []step{{&Statement{Name: "shelf", SQL: `SELECT sum(version)::bigint, count(*), avg(price), max(name) FROM items WHERE shelf = $1`, Shows: Sum}, itsShelf, theShelf}},
}

var reach = &Workload{
	Name: "range", About: "rows between two keys, in order", schema: items, write: writeItem, DefaultSpan: 100,
	page: []step{{&Statement{Name: "range", SQL: `SELECT id, version, name, price FROM items WHERE id BETWEEN $1 AND $2 ORDER BY id`, Shows: Rows}, aRange, rangeOf}},
}

var window = &Workload{
	Name: "range-aggregate", About: "sum, count and average of the rows between two keys", schema: items, write: writeItem, DefaultSpan: 10_001,
	page: []step{{&Statement{Name: "range, summed", SQL: `SELECT sum(version)::bigint, count(*), avg(price) FROM items WHERE id BETWEEN $1 AND $2`, Shows: Sum}, aRange, rangeOf}},
}

var expensive = &Workload{
	Name: "expensive", About: "distinct words and a deviation over the rows of a shelf: 5 to 50 ms each, by the span", schema: items, write: writeItem, DefaultSpan: 5000,
	page: []step{{&Statement{Name: "shelf, examined", SQL: `SELECT sum(version)::bigint, count(DISTINCT md5(name || body)), stddev(sqrt(price))::float8, max(body) FROM items WHERE shelf = $1`, Shows: Sum}, itsShelf, theShelf}},
}
