package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/viccon/sturdyc"

	"github.com/freshet/freshet/cache"
)

// A loadFunc reads the one value from Postgres.
type loadFunc func(context.Context) (int, error)

// A contender is one process' cache of the one value, used as its documentation says.
type contender interface {
	read(ctx context.Context) (int, error)
	// wrote is what a writer has to do after its UPDATE.
	wrote(ctx context.Context) error
	close()
}

// place is where the contenders of a race find what they share.
type place struct {
	postgres string // DSN
	// messages is where what tells them of writes comes through: for Freshet its
	// follower's way to Postgres, for the others Redis. It can be cut.
	messages *link
	redis    string // address, behind messages
	prefix   string // of the keys of this race
}

// entrant makes contenders.
type entrant struct {
	name string
	// make makes a contender whose loads go through held.
	make func(ctx context.Context, at place, held func(loadFunc) loadFunc) (contender, error)
	// follows says that its messages come from Postgres.
	follows bool
}

var entrants = []entrant{
	{"Freshet, Wrap", enterFreshet, true},
	{"Ristretto, Get, load and Set", loading(enterRistretto), false},
	{"Otter v2, Get with a loader", loading(enterOtter), false},
	{"theine, loading cache", loading(enterTheine), false},
	{"sturdyc, GetOrFetch", loading(enterSturdyc), false},
	{"go-redis/cache, Once", loading(enterRedisCache), false},
	{"rueidis, DoCache and SET", loading(enterRueidis), false},
}

// loading gives a contender a pool of its own to load from.
func loading(enter func(context.Context, place, loadFunc) (contender, error)) func(context.Context, place, func(loadFunc) loadFunc) (contender, error) {
	return func(ctx context.Context, at place, held func(loadFunc) loadFunc) (contender, error) {
		pool, err := pgxpool.New(ctx, at.postgres)
		if err != nil {
			return nil, err
		}
		c, err := enter(ctx, at, held(func(ctx context.Context) (v int, err error) {
			err = pool.QueryRow(ctx, valueSQL).Scan(&v)
			return v, err
		}))
		return &pooled{c, pool}, err
	}
}

const valueSQL = "SELECT cents FROM public.prices WHERE id = 1"

// pooled is a contender and what it loads from.
type pooled struct {
	contender
	pool *pgxpool.Pool
}

func (p *pooled) close() {
	p.contender.close()
	p.pool.Close()
}

// freshetContender is Freshet: its writer has nothing to do.
type freshetContender struct {
	db    *cache.DB
	pool  *pgxpool.Pool
	value func(context.Context, string) (int, error)
}

func enterFreshet(ctx context.Context, at place, held func(loadFunc) loadFunc) (contender, error) {
	pool, err := pgxpool.New(ctx, at.postgres)
	if err != nil {
		return nil, err
	}
	// It follows the database through the link, and loads past it.
	follow := pool.Config().ConnConfig.Copy()
	host, port, err := net.SplitHostPort(at.messages.address())
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	follow.Host, follow.Port, follow.Fallbacks = host, uint16(number), nil
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}, Follow: follow})
	if err != nil {
		return nil, err
	}
	select {
	case <-db.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	load := held(func(ctx context.Context) (v int, err error) {
		err = db.QueryRow(ctx, valueSQL).Scan(&v)
		return v, err
	})
	value := cache.Wrap(db, "value", func(ctx context.Context, _ string) (int, error) { return load(ctx) })
	return &freshetContender{db, pool, value}, nil
}

func (c *freshetContender) read(ctx context.Context) (int, error) { return c.value(ctx, onlyKey) }

func (c *freshetContender) wrote(context.Context) error { return nil }

func (c *freshetContender) close() {
	c.db.Close()
	c.pool.Close()
}

const (
	onlyKey = "the value"
	life    = time.Hour
)

type ristrettoContender struct {
	cache *ristretto.Cache[string, int]
	load  loadFunc
}

func enterRistretto(_ context.Context, _ place, load loadFunc) (contender, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, int]{NumCounters: 1000, MaxCost: 100, BufferItems: 64})
	return &ristrettoContender{c, load}, err
}

func (c *ristrettoContender) read(ctx context.Context) (int, error) {
	if v, ok := c.cache.Get(onlyKey); ok {
		return v, nil
	}
	v, err := c.load(ctx)
	if err == nil {
		c.cache.Set(onlyKey, v, 1)
		c.cache.Wait()
	}
	return v, err
}

func (c *ristrettoContender) wrote(context.Context) error {
	c.cache.Del(onlyKey)
	c.cache.Wait()
	return nil
}

func (c *ristrettoContender) close() { c.cache.Close() }

type otterContender struct {
	cache *otter.Cache[string, int]
	load  loadFunc
}

