package analysis

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/invalidation"
)

var (
	differentialFor  = flag.Duration("differential", 15*time.Second, "how long the differential test runs")
	differentialSeed = flag.Uint64("differential-seed", 0, "seed of the differential test; 0 = from the clock")
)

const (
	// queriesPerSchema are asked before the tables are made anew.
	queriesPerSchema = 40
	// mutationsPerQuery changes are tried on the same rows.
	mutationsPerQuery = 40
	// randomSchema is where the tables are.
	randomSchema = "random"
)

// TestDifferential asks the only question that matters: random tables, random
// query, random rows, random change. If the answer changed, did the change move
// a tag that the answer carries? Which tags it moved, the installed triggers say.
func TestDifferential(t *testing.T) {
	duration := *differentialFor
	if testing.Short() {
		duration = min(duration, 2*time.Second)
	}
	d := newDifferential(t, cmp.Or(*differentialSeed, uint64(time.Now().UnixNano())))
	for end := time.Now().Add(duration); time.Now().Before(end) && !t.Failed(); {
		d.oneSchema(end)
	}
	d.report()
	if !t.Failed() && (d.quiet == 0 || d.announced == 0 || d.shared == 0 || d.binary == 0) {
		t.Error("the test tested nothing")
	}
}

type differential struct {
	t        *testing.T
	bench    *bench
	generate *generator
	verdicts map[string][]*Verdict // by parameter types and template key

	seed                              uint64
	schemas, queries, shared, refused int
	precise, binary, broken           int
	quiet, announced, needless        int
	misses                            int
}

func newDifferential(t *testing.T, seed uint64) *differential {
	d := &differential{t: t, bench: setup(t), generate: &generator{random: rand.New(rand.NewPCG(seed, 0))}, seed: seed}
	d.bench.exec(t, `SET max_parallel_workers_per_gather = 0; SET statement_timeout = '5s'; SET TimeZone = 'UTC'`)
	return d
}

func (d *differential) report() {
	d.t.Logf("seed %d: %d trials, %d misses. %d schemas, %d queries (%d with precise tags, %d with binary parameters, %d by a shared verdict, %d refused by the server); "+
		"%d changes moved no tag, %d moved one and changed the answer, %d moved one needlessly",
		d.seed, d.quiet+d.announced+d.needless, d.misses, d.schemas, d.queries, d.precise, d.binary, d.shared, d.refused+d.broken, d.quiet, d.announced, d.needless)
}

// oneSchema makes tables, has them watched, and asks queries of them.
func (d *differential) oneSchema(end time.Time) {
	b, g := d.bench, d.generate
	b.exec(d.t, "DROP SCHEMA IF EXISTS "+randomSchema+" CASCADE; CREATE SCHEMA "+randomSchema+"; SET search_path = "+randomSchema)
	sql := g.newSchema()
	if _, err := b.conn.Exec(d.t.Context(), sql); err != nil {
		d.broken++ // a view that cannot be
		return
	}
	var patterns []string
	for _, t := range g.tables {
		patterns = append(patterns, t.pattern(randomSchema))
	}
	report, err := invalidation.Install(d.t.Context(), b.conn, invalidation.Options{Watch: patterns})
	if err != nil || len(report.Watched) != len(g.tables) {
		d.t.Fatalf("watch the random tables: %v %+v", err, report)
	}
	columns := map[string][]string{}
	for _, w := range report.Watched {
		columns[w.Schema+"."+w.Name] = w.Columns
	}
	b.watch = readWatch(d.t, b.conn, columns)
	b.analyzer.Forget()
	d.verdicts = map[string][]*Verdict{}
	d.schemas++
	for range queriesPerSchema {
		if d.t.Failed() || time.Now().After(end) {
			return
		}
		d.oneQuery()
	}
}

func (d *differential) root(t *randomTable) uint32 {
	return d.bench.watch.roots[randomSchema+"."+t.name]
}

