package analysis

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet/freshet/invalidation"
)

var (
	differentialSchemas = flag.Int("differential-schemas", 4, "how many random schemas the differential test makes")
	differentialSeed    = flag.Uint64("differential-seed", 1, "seed of the differential tests")
)

const (
	// mutationsPerQuery changes are tried on the same rows.
	mutationsPerQuery = 40
	// randomSchema is where the tables are.
	randomSchema = "random"
)

// TestDifferential asks the only question that matters: random tables, random
// query, random rows, random change. If the answer changed, did the change move
// a tag that the answer carries? Which tags it moved, the installed triggers say.
func TestDifferential(t *testing.T) {
	d := newDifferential(t, *differentialSeed)
	for number := range *differentialSchemas {
		d.oneSchema(number, func() bool { return !t.Failed() })
	}
	misses := 0
	if d.miss != "" {
		misses = 1
	}
	t.Logf("seed %d: %d trials, %d misses. %d schemas, %d queries (%d with precise tags, %d with tags looked up, %d through several tables, %d with binary parameters, %d by a shared verdict, %d refused by the server, %d for what they call); "+
		"%d changes moved no tag, %d moved one and changed the answer, %d moved one needlessly",
		d.seed, d.trials(), misses, d.schemas, d.queries, d.precise, d.joined, d.chained, d.binary, d.shared, d.refused+d.broken-d.late, d.late, d.quiet, d.announced, d.needless)
	if !t.Failed() && d.testedNothing() {
		t.Error("the test tested nothing")
	}
}

// TestDifferentialOfAnExtension asks the same where citext takes the place of texts that
// are compared loosely.
func TestDifferentialOfAnExtension(t *testing.T) {
	loose := families[slices.IndexFunc(families, func(f *family) bool { return f.name == "loose" })]
	types := loose.types
	loose.types = []string{"citext"}
	t.Cleanup(func() { loose.types = types })
	d := newDifferential(t, *differentialSeed)
	d.extension = "citext"
	for number := range max(2, *differentialSchemas/2) {
		d.oneSchema(number, func() bool { return !t.Failed() })
	}
	t.Logf("seed %d: %d trials, %d queries, %d refused by the server, %d for what they call", d.seed, d.trials(), d.queries, d.refused+d.broken-d.late, d.late)
	if !t.Failed() && (d.quiet == 0 || d.announced == 0 || d.schemas < 2) {
		t.Error("the test tested nothing")
	}
}

// testedNothing reports whether something that this is about was never met.
func (d *differential) testedNothing() bool {
	return d.quiet == 0 || d.announced == 0 || d.shared == 0 || d.binary == 0 || d.joined == 0 || d.chained == 0 || d.late == 0
}

type differential struct {
	t        *testing.T
	bench    *bench
	generate *generator
	verdicts map[string][]*Verdict // by parameter types and template key
	// queriesPerSchema are asked before the tables are made anew.
	queriesPerSchema int
	// extension is made in each schema, unless it is empty.
	extension string
	// schema and query are the place of the query that is asked now.
	schema, query int
	// ask is handed a query, and the same with other literals.
	ask func(sql, other string)
	// miss describes a change of an answer that no tag told of.
	miss string

	seed                              uint64
	schemas, queries, shared, refused int
	precise, binary, joined, chained  int
	broken, late                      int
	quiet, announced, needless        int
}

func newDifferential(t *testing.T, seed uint64) *differential {
	d := &differential{t: t, bench: setup(t), generate: &generator{}, seed: seed, queriesPerSchema: 60}
	d.ask = d.askBoth
	d.bench.exec(t, `SET max_parallel_workers_per_gather = 0; SET statement_timeout = '5s'; SET TimeZone = 'UTC'`)
	return d
}

func (d *differential) trials() int { return d.quiet + d.announced + d.needless }

// at makes what is generated from now on depend on the seed and a place alone: on a
// schema's number, and a query's in it; behind them may come what it is for.
func (d *differential) at(schema, query int, purpose string) {
	h := fnv.New64a()
	fmt.Fprint(h, schema, query, purpose)
	d.generate.random = rand.New(rand.NewPCG(d.seed, h.Sum64()))
}

// oneSchema makes a schema and asks queries of it, as long as it is to go on.
func (d *differential) oneSchema(number int, goOn func() bool) {
	if !d.makeSchema(number) {
		return
	}
	for query := 0; query < d.queriesPerSchema && goOn(); query++ {
		d.oneQuery(number, query)
	}
}

// oneQuery asks the query of a place.
func (d *differential) oneQuery(schema, query int) {
	d.schema, d.query = schema, query
	d.at(schema, query, "")
	sql := d.generate.query()
	d.ask(sql, d.otherLiterals(sql))
}

