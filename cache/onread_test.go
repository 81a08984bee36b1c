package cache_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
)

// listener hears of reads.
type listener struct {
	mu    sync.Mutex
	reads []cache.Read
}

func (l *listener) hear(_ context.Context, r cache.Read) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = append(l.reads, r)
}

// of returns what was heard of the reads of f, and forgets the rest.
func (l *listener) of(f func()) []cache.Read {
	l.mu.Lock()
	l.reads = nil
	l.mu.Unlock()
	f()
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]cache.Read(nil), l.reads...)
}

// one is of what one read was told.
func (l *listener) one(t *testing.T, outcome cache.Outcome, f func()) cache.Read {
	t.Helper()
	reads := l.of(f)
	if len(reads) != 1 || reads[0].Outcome != outcome {
		t.Fatalf("heard %+v, want one that is %v", reads, outcome)
	}
	r := reads[0]
	if r.Took <= 0 || r.Load < 0 || r.Load > r.Took || r.Age < 0 || (r.Err != nil) != (outcome == cache.OutcomeFailed) {
		t.Errorf("heard %+v", r)
	}
	return r
}

// listened is a DB that is listened to.
func listened(t *testing.T, change func(*cache.Options)) (*opened, *listener) {
	l := &listener{}
	return openDB(t, shopSchema, func(_ *pgxpool.Config, o *cache.Options) {
		o.OnRead = l.hear
		if change != nil {
			change(o)
		}
	}), l
}

func TestOnReadOfStatements(t *testing.T) {
	t.Parallel()
	o, l := listened(t, func(o *cache.Options) { o.EntryMax = 4096 })
	ctx := t.Context()
	const text = "SELECT name FROM public.authors WHERE id = $1"
	read := func() { o.name(t, ctx, 1) }
	if r := l.one(t, cache.OutcomeLoaded, read); r.SQL != text || r.Name != "" || r.Reason != "" || r.Load == 0 || r.Age != 0 {
		t.Errorf("a load: %+v", r)
	}
	if r := l.one(t, cache.OutcomeHit, read); r.SQL != text || r.Load != 0 || r.Age == 0 {
		t.Errorf("a hit: %+v", r)
	}
	if r := l.one(t, cache.OutcomeNotKept, func() { o.name(t, cache.Bypass(ctx), 1) }); r.Reason != "bypass" {
		t.Errorf("a bypass: %+v", r)
	}
	if r := l.one(t, cache.OutcomeNotKept, func() { told(ctx, o, "SELECT now()") }); r.Reason == "" {
		t.Errorf("now(): %+v", r)
	}
	if r := l.one(t, cache.OutcomeNotKept, func() { told(ctx, o, text, pgx.QueryExecModeExec, int64(1)) }); r.Reason != "query_mode" {
		t.Errorf("a mode of pgx: %+v", r)
	}
	// It is too large to be kept, and still tells of its end once.
	if r := l.one(t, cache.OutcomeNotKept, func() { told(ctx, o, "SELECT * FROM public.authors a, public.books b") }); r.Reason != "too_large" {
		t.Errorf("too large: %+v", r)
	}
	l.one(t, cache.OutcomeFailed, func() { told(ctx, o, "SELECT 1 / (id - 1) FROM public.authors WHERE id = $1", int64(1)) })
	l.one(t, cache.OutcomeFailed, func() { told(ctx, o, "SELECT nothing FROM public.authors") })
	none := func() {
		if err := o.QueryRow(cache.Bypass(ctx), text, -1).Scan(new(string)); !errors.Is(err, pgx.ErrNoRows) {
			t.Error(err)
		}
	}
	if reads := l.of(none); len(reads) != 1 || reads[0].Outcome != cache.OutcomeNotKept || !errors.Is(reads[0].Err, pgx.ErrNoRows) {
		t.Errorf("no row: %+v", reads)
	}
	in := func() {
		tx, err := o.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		told(ctx, tx, text, int64(1))
		if err := tx.Rollback(ctx); err != nil {
			t.Error(err)
		}
	}
	if reads := l.of(in); len(reads) != 0 {
		t.Errorf("in a transaction: %+v", reads)
	}
	o.Close()
	if r := l.one(t, cache.OutcomeNotKept, read); r.Reason != "closed" {
		t.Errorf("closed: %+v", r)
	}
}

func TestOnReadOverSQL(t *testing.T) {
	t.Parallel()
	o, l := listened(t, nil)
	handle := cache.OpenSQL(o.DB)
	t.Cleanup(func() { _ = handle.Close() })
	read := func(from interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}) func() {
		return func() {
			var name string
			if err := from.QueryRowContext(t.Context(), "SELECT name FROM public.authors WHERE id = $1", 1).Scan(&name); err != nil {
				t.Error(err)
			}
		}
	}
	l.one(t, cache.OutcomeLoaded, read(handle))
	l.one(t, cache.OutcomeHit, read(handle))
	l.one(t, cache.OutcomeFailed, func() {
		if rows, err := handle.QueryContext(t.Context(), "SELECT nothing"); err == nil {
			_ = rows.Close()
			t.Error("no error")
		}
	})
	conn, err := handle.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SET search_path = public"); err != nil {
		t.Fatal(err)
	}
	if r := l.one(t, cache.OutcomeNotKept, read(conn)); r.Reason != "connection_held" {
		t.Errorf("behind a SET: %+v", r)
	}
	tx, err := handle.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if reads := l.of(read(tx)); len(reads) != 0 {
		t.Errorf("in a transaction: %+v", reads)
	}
}

