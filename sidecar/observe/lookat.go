package observe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// lookAt plays through what the cache would have done with a unit.
func (o *Observer) lookAt(ctx context.Context, u *unit) {
	o.waiting.Add(-u.size)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.totals.looked++
	c := u.client
	if c.block == outside && u.before == protocol.StatusInBlock {
		c.block = changed // what was left out has begun a transaction
	}
	reads, refused := o.reads(ctx, u)
	switch {
	case len(reads) == 0:
		o.countControl(c)
	case refused != "":
		o.passes(u, reads, refused)
	case !u.failed:
		o.obtain(u, reads)
	}
	for i := range u.executions {
		o.effect(ctx, u, &u.executions[i])
	}
	o.come(ctx, u.ended, c.stand(u.after))
}

// countControl counts what ends a transaction, unless that has only read.
func (o *Observer) countControl(c *client) {
	if c.block == changed || c.block == broken {
		o.totals.statements++
	}
}

// read is what a unit reads with one of its executions.
type read struct {
	*execution
	shape   *shape
	verdict *analysis.Verdict
	key     digest.Digest
	tags    []fence.Tag
	tables  []uint32
}

// reads are the unit's statements as the cache counts them: all but transaction control,
// which is answered without Postgres. refused says why the unit would pass through.
func (o *Observer) reads(ctx context.Context, u *unit) (reads []read, refused string) {
	refuse := func(reason string) {
		if refused == "" {
			refused = reason
		}
	}
	switch u.client.block {
	case changed:
		refuse(reasons.InTransaction)
	case broken:
		refuse(reasons.Failed)
	}
	for i := range u.executions {
		e := &u.executions[i]
		if block.ParseControl(e.sql).Kind != block.None {
			if len(u.executions) > 1 {
				refuse(string(analysis.ReasonNotSelect))
			}
			continue
		}
		r := read{execution: e, shape: o.shapeOf(e.sql)}
		refuse(o.refusal(ctx, u, &r))
		reads = append(reads, r)
	}
	return reads, refused
}

// readsAlone reports whether all that a unit executes are reads: their parts are answered like
// groups.
func (u *unit) readsAlone() bool {
	for i := range u.executions {
		if !analysis.BeginsLikeRead(u.executions[i].sql) {
			return false
		}
	}
	return true
}

// refusal says why a statement would pass through, and else what its answer depends on.
func (o *Observer) refusal(ctx context.Context, u *unit, r *read) string {
	switch {
	case u.long:
		return reasons.TooLong
	case u.parted && !u.readsAlone():
		return reasons.OpenGroup
	case !r.known:
		return reasons.UnknownStatement
	case r.again:
		return reasons.PortalReused
	case r.limited && u.client.block != outside && r.tag == "": // it was suspended
		return reasons.RowLimit
	case !analysis.BeginsLikeRead(r.sql):
		return string(analysis.ReasonNotSelect)
	case u.client.temporary:
		return reasons.Temporary
	case u.client.isolated():
		return reasons.Isolation
	}
	if reason := statements.SwitchedOff(r.sql); reason != "" {
		return reason
	}
	m := o.meaningOf(ctx, u.client)
	if m.failed {
		return reasons.ProbeFailed
	}
	v, literals := o.verdict(ctx, m, r.statement)
	switch {
	case v == nil:
		return reasons.AnalysisFailed
	case !v.Cacheable:
		return string(v.Reason)
	}
	r.verdict = v
	params, ok := paramsOf(r.execution, literals)
	tags, told := v.FenceTags(params)
	if !ok || !told {
		return reasons.Value
	}
	r.tags, r.tables = tags, v.Relations
	r.key = digest.Of(digest.AppendParts(nil, [][]byte{[]byte(u.client.state()), []byte(r.sql), r.bound}))
	return ""
}

// verdict is that of the analysis on a statement, with the literals to fill its tags with;
// nil if it failed.
func (o *Observer) verdict(ctx context.Context, m *meaning, s *statement) (*analysis.Verdict, []analysis.Literal) {
	template, ok := analysis.NewTemplate(s.sql, true)
	ok = ok && len(template.Literals) > 0
	key := verdictKey{m, s.sql, fmt.Sprint(s.paramTypes), true}
	if ok {
		shared := key
		shared.text, shared.exact = template.Key, false
		v := o.analyse(ctx, shared, s)
		if v == nil {
			return nil, nil
		}
		if v.HoldsFor(template) {
			return v, template.Literals
		}
	}
	return o.analyse(ctx, key, s), nil
}