// oneQuery analyses a query twice over: as generated, and with its literals
// changed, so that the second is likely to use the verdict of the first.
func (d *differential) oneQuery() {
	sql := d.generate.query()
	d.one(sql)
	d.one(d.otherLiterals(sql))
}

// otherLiterals puts other values of the same family in the place of some.
func (d *differential) otherLiterals(sql string) string {
	g := d.generate
	scanned := scan(sql, true)
	for i, l := range slices.Backward(scanned.literals) {
		if g.chance(60) {
			continue
		}
		for _, f := range families {
			if slices.ContainsFunc(f.values, func(s sample) bool { return s.text == l.Text }) {
				other := strings.TrimPrefix(choose(g, f.values...).text, "-")
				if l.Kind == LiteralString {
					other = quoted(other)
				}
				sql = sql[:l.Offset] + other + sql[scanned.ends[i]:]
				break
			}
		}
	}
	return sql
}

// verdict analyses a statement, or takes a verdict that covers it. The literals
// are nil if it was analysed by its exact text.
func (d *differential) verdict(sql string) (*Verdict, []Literal) {
	r := Request{SQL: sql, SearchPath: []string{"pg_catalog", randomSchema}, Settings: map[string]string{"TimeZone": "UTC"}}
	for _, p := range d.generate.params {
		r.ParamTypes = append(r.ParamTypes, p.typ)
	}
	template, ok := NewTemplate(sql, true)
	if !ok {
		return d.bench.analyze(d.t, r), nil
	}
	if template.Literals == nil {
		template.Literals = []Literal{}
	}
	key := fmt.Sprint(r.ParamTypes, template.Key)
	for _, v := range d.verdicts[key] {
		if v.Covers(template) {
			d.shared++
			return v, template.Literals
		}
	}
	v := d.bench.analyze(d.t, r)
	d.verdicts[key] = append(d.verdicts[key], v)
	return v, template.Literals
}

func (d *differential) one(sql string) {
	v, literals := d.verdict(sql)
	if !v.Cacheable {
		// A text that the lexer cannot read may name the clock, for all it knows.
		if v.Reason != ReasonSQLError && (v.Reason != ReasonClockLiteral || literals != nil) {
			d.t.Errorf("refused as %s [%s]: %s", v.Reason, v.Detail, sql)
		}
		d.refused++
		return
	}
	p := Params{Literals: literals}
	binary := false
	for i, b := range d.generate.params {
		p.Bound = append(p.Bound, b.value(d.bench.conn.TypeMap(), v.ParamTypes[i]))
		binary = binary || p.Bound[i].Binary
	}
	tags, ok := v.AppendTags(nil, p)
	if !ok {
		d.t.Errorf("no tags for %s", sql)
		return
	}
	if d.try(question{sql, v.ParamTypes, p.Bound, tags}) {
		d.queries++
		if binary {
			d.binary++
		}
		if slices.ContainsFunc(v.Tags, func(t TagTemplate) bool { return t.Column != "" }) {
			d.precise++
		}
	}
}

// question is a query as it is asked, and the tags of its answer.
type question struct {
	sql   string
	types []uint32
	bound []Value
	tags  []string
}

// try fills the tables, asks, and then changes, asks and rolls back again and
// again, all in one pipeline. Most changes are such that no tag of the answer
// moves: only they can tell of a miss. It reports whether the server answered.
func (d *differential) try(q question) bool {
	b, g := d.bench, d.generate
	b.exec(d.t, "BEGIN")
	defer b.exec(d.t, "ROLLBACK")
	rows, statements := g.fill()
	b.exec(d.t, strings.Join(statements, ";")+"; DELETE FROM freshet.outbox")
	var trials []trial
	for range mutationsPerQuery {
		if t := g.trial(rows, q.tags, !g.chance(10), d.root); len(t.statements) > 0 {
			trials = append(trials, t)
		}
	}
	before, outcomes, err := d.answers(q, trials)
	if err != nil {
		d.broken++
		return false
	}
	for i, o := range outcomes {
		changed, moved := !slices.Equal(before, o.answer), moves(o.moved, q.tags)
		switch {
		case moved && changed:
			d.announced++
		case moved:
			d.needless++
		case changed:
			d.missed(q, statements, trials[i].statements, o.moved)
			return true
		default:
			d.quiet++
		}
	}
	return true
}

