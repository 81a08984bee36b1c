package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

const (
	someUUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	things   = `CREATE TABLE public.things (id uuid PRIMARY KEY, n bigint UNIQUE, c boolean, name text, note text);
		CREATE VIEW public.seen AS SELECT * FROM public.things;
		INSERT INTO public.things VALUES ('` + someUUID + `', 5, true, 'it''s', 'old')`
)

// bed is a database that is followed, and a cache of it.
type bed struct {
	pool     *pgxpool.Pool
	follower *invalidation.Follower
	cache    *cache.Cache
	log      *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newBed(t *testing.T, setup string, watch ...string) *bed {
	t.Helper()
	server := servers.SharedPostgres(t)
	dsn := server.DSN(server.CreateDatabase(t))
	ctx := context.Background()
	b := &bed{log: &lockedBuffer{}}
	var err error
	if b.pool, err = pgxpool.New(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.pool.Close)
	b.run(t, setup)
	config := b.pool.Config().ConnConfig
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := invalidation.Install(ctx, conn, invalidation.Options{Watch: watch}); err != nil {
		t.Fatal(err)
	}
	rules := fence.New(fence.Options{Slots: 1 << 12})
	if b.follower, err = invalidation.NewFollower(invalidation.FollowerOptions{ConnConfig: config, Fence: rules}); err != nil {
		t.Fatal(err)
	}
	b.cache, err = cache.New(cache.CacheOptions{
		Options: engine.Options{Fence: rules, Confirm: b.follower.Confirm, Staleness: time.Minute},
		Resolve: cache.Watched(b.follower.State),
		Logger:  slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	var services sync.WaitGroup
	services.Go(func() { _ = b.follower.Run(running) })
	services.Go(func() { _ = b.cache.Run(running) })
	t.Cleanup(func() { stop(); services.Wait(); b.cache.Close() })
	b.look(t)
	return b
}

func (b *bed) run(t *testing.T, sql string) {
	t.Helper()
	if _, err := b.pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// look waits until everything that was done is known.
func (b *bed) look(t *testing.T) {
	t.Helper()
	at := fence.Now()
	for deadline := time.Now().Add(time.Minute); b.follower.Confirm(t.Context(), at) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the follower does not look")
		}
	}
}

// loads wraps a function that depends on d, and returns what calls it and says
// whether it had to load.
func (b *bed) loads(t *testing.T, name string, d cache.Dependency) func() bool {
	loads := 0
	f := cache.Wrap(b.cache.DB(), name, func(context.Context, int) (int, error) { loads++; return loads, nil },
		cache.Policy[int, int]{DependsOn: func(int, int) []cache.Dependency { return []cache.Dependency{d} }})
	return func() bool {
		t.Helper()
		before := loads
		if _, err := f(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		return loads > before
	}
}

// The key comes from a URL, and Postgres finds the row by it in whatever spelling;
// the row's tag is moved in one. What was cached under another was stale until its
// TTL.
func TestSpellingOfValues(t *testing.T) {
	t.Parallel()
	type (
		id    int32
		title string
		uuid  [16]byte
	)
	b := newBed(t, things, "public.things(id, n, c, name)")
	raw := uuid{0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11}
	type kept struct {
		spelled string
		load    func() bool
	}
	var all []kept
	for column, values := range map[string][]any{
		"id":   {someUUID, strings.ToUpper(someUUID), strings.ReplaceAll(someUUID, "-", ""), "{" + someUUID + "}", raw, [16]byte(raw)},
		"n":    {5, int8(5), id(5), uint(5), uint8(5), uint64(5), uintptr(5), "5", "05", " 5", "+5"},
		"c":    {true, "true", "t", "TRUE", "on", "1"},
		"name": {"it's", title("it's")},
	} {
		for _, value := range values {
			spelled := fmt.Sprintf("%s %T %v", column, value, value)
			all = append(all, kept{spelled, b.loads(t, spelled, cache.Row("public.things", column, value))})
		}
	}
	for _, k := range all {
		if !k.load() || k.load() {
			t.Errorf("%s: is not kept", k.spelled)
		}
	}
	b.run(t, "INSERT INTO public.things VALUES (gen_random_uuid(), 6, false, 'other', '')")
	b.look(t)
	for _, k := range all {
		if k.load() {
			t.Errorf("%s: ended by another row", k.spelled)
		}
	}
	b.run(t, "UPDATE public.things SET note = 'new' WHERE n = 5")
	b.look(t)
	for _, k := range all {
		if !k.load() {
			t.Errorf("%s: stale after its row changed", k.spelled)
		}
	}
}

// What cannot be a value of the column is the whole table.
func TestValuesOfAnotherType(t *testing.T) {
	t.Parallel()
	b := newBed(t, things, "public.things(id, n, c, name)")
	for _, d := range []cache.Dependency{
		cache.Row("public.things", "id", 5), cache.Row("public.things", "n", "five"), cache.Row("public.things", "n", "0x5"),
		cache.Row("public.things", "n", uint64(1)<<63), cache.Row("public.things", "c", 1), cache.Row("public.things", "n", true),
		cache.Row("public.things", "n", nil), cache.Row("public.things", "name", 5), cache.Row("public.things", "n", 5.0),
		cache.Row("public.things", "name", [16]byte{}), cache.Row("public.things", "id", pgtype.UUID{Valid: true}),
	} {
		name := fmt.Sprintf("%s %T %v", d.Column, d.Value, d.Value)
		load := b.loads(t, name, d)
		if !load() || load() {
			t.Errorf("%s: is not kept", name)
		}
		b.run(t, "UPDATE public.things SET note = note")
		b.look(t)
		if !load() {
			t.Errorf("%s: stale after the table changed", name)
		}
		if len(b.cache.Stats().Functions[name].Problems) != 1 {
			t.Errorf("%s: nothing says so", name)
		}
	}
}

// What is not watched says so once, and what may have been meant.
func TestTypos(t *testing.T) {
	t.Parallel()
	b := newBed(t, things, "public.things(id, n)")
	for name, c := range map[string]struct {
		d    cache.Dependency
		want []string // nil: nothing is wrong
	}{
		"right":      {cache.Row("public.things", "n", 5), nil},
		"own":        {cache.Tag("mine"), nil},
		"no schema":  {cache.Row("things", "n", 5), []string{`"things" is no watched table`, `did you mean "public.things"?`}},
		"table":      {cache.Table("public.thigns"), []string{`"public.thigns"`, `did you mean "public.things"?`}},
		"nothing is": {cache.Table("sales.orders"), []string{`"sales.orders" is no watched table`}},
		"a view":     {cache.Table("public.seen"), []string{`"public.seen" is no watched table`, "view"}},
		"column":     {cache.Row("public.things", "nn", 5), []string{`"nn" is no column of public.things`, `did you mean "n"?`}},
		"nothing":    {cache.Dependency{}, []string{"names nothing"}},
	} {
		load := b.loads(t, name, c.d)
		for range 5 {
			load()
		}
		problems := b.cache.Stats().Functions[name].Problems
		said := slices.DeleteFunc(strings.Split(b.log.String(), "\n"), func(line string) bool {
			return !strings.Contains(line, fmt.Sprintf("function=%q", name)) && !strings.Contains(line, "function="+name+" ")
		})
		if c.want == nil {
			if len(problems) != 0 || len(said) != 0 {
				t.Errorf("%s: problems %q, said %q, want none", name, problems, said)
			}
			continue
		}
		if len(problems) != 1 {
			t.Errorf("%s: problems %q, want one", name, problems)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(problems[0], want) {
				t.Errorf("%s: %q does not say %q", name, problems[0], want)
			}
		}
		if len(said) != 1 {
			t.Errorf("%s: said %d times: %q", name, len(said), said)
		}
	}
}

// A tag of the program's own is moved in the transaction that makes answers wrong.
func TestInvalidate(t *testing.T) {
	t.Parallel()
	b := newBed(t, things, "public.things(id, n)")
	prices, rates := b.loads(t, "prices", cache.Tag("prices")), b.loads(t, "rates", cache.Tag("rates"))
	for range 2 {
		prices()
		rates()
	}
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Invalidate(t.Context(), tx, "prices"); err != nil {
		t.Fatal(err)
	}
	b.look(t)
	if prices() {
		t.Error("ended by what is not committed")
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.look(t)
	if !prices() || rates() {
		t.Error("not ended by its name, or by another")
	}
	if err := cache.Invalidate(t.Context(), b.pool, "rates", "prices"); err != nil {
		t.Fatal(err)
	}
	b.look(t)
	if !prices() || !rates() {
		t.Error("not ended by two names at once")
	}
}
