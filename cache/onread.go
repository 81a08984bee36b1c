package cache

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Outcome says how a read was answered.
type Outcome uint8

// The outcomes. There will be others in later releases only where reads are answered in a
// way that there is not now.
const (
	// OutcomeHit is an answer from the memory of this process.
	OutcomeHit Outcome = iota + 1
	// OutcomeRemote is an answer from the second tier.
	OutcomeRemote
	// OutcomeJoined is an answer that another reader of this process was loading.
	OutcomeJoined
	// OutcomeLoaded is an answer that was loaded for all.
	OutcomeLoaded
	// OutcomeNotKept is an answer that was loaded for this reader alone. Read.Reason
	// says why.
	OutcomeNotKept
	// OutcomeStale is an old value, beside an error that says so: Policy.Grace.
	OutcomeStale
	// OutcomeFailed is no answer, but an error.
	OutcomeFailed
)

var outcomeNames = [...]string{"", "hit", "remote", "joined", "loaded", "not_kept", "stale", "failed"}

// String is the name of an outcome in metrics.
func (o Outcome) String() string { return outcomeNames[min(int(o), len(outcomeNames)-1)] }

// Read is a read that has ended: one through Query or QueryRow of a DB or of a handle that
// OpenSQL made, or one of a key of a wrapped function. What is read in a transaction or in
// a batch is Postgres' own and no Read.
type Read struct {
	// Name is that of the wrapped function, empty for a statement.
	Name string
	// SQL is the text of the statement as the program gave it, without its arguments;
	// empty for a wrapped function.
	SQL string
	// Outcome is how it was answered, and Reason why no better: for a statement a word
	// that Explain and the documentation explain, for a function what
	// FunctionStats.NotKept says. Empty where there is nothing to say.
	Outcome Outcome
	Reason  string
	// Took is how long the reader waited: until the rows of a statement were there, or
	// until the last of them was read where they come from Postgres. Load is how much of
	// it the load took that was made for this read. Of the keys that one LoadMany brought,
	// the first alone has it.
	Took, Load time.Duration
	// Age is how long ago the answer was loaded, 0 if it was loaded for this read. It
	// says nothing about how old the answer is: an older one may be as good as new.
	Age time.Duration
	// Err is what the reader was told, Policy.NotFound included. What goes wrong with
	// rows that are in memory, a destination of another type for instance, is told to the
	// reader alone.
	Err error
}

// LogValue implements slog.LogValuer: what there is to say, in a group.
func (r Read) LogValue() slog.Value {
	said := []slog.Attr{slog.String("outcome", r.Outcome.String())}
	for _, text := range []slog.Attr{slog.String("name", r.Name), slog.String("sql", r.SQL), slog.String("reason", r.Reason)} {
		if text.Value.String() != "" {
			said = append(said, text)
		}
	}
	said = append(said, slog.Duration("took", r.Took))
	for _, part := range []slog.Attr{slog.Duration("load", r.Load), slog.Duration("age", r.Age)} {
		if part.Value.Duration() != 0 {
			said = append(said, part)
		}
	}
	if r.Err != nil {
		said = append(said, slog.String("error", r.Err.Error()))
	}
	return slog.GroupValue(said...)
}

// The reasons for which a statement is answered by Postgres, beside those of its meaning.
const (
	passedClosed    = "closed"
	passedBypass    = "bypass"
	passedEnded     = "context_ended"
	passedNotReady  = "not_ready"
	passedMode      = "query_mode"
	passedUnknown   = "not_understood_yet"
	passedArguments = "arguments"
	passedUnproven  = "unproven"
	passedState     = "connection_state"
	passedLarge     = "too_large"
	passedLookup    = "lookup_failed"
	passedOutdated  = "statement_outdated"
	passedHeld      = "connection_held"
)

// The reasons for which what a function loads is for one reader alone, beside those of what
// it reads.
const (
	aloneBypass   = "the context asks for it: Bypass"
	aloneUnproven = "no look at the database came in time to prove what is kept"
	aloneVain     = "answers could not be kept lately, so most loads wait for nobody"
	aloneClosed   = "the cache is closed"
	aloneNotReady = "the database is not followed yet"
	aloneShaped   = "the answer that is kept is of another type with the same name"
)

// course is how a read was answered, as far as those know who answered it.
type course struct {
	outcome   Outcome
	reason    string
	load, age time.Duration
}