func enterOtter(_ context.Context, _ place, load loadFunc) (contender, error) {
	c, err := otter.New(&otter.Options[string, int]{MaximumSize: 100})
	return &otterContender{c, load}, err
}

func (c *otterContender) read(ctx context.Context) (int, error) {
	return c.cache.Get(ctx, onlyKey, otter.LoaderFunc[string, int](func(ctx context.Context, _ string) (int, error) { return c.load(ctx) }))
}

func (c *otterContender) wrote(context.Context) error {
	c.cache.Invalidate(onlyKey)
	return nil
}

func (c *otterContender) close() { c.cache.InvalidateAll() }

type theineContender struct {
	cache *theine.LoadingCache[string, int]
}

func enterTheine(_ context.Context, _ place, load loadFunc) (contender, error) {
	c, err := theine.NewBuilder[string, int](100).BuildWithLoader(func(ctx context.Context, _ string) (theine.Loaded[int], error) {
		v, err := load(ctx)
		return theine.Loaded[int]{Value: v, Cost: 1, TTL: life}, err
	})
	return &theineContender{c}, err
}

func (c *theineContender) read(ctx context.Context) (int, error) { return c.cache.Get(ctx, onlyKey) }

func (c *theineContender) wrote(context.Context) error {
	c.cache.Delete(onlyKey)
	return nil
}

func (c *theineContender) close() { c.cache.Close() }

type sturdycContender struct {
	cache *sturdyc.Client[int]
	load  loadFunc
}

func enterSturdyc(_ context.Context, _ place, load loadFunc) (contender, error) {
	return &sturdycContender{sturdyc.New[int](100, 1, life, 10), load}, nil
}

func (c *sturdycContender) read(ctx context.Context) (int, error) {
	return c.cache.GetOrFetch(ctx, onlyKey, sturdyc.FetchFn[int](c.load))
}

func (c *sturdycContender) wrote(context.Context) error {
	c.cache.Delete(onlyKey)
	return nil
}

func (c *sturdycContender) close() {}

// redisTimeout is how long a call to a Redis may take that is cut off.
const redisTimeout = 200 * time.Millisecond

type redisCacheContender struct {
	client *goredis.Client
	cache  *rediscache.Cache
	key    string
	load   loadFunc
}

func enterRedisCache(_ context.Context, at place, load loadFunc) (contender, error) {
	client := goredis.NewClient(&goredis.Options{Addr: at.redis, DialTimeout: redisTimeout, ReadTimeout: redisTimeout, MaxRetries: -1})
	c := rediscache.New(&rediscache.Options{Redis: client, LocalCache: rediscache.NewTinyLFU(100, time.Minute)})
	return &redisCacheContender{client, c, at.prefix + onlyKey, load}, nil
}

func (c *redisCacheContender) read(ctx context.Context) (v int, err error) {
	err = c.cache.Once(&rediscache.Item{Ctx: ctx, Key: c.key, Value: &v, TTL: life, Do: func(i *rediscache.Item) (any, error) { return c.load(i.Context()) }})
	return v, err
}

func (c *redisCacheContender) wrote(ctx context.Context) error { return c.cache.Delete(ctx, c.key) }

func (c *redisCacheContender) close() { _ = c.client.Close() }

// rueidisContender does what rueidisaside is about, with rueidis itself: values in
// Redis, a copy in each process, of whose end Redis tells.
type rueidisContender struct {
	client rueidis.Client
	key    string
	load   loadFunc
	flight sync.Mutex
}

func enterRueidis(_ context.Context, at place, load loadFunc) (contender, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{at.redis}, ConnWriteTimeout: redisTimeout})
	return &rueidisContender{client: client, key: at.prefix + onlyKey, load: load}, err
}

func (c *rueidisContender) read(ctx context.Context) (int, error) {
	if v, ok := c.held(ctx); ok {
		return v, nil
	}
	c.flight.Lock()
	defer c.flight.Unlock()
	if v, ok := c.held(ctx); ok {
		return v, nil
	}
	v, err := c.load(ctx)
	if err == nil {
		c.client.Do(ctx, c.client.B().Set().Key(c.key).Value(strconv.Itoa(v)).Ex(life).Build())
	}
	return v, err
}

func (c *rueidisContender) held(ctx context.Context) (int, bool) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	text, err := c.client.DoCache(ctx, c.client.B().Get().Key(c.key).Cache(), life).ToString()
	if err != nil {
		return 0, false
	}
	v, err := strconv.Atoi(text)
	return v, err == nil
}

func (c *rueidisContender) wrote(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	if err := c.client.Do(ctx, c.client.B().Del().Key(c.key).Build()).Error(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

func (c *rueidisContender) close() { c.client.Close() }
