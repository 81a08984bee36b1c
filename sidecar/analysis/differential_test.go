package analysis

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	differentialFor  = flag.Duration("differential", 8*time.Second, "how long the differential test runs")
	differentialSeed = flag.Uint64("differential-seed", 0, "seed of the differential test; 0 = from the clock")
)

// mutationsPerQuery changes are tried on the same rows.
const mutationsPerQuery = 25

// TestDifferential asks the only question that matters: random query, random
// rows, random change. If the answer changed, did the change move a tag that the
// answer carries? The model of the trigger stands below and shares nothing with
// the analysis.
func TestDifferential(t *testing.T) {
	duration := *differentialFor
	if testing.Short() {
		duration = min(duration, 2*time.Second)
	}
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	d := newDifferential(t, seed)
	for end := time.Now().Add(duration); time.Now().Before(end) && !t.Failed(); {
		d.oneQuery()
	}
	t.Logf("seed %d: %d queries (%d by a shared verdict), %d changes tried, %d changed the answer, %d moved a tag; %d statements refused by the server",
		seed, d.queries, d.shared, d.trials, d.changed, d.moved, d.broken)
	if d.queries == 0 || d.changed == 0 || d.moved == d.trials {
		t.Errorf("the test tested nothing: %d queries, %d changed answers, %d of %d changes moved a tag", d.queries, d.changed, d.moved, d.trials)
	}
}

type differential struct {
	t        *testing.T
	bench    *bench
	random   *rand.Rand
	generate *generator
	verdicts map[string][]*Verdict // by template key

	queries, shared, trials, changed, moved, broken int
}

func newDifferential(t *testing.T, seed uint64) *differential {
	random := rand.New(rand.NewPCG(seed, 0))
	d := &differential{t: t, bench: setup(t), random: random, generate: &generator{random: random}, verdicts: map[string][]*Verdict{}}
	d.bench.exec(t, `SET max_parallel_workers_per_gather = 0; SET statement_timeout = '5s'`)
	return d
}

// verdict analyses a statement, or takes a verdict that covers it.
func (d *differential) verdict(sql string) (*Verdict, Template) {
	template, ok := NewTemplate(sql, true)
	if !ok {
		d.t.Fatalf("no template of %s", sql)
	}
	for _, v := range d.verdicts[template.Key] {
		if v.Covers(template) {
			d.shared++
			return v, template
		}
	}
	v := d.bench.analyze(d.t, request(sql))
	d.verdicts[template.Key] = append(d.verdicts[template.Key], v)
	return v, template
}

// oneQuery analyses a query twice over: as generated, and with its literals
// changed, so that the second is likely to use the verdict of the first.
func (d *differential) oneQuery() {
	sql := d.generate.query()
	d.one(sql, d.generate.params)
	d.one(d.otherLiterals(sql), d.generate.params)
}

// otherLiterals changes single-digit literals at random.
func (d *differential) otherLiterals(sql string) string {
	template, _ := NewTemplate(sql, true)
	b := []byte(sql)
	for _, l := range template.Literals {
		at := l.Offset
		if l.Kind == LiteralString {
			at++
		}
		if d.random.IntN(3) == 0 {
			b[at] = byte('0' + d.random.IntN(4))
		}
	}
	return string(b)
}

func (d *differential) one(sql string, params []*string) {
	v, template := d.verdict(sql)
	if !v.Cacheable {
		if v.Reason != ReasonSQLError {
			d.t.Errorf("refused as %s [%s]: %s", v.Reason, v.Detail, sql)
		}
		d.broken++
		return
	}
	p := Params{Literals: template.Literals}
	if p.Literals == nil {
		p.Literals = []Literal{}
	}
	for _, text := range params {
		value := Value{Null: text == nil}
		if text != nil {
			value.Data = []byte(*text)
		}
		p.Bound = append(p.Bound, value)
	}
	tags, ok := v.AppendTags(nil, p)
	if !ok {
		d.t.Fatalf("no tags for %s", sql)
	}
	d.tryChanges(sql, params, tags)
}

func (d *differential) tryChanges(sql string, params []*string, tags []string) {
	b := d.bench
	b.exec(d.t, "BEGIN; TRUNCATE fa, fb, fc")
	defer b.exec(d.t, "ROLLBACK")
	d.fill()
	before, err := d.answer(sql, params)
	if err != nil {
		d.broken++
		return
	}
	d.queries++
	b.exec(d.t, "SAVEPOINT filled")
	for range mutationsPerQuery {
		var moved []string
		var log []string
		for range 1 + d.random.IntN(3) {
			statement, tags := d.change()
			moved, log = append(moved, tags...), append(log, statement)
		}
		after, err := d.answer(sql, params)
		b.exec(d.t, "ROLLBACK TO filled")
		if err != nil {
			continue
		}
		d.trials++
		hit := slices.ContainsFunc(moved, func(tag string) bool { return slices.Contains(tags, tag) })
		if hit {
			d.moved++
		}
		if slices.Equal(before, after) {
			continue
		}
		d.changed++
		if !hit {
			d.missed(sql, params, tags, log)
			return
		}
	}
}