// kept is the course of a read that an entry answers.
func kept(by Outcome, e *engine.Entry) course { return course{outcome: by, age: e.Age(fence.Now())} }

// observing tells OnRead of one statement when it has been read.
type observing struct {
	tell  func(context.Context, Read)
	ctx   context.Context
	began fence.Instant
	read  Read
}

// observe begins to observe a statement, if anybody wants to know.
func (db *DB) observe(ctx context.Context, sql string) observing {
	if db.cache.onRead == nil {
		return observing{}
	}
	return observing{tell: db.cache.onRead, ctx: ctx, began: fence.Now(), read: Read{SQL: sql}}
}

// answered tells of rows that answer the statement, or will do when the last of them has
// come.
func (o *observing) answered(r *rows, c course) {
	if o.tell == nil {
		return
	}
	o.take(c)
	if r.more != nil {
		r.observed = o.held()
		return
	}
	err := r.early
	if err == nil {
		err = r.end
	}
	o.end(err)
}

// passes says that Postgres answers the statement, because of a reason. What it returns is
// to be told of the end; nil if nobody wants to know.
func (o *observing) passes(reason string) *observing {
	if o.tell == nil {
		return nil
	}
	o.take(course{outcome: OutcomeNotKept, reason: reason})
	return o.held()
}

func (o *observing) take(c course) {
	o.read.Outcome, o.read.Reason, o.read.Load, o.read.Age = c.outcome, c.reason, c.load, c.age
}

// held is the observation in memory of its own: those of hits need none.
func (o *observing) held() *observing {
	held := *o
	return &held
}

// end tells of the end, once.
func (o *observing) end(err error) {
	if o == nil || o.tell == nil {
		return
	}
	o.read.Took = fence.Now().Sub(o.began)
	if o.read.Err = err; err != nil && !errors.Is(err, pgx.ErrNoRows) {
		o.read.Outcome = OutcomeFailed
	}
	tell := o.tell
	o.tell = nil
	tell(o.ctx, o.read)
}

// observed tells of a read of one key, and is what its reader gets.
func (w *wrapped[K, V]) observed(ctx context.Context, began fence.Instant, r result[V]) (V, error) {
	c := r.course
	if c.outcome != OutcomeStale && w.failed(r.err) {
		c.outcome = OutcomeFailed
	}
	w.cache.outcomes.note(c)
	if tell := w.cache.onRead; tell != nil {
		tell(ctx, Read{Name: w.name, Outcome: c.outcome, Reason: c.reason, Took: fence.Now().Sub(began), Load: c.load, Age: c.age, Err: r.err})
	}
	return r.value, r.err
}

// observeHit tells of a hit in memory.
func (w *wrapped[K, V]) observeHit(ctx context.Context, began fence.Instant, e *engine.Entry, err error) {
	now := fence.Now()
	w.cache.onRead(ctx, Read{Name: w.name, Outcome: OutcomeHit, Took: now.Sub(began), Age: e.Age(now), Err: err})
}

// observed tells of the keys that one GetMany brought: of each, or of its failure.
func (m *many[K, V]) observed(ctx context.Context, began fence.Instant, err error) {
	if err != nil {
		m.cache.outcomes.note(course{outcome: OutcomeFailed})
	}
	tell := m.cache.onRead
	if tell == nil {
		return
	}
	took := fence.Now().Sub(began)
	if err != nil {
		tell(ctx, Read{Name: m.name, Outcome: OutcomeFailed, Took: took, Err: err})
		return
	}
	for _, c := range m.courses {
		tell(ctx, Read{Name: m.name, Outcome: c.outcome, Reason: c.reason, Took: took, Load: c.load, Age: c.age})
	}
}

// notesEntry notes that an entry answered a key: hits in memory are counted already.
func (m *many[K, V]) notesEntry(by Outcome, e *engine.Entry) {
	if by != OutcomeHit {
		m.cache.outcomes.note(course{outcome: by})
	}
	if m.cache.onRead != nil {
		m.courses = append(m.courses, kept(by, e))
	}
}

// notes notes how keys were answered.
func (m *many[K, V]) notes(c ...course) {
	for _, one := range c {
		m.cache.outcomes.note(one)
	}
	if m.cache.onRead != nil {
		m.courses = append(m.courses, c...)
	}
}
