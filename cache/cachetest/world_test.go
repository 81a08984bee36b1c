package cachetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/cachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// price is a wrapped function of a world, whose values are the test's.
type price struct {
	*cachetest.World
	cents, loads int
	get          func(context.Context, int) (int, error)
}

func newPrice(t *testing.T, o cache.Options) *price {
	p := &price{World: cachetest.New(t, o), cents: 1}
	p.get = cache.Wrap(p.DB(), "price", func(context.Context, int) (int, error) {
		p.loads++
		return p.cents, nil
	}, cache.Policy[int, int]{DependsOn: func(id, _ int) []cache.Dependency {
		return []cache.Dependency{cache.Row("shop.prices", "id", id)}
	}})
	return p
}

func (p *price) want(t *testing.T, cents, loads int) {
	t.Helper()
	got, err := p.get(t.Context(), 1)
	if err != nil || got != cents || p.loads != loads {
		t.Fatalf("%d, %v, %d loads; want %d, %d", got, err, p.loads, cents, loads)
	}
}

func TestCommitIsSeenWithALook(t *testing.T) {
	t.Parallel()
	p := newPrice(t, cache.Options{Staleness: time.Hour})
	p.want(t, 1, 1)
	p.want(t, 1, 1)
	for i, d := range []cache.Dependency{cache.Row("shop.prices", "id", 1), cache.Table("shop.prices")} {
		before := p.cents
		p.cents++
		p.Commit(d)
		p.want(t, before, 1+i) // within the staleness
		p.Look()
		p.want(t, before+1, 2+i)
	}
	p.Commit(cache.Row("shop.prices", "id", 2), cache.Tag("rates"))
	p.Look()
	p.want(t, 3, 3)
}

func TestTimePasses(t *testing.T) {
	t.Parallel()
	p := newPrice(t, cache.Options{Staleness: time.Minute})
	p.want(t, 1, 1)
	p.cents = 2
	p.Commit(cache.Row("shop.prices", "id", 1))
	p.Advance(59 * time.Second / 2)
	p.want(t, 1, 1)
	p.Advance(time.Minute)
	p.want(t, 2, 2) // what is older than the bound has to be proven
	p.Lose(true)
	p.Advance(time.Hour)
	p.want(t, 2, 3)
	p.want(t, 2, 4) // nothing is proven: each read loads
	p.Lose(false)
}

// complaints are a test that hears of failures and goes on.
type complaints struct {
	testing.TB
	said []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// basket is a value that has parts.
type basket struct {
	Items []*item
	ByTag map[string][]int
	at    time.Time
	ratio float64
	self  *basket
}

type item struct{ Count int }

func newBasket() *basket {
	return &basket{Items: []*item{{1}, {2}}, ByTag: map[string][]int{"a": {1}, "b": {2}}, at: time.Now(), ratio: 0.5}
}

// Who changes a value that all share is found, whatever he changes.
func TestChangedValuesAreFound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*basket){
		"nothing":     func(*basket) {},
		"an element":  func(b *basket) { b.Items[1].Count = 7 },
		"a pointer":   func(b *basket) { b.Items[0] = nil },
		"a map":       func(b *basket) { b.ByTag["c"] = nil },
		"in a map":    func(b *basket) { b.ByTag["a"][0] = 2 },
		"a time":      func(b *basket) { b.at = b.at.Add(time.Hour) },
		"a number":    func(b *basket) { b.ratio = 0.25 },
		"the slice":   func(b *basket) { b.Items = b.Items[:1] },
		"beyond":      func(b *basket) { b.self, b.ratio = nil, 7 },
		"and a clone": func(b *basket) { *b = basket{} },
	} {
		heard := &complaints{TB: t}
		p := cache.Policy[int, *basket]{DependsOn: func(id int, _ *basket) []cache.Dependency {
			return []cache.Dependency{cache.Row("shop.baskets", "id", id)}
		}}
		if name == "and a clone" {
			p.Clone = func(*basket) *basket { return newBasket() }
		}
		baskets := cache.NewRepository(cachetest.New(heard, cache.Options{Staleness: time.Hour}).DB(), "basket", func(context.Context, int) (*basket, error) {
			b := newBasket()
			if name == "beyond" {
				b.self = b // it has no end, and is not watched
			}
			return b, nil
		}, p)
		got, err := baskets.Get(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		change(got)
		for _, read := range []func() error{
			func() error { _, err := baskets.Get(t.Context(), 1); return err },
			func() error { _, err := baskets.GetMany(t.Context(), []int{1}); return err },
		} {
			heard.said = nil
			if err := read(); err != nil {
				t.Fatal(err)
			}
			if found, want := len(heard.said) > 0, name != "nothing" && name != "and a clone" && name != "beyond"; found != want {
				t.Errorf("%s: heard %q", name, heard.said)
			}
		}
	}
}

// stand is a database of one answer.
type stand struct {
	cache.Querier
	asked int
}

func (s *stand) QueryRow(context.Context, string, ...any) pgx.Row {
	s.asked++
	return seven{}
}

type seven struct{}

func (seven) Scan(to ...any) error {
	*to[0].(*int) = 7
	return nil
}

func TestPassKeepsNothing(t *testing.T) {
	t.Parallel()
	s := &stand{}
	db := cachetest.Pass(t, s)
	<-db.Ready()
	get := cache.Wrap(db, "seven", func(ctx context.Context, _ int) (n int, err error) {
		err = db.QueryRow(ctx, "SELECT 7").Scan(&n)
		return n, err
	})
	for range 2 {
		if n, err := get(t.Context(), 1); err != nil || n != 7 {
			t.Fatal(n, err)
		}
	}
	if s.asked != 2 {
		t.Errorf("asked %d times", s.asked)
	}
}

func TestStatementsOfAWorldFail(t *testing.T) {
	t.Parallel()
	db := cachetest.New(t, cache.Options{}).DB()
	var n int
	if err := db.QueryRow(t.Context(), "SELECT 1").Scan(&n); !errors.Is(err, cache.ErrNoDatabase) {
		t.Error(err)
	}
	if _, err := db.Query(t.Context(), "SELECT 1"); !errors.Is(err, cache.ErrNoDatabase) {
		t.Error(err)
	}
	if _, err := db.Exec(t.Context(), "SELECT 1"); !errors.Is(err, cache.ErrNoDatabase) {
		t.Error(err)
	}
	if _, err := db.Begin(t.Context()); !errors.Is(err, cache.ErrNoDatabase) {
		t.Error(err)
	}
	var b pgx.Batch
	b.Queue("SELECT 1")
	if err := db.SendBatch(t.Context(), &b).Close(); !errors.Is(err, cache.ErrNoDatabase) {
		t.Error(err)
	}
}