// analyse finds the verdict of a key, asking for it with a statement.
func (o *Observer) analyse(ctx context.Context, key verdictKey, s *statement) *analysis.Verdict {
	if v, ok := o.verdicts[key]; ok {
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	request := key.meaning.request
	request.SQL, request.ParamTypes = s.sql, s.paramTypes
	v, err := o.analyzer.Analyze(ctx, request)
	if err != nil {
		o.logger.Debug("cannot analyse a statement", "error", err)
		return nil
	}
	if len(o.verdicts) >= verdictsMax {
		clear(o.verdicts)
	}
	o.verdicts[key] = v
	return v
}

// paramsOf are the values of an execution.
func paramsOf(e *execution, literals []analysis.Literal) (analysis.Params, bool) {
	p := analysis.Params{Literals: literals}
	if e.bound == nil {
		return p, true
	}
	bound, ok := protocol.ReadBound(e.bound)
	for i, data := range bound.Values {
		p.Bound = append(p.Bound, analysis.Value{Data: data, Null: data == nil, Binary: bound.Binary(i)})
	}
	return p, ok
}

// passes counts statements that would pass through.
func (o *Observer) passes(u *unit, reads []read, reason string) {
	spent := u.took / time.Duration(len(reads))
	for i := range reads {
		r := &reads[i]
		o.count(r, spent)
		if !analysis.BeginsLikeRead(r.sql) {
			continue
		}
		r.shape.reason = reason
		p := o.reasons[reason]
		if p == nil {
			p = &passing{}
			o.reasons[reason] = p
		}
		p.count++
		p.spent += spent
		if p.example == "" {
			p.example = r.shape.text
		}
	}
}

// count counts one statement.
func (o *Observer) count(r *read, spent time.Duration) {
	o.totals.statements++
	r.shape.all++
	r.shape.spent += spent
	if analysis.BeginsLikeRead(r.sql) {
		o.totals.reads++
		r.shape.reads++
		o.totals.spent += spent
	}
}

// obtain counts reads that are all answered by the cache, or all by Postgres.
func (o *Observer) obtain(u *unit, reads []read) {
	spent := u.took / time.Duration(len(reads))
	held := [worlds]bool{true, true}
	for i := range reads {
		has := o.memory.find(reads[i].key)
		for world := range held {
			held[world] = held[world] && has[world]
		}
	}
	for i := range reads {
		r := &reads[i]
		o.count(r, spent)
		r.shape.reason, r.shape.tables = "", r.verdict.Tables
		for world, hit := range held {
			if hit {
				o.totals.hits[world]++
				o.totals.saved[world] += spent
				r.shape.hits[world]++
				r.shape.saved[world] += spent
			}
		}
		if o.memory.entries[r.key] == nil {
			r.shape.keys++
		}
		if !held[best] {
			r.shape.misses++
			o.wish(r)
		}
		if !held[best] || !held[worst] {
			o.memory.load(r.key, held, u.sent, r.tags, r.tables, r.bytes)
		}
	}
}

// wish has columns watched that would have spared loads of a shape.
func (o *Observer) wish(r *read) {
	if r.shape.misses%missesPerWish != 0 {
		return
	}
	more := false
	for _, w := range r.verdict.Wishes {
		table, ok := o.state.Table(w.Root)
		if !ok || slices.Contains(o.wished[w.Root], w.Column) || len(table.Columns)+len(o.wished[w.Root]) >= columnsMax {
			continue
		}
		o.wished[w.Root] = append(o.wished[w.Root], w.Column)
		more = true
	}
	if more {
		o.forgetVerdicts()
	}
}

// effect notes what an execution has changed.
func (o *Observer) effect(ctx context.Context, u *unit, e *execution) {
	c := u.client
	if control := block.ParseControl(e.sql); control.Kind != block.None {
		if control.Params > 0 {
			bound, _ := protocol.ReadBound(e.bound)
			control, _ = control.Bind(bound.Values)
		}
		c.control(control)
		return
	}
	if isSetting(e.sql) {
		if !u.failed {
			c.set(e.sql)
		}
		return
	}
	if u.failed && u.after != protocol.StatusInBlock {
		return // nothing has come of it
	}
	made := o.changeOf(ctx, c, e)
	if made == nil {
		return
	}
	if c.block == reading {
		c.block = changed
	}
	c.written = append(c.written, *made)
}

// definers begin the statements that change names, rights or definitions.
var definers = []string{"CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT", "TRUNCATE", "REINDEX", "CLUSTER", "IMPORT", "REASSIGN", "SECURITY"}

// changeOf is what an execution may have changed, nil if nothing.
func (o *Observer) changeOf(ctx context.Context, c *client, e *execution) *change {
	word := analysis.FirstKeyword(e.sql)
	if slices.Contains(definers, word) {
		if rest := strings.ToUpper(e.sql); word == "CREATE" && strings.Contains(rest[:min(len(rest), 40)], " TEMP") {
			c.temporary = true
			return &change{}
		}
		return &change{definitions: true}
	}
	if !e.known || !analysis.MayHaveEffect(e.sql) {
		return nil
	}
	m := o.meaningOf(ctx, c)
	if m.failed {
		return nil
	}
	v, literals := o.verdict(ctx, m, e.statement)
	switch {
	case v == nil:
		return nil
	case v.Cacheable:
		return nil
	case v.Effect == nil && analysis.BeginsLikeRead(e.sql) && word == "SELECT":
		if v.Reason == analysis.ReasonUserFunction || v.Reason == analysis.ReasonVolatileFunction {
			return &change{} // whatever it was is seen in Postgres' counters
		}
		return nil
	case v.Effect == nil:
		return &change{}
	}
	return o.rowsChanged(v, e, literals)
}

// rowsChanged is what an execution has changed whose effect is known.
func (o *Observer) rowsChanged(v *analysis.Verdict, e *execution, literals []analysis.Literal) *change {
	if len(v.Effect.Roots) == 0 {
		return nil
	}
	o.changes.note(v.Effect.Roots, e.rows())
	if e.rows() == 0 {
		return &change{} // nobody's answer depends on what was not there
	}
	made := &change{}
	precise := uint32(0)
	if params, ok := paramsOf(e, literals); ok {
		if tags, classes, told := v.Changes(params); told {
			made.tags, made.classes, made.rows, precise = tags, classes, e.rows(), v.Effect.Rows.Root
		}
	}
	for _, root := range v.Effect.Roots {
		if root != precise {
			made.tags = append(made.tags, fence.TableTag(root))
			made.tables = append(made.tables, root)
		}
	}
	return made
}

// come takes in what has been committed by a moment.
func (o *Observer) come(ctx context.Context, at time.Time, committed []change) {
	if len(committed) == 0 {
		return
	}
	o.memory.change(at, committed)
	if slices.ContainsFunc(committed, func(c change) bool { return c.definitions }) {
		o.definitionsChanged(ctx)
	}
}
