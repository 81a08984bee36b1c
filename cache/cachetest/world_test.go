package cachetest_test

import (
	"context"
	"errors"
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
