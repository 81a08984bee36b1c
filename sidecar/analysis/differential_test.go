package analysis

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	differentialFor  = flag.Duration("differential", 8*time.Second, "how long the differential test runs")
	differentialSeed = flag.Uint64("differential-seed", 0, "seed of the differential test; 0 = from the clock")
)

// mutationsPerQuery changes are tried on the same rows.
const mutationsPerQuery = 40

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
	quiet := d.trials - d.announced - d.needless
	t.Logf("seed %d: %d queries (%d by a shared verdict, %d refused by the server); %d changes that moved no tag; of %d that did, %d changed the answer",
		seed, d.queries, d.shared, d.broken, quiet, d.announced+d.needless, d.announced)
	if !t.Failed() && (quiet == 0 || d.announced == 0 || d.shared == 0) {
		t.Error("the test tested nothing")
	}
}

type differential struct {
	t        *testing.T
	bench    *bench
	random   *rand.Rand
	generate *generator
	verdicts map[string][]*Verdict  // by template key
	rows     map[string]map[int]row // by table and k

	queries, shared, trials, announced, needless, broken int
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

// tryChanges fills the tables, asks, and then changes, asks and rolls back again
// and again, all in one pipeline. Most changes are such that no tag of the answer
// moves: only they can tell of a miss.
func (d *differential) tryChanges(sql string, params []*string, tags []string) {
	b := d.bench
	b.exec(d.t, "BEGIN; TRUNCATE fa, fb, fc")
	defer b.exec(d.t, "ROLLBACK")
	d.fill()
	var trials []trial
	for range mutationsPerQuery {
		quiet := d.random.IntN(10) > 0
		if t := d.plan(tags, quiet); len(t.statements) > 0 {
			trials = append(trials, t)
		}
	}
	before, after, err := d.answers(sql, params, trials)
	if err != nil {
		d.broken++
		return
	}
	d.queries++
	for i, answer := range after {
		changed, moved := !slices.Equal(before, answer), trials[i].moves(tags)
		d.trials++
		switch {
		case moved && changed:
			d.announced++
		case moved:
			d.needless++
		case changed:
			d.missed(sql, params, tags, trials[i].statements)
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

// row is a row of the model: id, x, y, s as SQL values.
type row [4]string

var rowColumns = [4]string{"id", "x", "y", "s"}

func (r row) sql() string {
	text := r[3]
	if text != "NULL" {
		text = "'" + text + "'"
	}
	return strings.Join(r[:3], ", ") + ", " + text
}

func (d *differential) row() row {
	return row{d.literal(), d.literal(), d.literal(), d.literal()}
}

// fill puts rows into the tables, and into the model.
func (d *differential) fill() {
	d.rows = map[string]map[int]row{}
	for _, table := range fuzzTables {
		d.rows[table] = map[int]row{}
		var values []string
		for k := range 3 + d.random.IntN(6) {
			r := d.row()
			d.rows[table][k] = r
			values = append(values, fmt.Sprintf("(%s, %d)", r.sql(), k))
		}
		d.bench.exec(d.t, "INSERT INTO "+table+" VALUES "+strings.Join(values, ", "))
	}
}

// trial is a few changes and the tags that a trigger moves for them.
type trial struct {
	statements []string
	moved      []string
}

func (t *trial) moves(tags []string) bool {
	return slices.ContainsFunc(t.moved, func(tag string) bool { return slices.Contains(tags, tag) })
}

// plan makes up to three changes, quiet ones if asked: then none moves a tag,
// and there may be none at all.
func (d *differential) plan(tags []string, quiet bool) trial {
	var t trial
	rows := map[string]map[int]row{}
	for _, table := range fuzzTables {
		rows[table] = maps.Clone(d.rows[table])
	}
	for wanted, tries := 1+d.random.IntN(3), 0; len(t.statements) < wanted && tries < 20; tries++ {
		c := d.planChange(rows, len(t.statements))
		if quiet && (&trial{moved: c.moved}).moves(tags) {
			continue
		}
		t.statements, t.moved = append(t.statements, c.statement), append(t.moved, c.moved...)
		if c.after == nil {
			delete(rows[c.table], c.key)
		} else {
			rows[c.table][c.key] = *c.after
		}
	}
	return t
}

// change is one statement, and what it does to the model.
type change struct {
	statement string
	table     string
	key       int
	after     *row // nil after a DELETE
	moved     []string
}

func (d *differential) planChange(rows map[string]map[int]row, serial int) change {
	table := fuzzTables[d.random.IntN(len(fuzzTables))]
	keys := slices.Sorted(maps.Keys(rows[table]))
	if len(keys) == 0 || d.random.IntN(3) == 0 {
		fresh, k := d.row(), 100+serial
		return change{fmt.Sprintf("INSERT INTO %s VALUES (%s, %d)", table, fresh.sql(), k), table, k, &fresh, d.movedBy(table, fresh)}
	}
	k := keys[d.random.IntN(len(keys))]
	old := rows[table][k]
	if d.random.IntN(2) == 0 {
		return change{fmt.Sprintf("DELETE FROM %s WHERE k = %d /* (%s) */", table, k, old.sql()), table, k, nil, d.movedBy(table, old)}
	}
	fresh := old
	fresh[d.random.IntN(len(fresh))] = d.literal()
	return change{
		fmt.Sprintf("UPDATE %s SET (id, x, y, s) = ROW(%s) WHERE k = %d /* (%s) */", table, fresh.sql(), k, old.sql()),
		table, k, &fresh, append(d.movedBy(table, old), d.movedBy(table, fresh)...),
	}
}

// movedBy is the model of the trigger for one image of a row: the table's tag,
// and one for each watched column that is not NULL.
func (d *differential) movedBy(table string, r row) []string {
	root := fmt.Sprint(d.bench.watch.roots["public."+table])
	moved := []string{root}
	for i, column := range rowColumns {
		if r[i] != "NULL" && slices.Contains(columnsWatched["public."+table], column) {
			moved = append(moved, root+"/"+column+"="+r[i])
		}
	}
	return moved
}

// answers returns the query's answer before, and after each trial.
func (d *differential) answers(sql string, params []*string, trials []trial) (before []string, after [][]string, err error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	values := make([][]byte, len(params))
	for i, p := range params {
		if p != nil {
			values[i] = []byte(*p)
		}
	}
	pipeline := d.bench.conn.PgConn().StartPipeline(ctx)
	send := func(statement string) { pipeline.SendQueryParams(statement, nil, nil, nil, nil) }
	ask := func() { pipeline.SendQueryParams(sql, values, nil, nil, nil) }
	ask()
	send("SAVEPOINT filled")
	for _, t := range trials {
		for _, s := range t.statements {
			send(s)
		}
		ask()
		send("ROLLBACK TO filled")
	}
	err = errors.Join(pipeline.Sync(), func() error {
		if before, err = readAnswer(pipeline); err != nil {
			return err
		}
		if _, err = readAnswer(pipeline); err != nil {
			return err
		}
		for _, t := range trials {
			for range t.statements {
				if _, err = readAnswer(pipeline); err != nil {
					return err
				}
			}
			answer, err := readAnswer(pipeline)
			if err != nil {
				return err
			}
			after = append(after, answer)
			if _, err = readAnswer(pipeline); err != nil {
				return err
			}
		}
		return nil
	}())
	// What was not read because of an error says the same error again.
	if closed := pipeline.Close(); err == nil {
		err = closed
	}
	return before, after, err
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
		return nil, fmt.Errorf("unexpected %T in the pipeline", results)
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