func (d *differential) missed(sql string, params []*string, tags, log []string) {
	var bound []string
	for _, p := range params {
		if p == nil {
			bound = append(bound, "NULL")
		} else {
			bound = append(bound, *p)
		}
	}
	var named []string
	for _, t := range tags {
		named = append(named, d.bench.named(t))
	}
	d.t.Errorf("the answer changed and no tag moved\n query   %s\n bound   %q\n tags    %q\n changes %s", sql, bound, named, strings.Join(log, "; "))
}

var fuzzTables = []string{"fa", "fb", "fc"}

func (d *differential) literal() string {
	if d.random.IntN(6) == 0 {
		return "NULL"
	}
	return fmt.Sprint(d.random.IntN(4))
}

func (d *differential) row() string {
	text := d.literal()
	if text != "NULL" {
		text = "'" + text + "'"
	}
	return "(" + d.literal() + ", " + d.literal() + ", " + d.literal() + ", " + text + ")"
}

func (d *differential) fill() {
	for _, table := range fuzzTables {
		rows := []string{d.row()}
		for range 2 + d.random.IntN(6) {
			rows = append(rows, d.row())
		}
		d.bench.exec(d.t, "INSERT INTO "+table+" VALUES "+strings.Join(rows, ", "))
	}
}

// answer runs the query and returns its rows in no order; what the order says is
// for the query's own LIMIT and windows to show.
func (d *differential) answer(sql string, params []*string) ([]string, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 10*time.Second)
	defer cancel()
	d.bench.exec(d.t, "SAVEPOINT asked")
	values := make([][]byte, len(params))
	for i, p := range params {
		if p != nil {
			values[i] = []byte(*p)
		}
	}
	result := d.bench.conn.PgConn().ExecParams(ctx, sql, values, nil, nil, nil).Read()
	if result.Err != nil {
		d.bench.exec(d.t, "ROLLBACK TO asked")
		return nil, result.Err
	}
	var out []string
	for _, r := range result.Rows {
		var row strings.Builder
		for _, v := range r {
			if v == nil {
				row.WriteString("~")
			}
			row.Write(v)
			row.WriteByte('|')
		}
		out = append(out, row.String())
	}
	slices.Sort(out)
	return out, nil
}

// change changes one row at random and returns the tags that a trigger moves.
func (d *differential) change() (statement string, moved []string) {
	table := fuzzTables[d.random.IntN(len(fuzzTables))]
	ctid, old := d.anyRow(table)
	kind := d.random.IntN(3)
	if ctid == "" {
		kind = 0
	}
	var changed string
	switch kind {
	case 0:
		old = ""
		changed = d.returning("INSERT INTO " + table + " AS t VALUES " + d.row())
		statement = "INSERT " + table + " " + changed
	case 1:
		d.returning("DELETE FROM " + table + " AS t WHERE ctid = '" + ctid + "'")
		statement = "DELETE " + table + " " + old
	case 2:
		set := []string{"id", "x", "y", "s"}[d.random.IntN(4)] + " = " + d.literal()
		changed = d.returning("UPDATE " + table + " AS t SET " + set + " WHERE ctid = '" + ctid + "'")
		statement = "UPDATE " + table + " " + old + " to " + changed
	}
	return statement, append(d.movedBy(table, old), d.movedBy(table, changed)...)
}

func (d *differential) anyRow(table string) (ctid, row string) {
	rows, err := d.bench.conn.Query(d.t.Context(), "SELECT ctid::text, row_to_json(t)::text FROM "+table+" t ORDER BY ctid", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		d.t.Fatal(err)
	}
	var all [][2]string
	var c, r string
	if _, err := pgx.ForEachRow(rows, []any{&c, &r}, func() error {
		all = append(all, [2]string{c, r})
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
	if len(all) == 0 {
		return "", ""
	}
	one := all[d.random.IntN(len(all))]
	return one[0], one[1]
}

func (d *differential) returning(statement string) string {
	var row string
	err := d.bench.conn.QueryRow(d.t.Context(), statement+" RETURNING row_to_json(t)::text", pgx.QueryExecModeSimpleProtocol).Scan(&row)
	if err != nil {
		d.t.Fatalf("%s: %v", statement, err)
	}
	return row
}

// movedBy is the model of the trigger for one image of a row: the table's tag,
// and one for each watched column that is not NULL.
func (d *differential) movedBy(table, row string) []string {
	if row == "" {
		return nil
	}
	var values map[string]any
	decoder := json.NewDecoder(strings.NewReader(row))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		d.t.Fatal(err)
	}
	root := fmt.Sprint(d.bench.watch.roots["public."+table])
	moved := []string{root}
	for _, column := range columnsWatched["public."+table] {
		if v := values[column]; v != nil {
			moved = append(moved, fmt.Sprintf("%s/%s=%v", root, column, v))
		}
	}
	return moved
}