func (d *differential) missed(q question, rows, changes, moved []string) {
	d.misses++
	var values []string
	for _, p := range q.bound {
		values = append(values, fmt.Sprintf("%q (binary %v, null %v)", p.Data, p.Binary, p.Null))
	}
	named := func(tags []string) (out []string) {
		for _, t := range tags {
			out = append(out, d.bench.named(t))
		}
		return out
	}
	d.t.Errorf("the answer changed and no tag moved\n query   %s\n bound   %s\n tags    %q\n rows    %s\n changes %s\n moved   %q",
		q.sql, values, named(q.tags), strings.Join(rows, ";\n         "), strings.Join(changes, "; "), named(moved))
}

// outcome is the answer after a trial, and the tags that it moved.
type outcome struct{ answer, moved []string }

const movedSQL = `SELECT DISTINCT unnest(tags) FROM freshet.outbox WHERE xid = pg_current_xact_id()`

// answers returns the query's answer before, and the outcome of each trial.
func (d *differential) answers(q question, trials []trial) (before []string, outcomes []outcome, err error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	values, formats := make([][]byte, len(q.bound)), make([]int16, len(q.bound))
	for i, v := range q.bound {
		if !v.Null {
			values[i] = v.Data
			if v.Data == nil {
				values[i] = []byte{}
			}
		}
		if v.Binary {
			formats[i] = 1
		}
	}
	pipeline := d.bench.conn.PgConn().StartPipeline(ctx)
	send := func(statement string) { pipeline.SendQueryParams(statement, nil, nil, nil, nil) }
	ask := func() { pipeline.SendQueryParams(q.sql, values, q.types, formats, nil) }
	ask()
	send("SAVEPOINT filled")
	for _, t := range trials {
		for _, s := range t.statements {
			send(s)
		}
		ask()
		send(movedSQL)
		send("ROLLBACK TO filled")
	}
	err = pipeline.Sync()
	read := func() (rows []string) {
		if err == nil {
			rows, err = readAnswer(pipeline)
		}
		return rows
	}
	before = d.fold(read())
	read()
	for _, t := range trials {
		for range t.statements {
			read()
		}
		o := outcome{answer: d.fold(read())}
		for _, tag := range read() {
			o.moved = append(o.moved, strings.TrimSuffix(tag, "|"))
		}
		outcomes = append(outcomes, o)
		read()
	}
	// What was not read because of an error says the same error again.
	if closed := pipeline.Close(); err == nil {
		err = closed
	}
	return before, outcomes, err
}

var (
	trailingZeros = regexp.MustCompile(`(\d)\.0*\b`)
	negativeZero  = regexp.MustCompile(`-0\b`)
)

// fold makes values that are equal print alike, where the query shows such: which
// of them stands for the others is the server's choice, anew each time.
func (d *differential) fold(rows []string) []string {
	if !d.generate.fuzzy {
		return rows
	}
	for i := range rows {
		rows[i] = negativeZero.ReplaceAllString(trailingZeros.ReplaceAllString(strings.ToLower(rows[i]), "$1"), "0")
	}
	slices.Sort(rows)
	return rows
}

// readAnswer reads one result's rows, in no order: what the order says is for
// the query's own LIMIT and windows to show.
func readAnswer(pipeline *pgconn.Pipeline) ([]string, error) {
	results, err := pipeline.GetResults()
	if err != nil {
		return nil, err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return nil, errors.New("read an answer: the pipeline holds something else")
	}
	result := reader.Read()
	if result.Err != nil {
		return nil, result.Err
	}
	var out []string
	for _, r := range result.Rows {
		var text strings.Builder
		for _, v := range r {
			if v == nil {
				text.WriteString("~")
			}
			text.Write(v)
			text.WriteByte('|')
		}
		out = append(out, text.String())
	}
	slices.Sort(out)
	return out, nil
}
