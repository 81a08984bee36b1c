package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// churn is a fleet whose processes read all the time through Redis, while one
// commits, and who check every answer: a read never lacks a commit that was
// acknowledged before it began.
type churn struct {
	database       *database
	members        []*member
	reads, commits atomic.Int64
	stop           context.CancelFunc
	workers        sync.WaitGroup
}

func startChurn(t *testing.T, url string) *churn {
	t.Helper()
	c := &churn{}
	c.database, c.members = fleet(t, 2, redis.Options{URL: url, Timeout: 200 * time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	for _, m := range c.members {
		c.workers.Go(func() { c.read(ctx, t, m) })
	}
	c.workers.Go(func() { c.write(ctx) })
	t.Cleanup(func() {
		stop()
		c.workers.Wait()
	})
	return c
}

func (c *churn) read(ctx context.Context, t *testing.T, m *member) {
	hash := m.cache.Hash([]byte(numberKey))
	for ctx.Err() == nil {
		// Without its own copy, so that it asks Redis.
		m.cache.memory.Del(hash)
		least := c.database.read()
		var s fence.Session
		s.Received(fence.Now())
		value, err := m.get(context.Background(), &s)
		if err != nil || value < least {
			t.Errorf("read %d, %v; %d was committed before", value, err, least)
			return
		}
		c.reads.Add(1)
	}
}

// write commits a few hundred times a second.
func (c *churn) write(ctx context.Context) {
	for sleep(ctx, 3*time.Millisecond) {
		c.database.commit()
		c.commits.Add(1)
	}
}

// goesOn waits for many reads, some answered by Redis.
func (c *churn) goesOn(t *testing.T) {
	t.Helper()
	reads, fetched := c.reads.Load(), c.fetched()
	world.Until(t, "reads go on", func() bool { return t.Failed() || c.reads.Load() > reads+100 && c.fetched() > fetched })
}

// alone waits for reads without any from Redis.
func (c *churn) alone(t *testing.T) {
	t.Helper()
	reads := c.reads.Load()
	world.Until(t, "reads go on", func() bool { return t.Failed() || c.reads.Load() > reads+100 })
}

func (c *churn) fetched() (sum uint64) {
	for _, m := range c.members {
		sum += m.cache.Stats().Fetched
	}
	return sum
}

func (c *churn) end(t *testing.T) {
	t.Helper()
	c.stop()
	c.workers.Wait()
	var unusable, published uint64
	for _, m := range c.members {
		unusable += m.cache.Stats().Unusable
		published += m.cache.Stats().Published
	}
	t.Logf("%d reads over %d commits: %d from Redis, %d refused, %d published", c.reads.Load(), c.commits.Load(), c.fetched(), unusable, published)
}

// A dump is restored that is older than what was written since.
func TestRestoredDump(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	c := startChurn(t, server.URL())
	c.goesOn(t)
	admin := redistest.Client(t, server.URL())
	if err := admin.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	c.goesOn(t)
	server.Kill()
	c.alone(t)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := admin.DBSize(t.Context()).Result(); err != nil || n == 0 {
		t.Fatalf("the dump was not restored: %d keys, %v", n, err)
	}
	c.goesOn(t)
	c.end(t)
}

// Sentinels make a replica the master that lacks what was written for a while.
func TestFailoverToALaggingReplica(t *testing.T) {
	t.Parallel()
	group := servers.StartSentinel(t)
	c := startChurn(t, group.URL())
	c.goesOn(t)
	replica := redistest.Store(t, redis.Options{URL: group.Replica().URL()})
	world.Until(t, "the replica has an entry", func() bool {
		_, _, ok := replica.Get(t.Context(), numberName)
		return ok
	})
	if err := group.Sever(); err != nil {
		t.Fatal(err)
	}
	c.goesOn(t)
	group.Master().Kill()
	c.alone(t)
	if err := group.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.goesOn(t)
	c.end(t)
}

func TestClusterLosesANodeAndMovesSlots(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t, 3)
	c := startChurn(t, cluster.URL())
	c.goesOn(t)
	owner, slot, err := cluster.Owner(numberName)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		to := (owner + 1) % 3
		if err := cluster.MoveSlot(slot, owner, to); err != nil {
			t.Fatal(err)
		}
		owner = to
		c.goesOn(t)
	}
	cluster.Nodes()[owner].Kill()
	c.alone(t)
	if err := cluster.Nodes()[owner].Start(); err != nil {
		t.Fatal(err)
	}
	c.goesOn(t)
	c.end(t)
}

// Redis stops and goes on, again and again, and what was on its way arrives late.
func TestRedisStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	c := startChurn(t, server.URL())
	for range 3 {
		c.goesOn(t)
		if err := server.Pause(); err != nil {
			t.Fatal(err)
		}
		c.alone(t)
		if err := server.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	c.goesOn(t)
	c.end(t)
}