// functions are the reads that have a name.
func functions(reads []cache.Read) (named []cache.Read) {
	for _, r := range reads {
		if r.Name != "" {
			named = append(named, r)
		}
	}
	return named
}

func TestOnReadOfFunctions(t *testing.T) {
	t.Parallel()
	o, l := listened(t, nil)
	a := &authors{db: o.DB}
	broken := errors.New("broken")
	fails := false
	author := cache.NewRepository(o.DB, "author", func(ctx context.Context, id int64) (writer, error) {
		if fails {
			return writer{}, broken
		}
		return a.byID(ctx, id)
	}, cache.Policy[int64, writer]{NotFound: errNoAuthor, Grace: time.Hour})
	one := func(outcome cache.Outcome, want error, f func() error) cache.Read {
		t.Helper()
		reads := functions(l.of(func() {
			if err := f(); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}))
		if len(reads) != 1 || reads[0].Outcome != outcome || reads[0].Name != "author" || reads[0].SQL != "" || !errors.Is(reads[0].Err, want) {
			t.Fatalf("heard %+v, want one that is %v", reads, outcome)
		}
		return reads[0]
	}
	get := func(ctx context.Context, id int64) func() error {
		return func() error {
			_, err := author.Get(ctx, id)
			return err
		}
	}
	ctx := t.Context()
	if r := one(cache.OutcomeLoaded, nil, get(ctx, 1)); r.Load == 0 || r.Load > r.Took || r.Age != 0 {
		t.Errorf("a load: %+v", r)
	}
	if r := one(cache.OutcomeHit, nil, get(ctx, 1)); r.Load != 0 || r.Age == 0 || r.Took <= 0 {
		t.Errorf("a hit: %+v", r)
	}
	one(cache.OutcomeLoaded, errNoAuthor, get(ctx, 1000))
	one(cache.OutcomeHit, errNoAuthor, get(ctx, 1000))
	if r := one(cache.OutcomeNotKept, nil, get(cache.Bypass(ctx), 1)); !strings.Contains(r.Reason, "Bypass") {
		t.Errorf("a bypass: %+v", r)
	}
	one(cache.OutcomeLoaded, nil, func() error {
		_, err := author.Refresh(ctx, 1)
		return err
	})
	fails = true
	one(cache.OutcomeFailed, broken, get(ctx, 2))
	o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 1")
	if r := one(cache.OutcomeStale, broken, get(ctx, 1)); r.Age == 0 {
		t.Errorf("an old value: %+v", r)
	}
}

// Of a function whose loads may not be kept, the reason is told that Stats says.
func TestOnReadSaysWhyNothingIsKept(t *testing.T) {
	t.Parallel()
	o, l := listened(t, nil)
	clock := cache.Wrap(o.DB, "clock", func(ctx context.Context, _ int) (at time.Time, err error) {
		err = o.QueryRow(ctx, "SELECT now()").Scan(&at)
		return at, err
	})
	reads := l.of(func() {
		if _, err := clock(t.Context(), 1); err != nil {
			t.Error(err)
		}
	})
	if len(reads) != 2 || reads[0].SQL != "SELECT now()" || reads[1].Name != "clock" {
		t.Fatalf("%+v", reads)
	}
	if r := reads[1]; r.Outcome != cache.OutcomeNotKept || r.Reason == "" || r.Reason != o.Stats().Functions["clock"].NotKept {
		t.Errorf("%+v", r)
	}
}

// Each key of a GetMany is a read, and a load of many is counted once.
func TestOnReadOfMany(t *testing.T) {
	t.Parallel()
	heard := &listener{}
	first, second, _ := twoDBs(t, func(o *cache.Options) { o.OnRead = heard.hear })
	a := &authors{db: first.DB}
	before := first.Stats().Published
	if _, err := cache.NewRepository(first.DB, "author", a.byID, manyAuthors(a)).GetMany(t.Context(), []int64{1, 2}); err != nil {
		t.Fatal(err)
	}
	published(t, first, before+2)
	b := &authors{db: second.DB}
	policy := manyAuthors(b)
	author := cache.NewRepository(second.DB, "author", b.byID, policy)
	if _, err := author.Get(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	got := map[cache.Outcome]int{}
	loads := 0
	for _, r := range functions(heard.of(func() {
		if _, err := author.GetMany(t.Context(), []int64{1, 2, 3, 4, 5, 6}); err != nil {
			t.Error(err)
		}
	})) {
		got[r.Outcome]++
		if r.Load > 0 {
			loads++
		}
	}
	if len(got) != 3 || got[cache.OutcomeHit] != 1 || got[cache.OutcomeRemote] != 2 || got[cache.OutcomeLoaded] != 3 || loads != 1 {
		t.Errorf("heard %v, %d loads", got, loads)
	}
}