// makeSchema makes tables and has them watched. It reports false if a view among them
// cannot be.
func (d *differential) makeSchema(number int) bool {
	b, g := d.bench, d.generate
	b.exec(d.t, "DROP SCHEMA IF EXISTS "+randomSchema+" CASCADE; CREATE SCHEMA "+randomSchema+"; SET search_path = "+randomSchema)
	if d.extension != "" {
		b.exec(d.t, "CREATE EXTENSION "+d.extension)
	}
	d.at(number, -1, "")
	sql := g.newSchema()
	if _, err := b.conn.Exec(d.t.Context(), sql); err != nil {
		d.broken++
		return false
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
	return true
}

func (d *differential) root(t *randomTable) uint32 {
	return d.bench.watch.roots[randomSchema+"."+t.name]
}

// otherLiterals puts other values of the same family in the place of some.
func (d *differential) otherLiterals(sql string) string {
	g := d.generate
	scanned := scan(sql, true)
	for _, l := range slices.Backward(scanned.literals) {
		if g.chance(60) {
			continue
		}
		for _, f := range families {
			if slices.ContainsFunc(f.values, func(s sample) bool { return s.text == l.Text }) {
				other := strings.TrimPrefix(choose(g, f.values...).text, "-")
				if l.Kind == LiteralString {
					other = quoted(other)
				}
				sql = sql[:l.Offset] + other + sql[l.end:]
				break
			}
		}
	}
	return sql
}

func (d *differential) request(sql string) Request {
	r := Request{SQL: sql, SearchPath: []string{"pg_catalog", randomSchema}, Settings: map[string]string{"TimeZone": "UTC"}}
	for _, p := range d.generate.params {
		r.ParamTypes = append(r.ParamTypes, p.typ)
	}
	return r
}

// askBoth tries a query twice over: as generated, and with other literals, so
// that the second is likely to use the verdict of the first.
func (d *differential) askBoth(sql, other string) {
	d.one(sql)
	d.one(other)
}

// verdict analyses a statement, or takes a verdict that covers it.
func (d *differential) verdict(sql string) *Verdict {
	r := d.request(sql)
	template, ok := NewTemplate(sql, true)
	if !ok {
		return d.bench.analyze(d.t, r)
	}
	key := fmt.Sprint(r.ParamTypes, template.Key)
	for _, v := range d.verdicts[key] {
		if v.Covers(template) {
			d.shared++
			return v
		}
	}
	v := d.bench.analyze(d.t, r)
	d.verdicts[key] = append(d.verdicts[key], v)
	return v
}

func (d *differential) one(sql string) {
	v := d.verdict(sql)
	if !v.Cacheable {
		// A text that the lexer cannot read may name the clock, for all it knows.
		_, read := NewTemplate(sql, true)
		late := d.generate.late && v.Reason == ReasonUserFunction
		if late {
			d.late++
		}
		if !late && v.Reason != ReasonSQLError && (v.Reason != ReasonClockLiteral || read) {
			d.t.Errorf("refused as %s [%s]: %s", v.Reason, v.Detail, sql)
		}
		d.refused++
		return
	}
	q, ok := d.question(v, sql)
	if !ok {
		d.t.Errorf("no tags for %s", sql)
		return
	}
	if d.try(*q) {
		d.queries++
		if slices.ContainsFunc(q.bound, func(v Value) bool { return v.Binary }) {
			d.binary++
		}
		if q.precise {
			d.precise++
		}
	}
	if d.miss != "" {
		d.t.Error(d.miss)
	}
}

// question binds values to a statement and asks its verdict for the tags.
func (d *differential) question(v *Verdict, sql string) (*question, bool) {
	q := &question{sql: sql, types: v.ParamTypes, verdict: v}
	for i, b := range d.generate.params {
		q.bound = append(q.bound, b.value(d.bench.conn.TypeMap(), v.ParamTypes[i]))
	}
	p := &q.params
	p.Bound = q.bound
	if template, ok := NewTemplate(sql, true); ok {
		p.Literals = append([]Literal{}, template.Literals...)
	}
	q.precise = slices.ContainsFunc(v.Tags, func(t TagTemplate) bool { return t.Column != "" })
	var ok bool
	q.tags, ok = v.AppendTags(nil, *p)
	return q, ok
}

// question is a query as it is asked, and the tags of its answer.
type question struct {
	sql   string
	types []uint32
	bound []Value
	tags  []string
	// lookup is the statement that finds the tags which only the rows tell; empty if
	// there are none, or if it is yet to be made.
	lookup string
	// verdict and params are what the tags were made of.
	verdict *Verdict
	params  Params
	// precise is set if a tag is of values; if not, only forgotten tables can show.
	precise bool
	// must are tags of which every change has to move one; nil if any change will do.
	must []string
}

// try fills the tables, asks, and then changes, asks and rolls back again and
// again, all in one pipeline. Most changes are such that no tag of the answer
// moves: only they can tell of a miss. It reports whether the server answered.
func (d *differential) try(q question) bool {
	b, g := d.bench, d.generate
	b.exec(d.t, "BEGIN")
	defer b.exec(d.t, "ROLLBACK")
	rows, statements := g.fill()
	b.exec(d.t, strings.Join(statements, ";"))
	if !d.lookUp(&q) {
		return false
	}
	var trials []trial
	wanted := mutationsPerQuery
	if !q.precise && q.must == nil {
		wanted = mutationsPerQuery / 4
	}
	for range wanted {
		if t := g.trial(rows, q.tags, q.must, q.must != nil || !g.chance(10), d.root); len(t.statements) > 0 {
			trials = append(trials, t)
		}
	}
	b.exec(d.t, "SAVEPOINT filled")
	before, answers, err := d.answers(q, trials)
	if err != nil {
		d.broken++
		return false
	}
	for i, answer := range answers {
		changed, moved := !slices.Equal(before, answer), moves(trials[i].expected, q.tags)
		switch {
		case moved && changed:
			d.announced++
		case moved:
			d.needless++
		case changed:
			d.changed(q, statements, trials[i])
		default:
			d.quiet++
		}
		if d.miss != "" {
			return true
		}
	}
	return true
}

// lookUp finds the tags that only the rows tell, as they are before the load. It
// reports false if a planted bug has made it a statement that Postgres refuses.
func (d *differential) lookUp(q *question) bool {
	if !q.verdict.Joins() {
		return true
	}
	sql, ok := q.lookup, true
	if sql == "" {
		sql, ok = q.verdict.LookupSQL(q.params)
	}
	if !ok {
		return true
	}
	results, err := d.bench.conn.PgConn().Exec(d.t.Context(), sql).ReadAll()
	if err != nil && planted != "" {
		return false
	}
	if err != nil || len(results[0].Rows) != 1 {
		d.t.Fatalf("%v, looking up %s", err, sql)
	}
	q.params.Joined, ok = q.verdict.ReadLookup(results[0].Rows[0])
	if ok {
		q.tags, ok = q.verdict.AppendTags(nil, q.params)
	}
	if !ok {
		d.t.Fatalf("no tags from %s", sql)
	}
	d.joined++
	if slices.ContainsFunc(q.verdict.lookups, func(l lookup) bool { return l.through != nil }) {
		d.chained++
	}
	return true
}

// changed runs a trial again whose change of the answer was not expected, to hear
// from the triggers whether a tag moved.
func (d *differential) changed(q question, rows []string, t trial) {
	b := d.bench
	b.exec(d.t, "DELETE FROM freshet.outbox;"+strings.Join(t.statements, ";"))
	var moved []string
	if err := b.conn.QueryRow(d.t.Context(), movedSQL).Scan(&moved); err != nil {
		d.t.Fatal(err)
	}
	b.exec(d.t, "ROLLBACK TO filled")
	if moves(moved, q.tags) {
		d.announced++
		return
	}
	var values []string
	for _, p := range q.bound {
		values = append(values, fmt.Sprintf("%q (binary %v, null %v)", p.Data, p.Binary, p.Null))
	}
	d.miss = fmt.Sprintf("the answer changed and no tag moved\n query   %s\n bound   %s\n tags    %q\n rows    %s\n changes %s\n moved   %q",
		q.sql, values, b.namedAll(q.tags), strings.Join(rows, ";\n         "), strings.Join(t.statements, "; "), b.namedAll(moved))
}

const movedSQL = `SELECT coalesce(array_agg(DISTINCT tag), '{}') FROM freshet.outbox, unnest(tags) tag WHERE xid = pg_current_xact_id()`

// answers returns the query's answer before, and after each trial.
func (d *differential) answers(q question, trials []trial) (before []string, after [][]string, err error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), waitMax)
	defer cancel()
	values, formats := wireForm(q.bound)
	pipeline := d.bench.conn.PgConn().StartPipeline(ctx)
	send := func(statement string) { pipeline.SendQueryParams(statement, nil, nil, nil, nil) }
	ask := func() { pipeline.SendQueryParams(q.sql, values, q.types, formats, nil) }
	ask()
	for _, t := range trials {
		for _, s := range t.statements {
			send(s)
		}
		ask()
		send("ROLLBACK TO filled")
	}
	err = pipeline.Sync()
	read := func() (rows []string) {
		if err == nil {
			rows, err = readAnswer(pipeline)
		}
		return d.fold(rows)
	}
	before = read()
	for _, t := range trials {
		for range t.statements {
			read()
		}
		after = append(after, read())
		read()
	}
	// What was not read because of an error says the same error again.
	if closed := pipeline.Close(); err == nil {
		err = closed
	}
	return before, after, err
}

// wireForm splits values as they are bound.
func wireForm(bound []Value) (values [][]byte, formats []int16) {
	for _, v := range bound {
		format, data := int16(pgtype.TextFormatCode), v.Data
		if v.Binary {
			format = pgtype.BinaryFormatCode
		}
		if !v.Null && data == nil {
			data = []byte{}
		}
		values, formats = append(values, data), append(formats, format)
	}
	return values, formats
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
