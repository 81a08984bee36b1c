package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// manyKeys is enough for every node of a Cluster to have some.
const manyKeys = 60

func keyNumber(i int) string { return fmt.Sprintf("freshet:{%d}", i) }

// setAll waits until a store has every key.
func setAll(t *testing.T, s *redis.Store, value string) {
	t.Helper()
	for i := range manyKeys {
		servers.Eventually(t, keyNumber(i)+" is set", func() bool {
			return s.Set(t.Context(), keyNumber(i), []byte(value), time.Hour)
		})
	}
}

// served returns which keys a store has.
func served(s *redis.Store, value string) (keys []int) {
	for i := range manyKeys {
		if v, _, ok := s.Get(context.Background(), keyNumber(i)); ok && string(v) == value {
			keys = append(keys, i)
		}
	}
	return keys
}

// skips waits until every breaker of a node that does not answer is open: who reads all keys
// waits for none of its, and skips them.
func skips(t *testing.T, s *redis.Store) {
	t.Helper()
	servers.Eventually(t, "every breaker of the node is open", func() bool {
		before := s.Stats()
		served(s, "")
		now := s.Stats()
		return now.Errors == before.Errors && now.Skipped > before.Skipped
	})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := servers.StartCluster(t, 3)
	s := redistest.Store(t, redis.Options{URL: cluster.URL()})
	setAll(t, s, "v")
	if got := served(s, "v"); len(got) != manyKeys {
		t.Fatalf("%d keys of %d", len(got), manyKeys)
	}
	contends(t, redistest.Store(t, redis.Options{URL: cluster.URL(), Prefix: prefix(t)}))
	fills(t, redistest.Store(t, redis.Options{URL: cluster.URL(), Prefix: prefix(t)}))
	slotsMove(t, cluster, s)
	nodeHangs(t, cluster)
	nodeDies(t, cluster, s)
}

// fills checks that a batch finds the node of each key.
func fills(t *testing.T, s *redis.Store) {
	t.Helper()
	keys, values, lives := batch(manyKeys)
	for i, ok := range s.SetAll(t.Context(), keys, values, lives) {
		if got, _, found := s.Get(t.Context(), keys[i]); !ok || !found || string(got) != string(values[i]) {
			t.Errorf("%s: %q, %v; taken: %v", keys[i], got, found, ok)
		}
	}
}

// slotsMove moves the slot of a key and checks that it is found, with its lease.
func slotsMove(t *testing.T, cluster *servers.RedisCluster, s *redis.Store) {
	t.Helper()
	const key = "freshet:{1}"
	if _, _, leased, ok := s.Contend(t.Context(), key, []byte("v"), "token", time.Minute); !leased || !ok {
		t.Fatal("no lease")
	}
	from, slot, err := cluster.Owner(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.MoveSlot(slot, from, (from+1)%3); err != nil {
		t.Fatal(err)
	}
	if v, _, ok := s.Get(t.Context(), key); !ok || string(v) != "v" {
		t.Fatalf("after its slot moved %s is %q: %+v", key, v, s.Stats())
	}
	if _, _, leased, ok := s.Contend(t.Context(), key, []byte("v"), "other", time.Minute); leased || !ok {
		t.Fatalf("the lease did not move with its key: %v, %v", leased, ok)
	}
	if !s.Set(t.Context(), key, []byte("v"), time.Minute) {
		t.Fatal("set refused")
	}
}

// nodeHangs stops a node and checks that readers of its keys soon pay nothing,
// and that readers of the others go on.
func nodeHangs(t *testing.T, cluster *servers.RedisCluster) {
	t.Helper()
	const timeout = 100 * time.Millisecond
	s := redistest.Store(t, redis.Options{URL: cluster.URL(), Timeout: timeout})
	setAll(t, s, "w")
	if err := cluster.Nodes()[2].Pause(); err != nil {
		t.Fatal(err)
	}
	skips(t, s)
	if got := len(served(s, "w")); got == 0 || got == manyKeys {
		t.Fatalf("%d keys of %d with one node of three hanging", got, manyKeys)
	}
	if st := s.Stats(); st.State == "closed" || st.Opened == 0 || st.Skipped == 0 {
		t.Fatalf("stats %+v", st)
	}
	if err := cluster.Nodes()[2].Resume(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "all keys are back", func() bool { return len(served(s, "w")) == manyKeys && s.Stats().State == "closed" })
}

func nodeDies(t *testing.T, cluster *servers.RedisCluster, s *redis.Store) {
	t.Helper()
	setAll(t, s, "x")
	cluster.Nodes()[0].Kill()
	if got := len(served(s, "x")); got == 0 || got == manyKeys {
		t.Fatalf("%d keys of %d with one node of three dead", got, manyKeys)
	}
	skips(t, s)
	if err := cluster.Nodes()[0].Start(); err != nil {
		t.Fatal(err)
	}
	setAll(t, s, "y")
	if got := served(s, "y"); len(got) != manyKeys {
		t.Fatalf("%d keys of %d after the node came back", len(got), manyKeys)
	}
}

func TestClusterDownAtStart(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{TCP: true})
	url := fmt.Sprintf("redis-cluster://127.0.0.1:%d,127.0.0.1:%d", server.Port(), server.Port())
	server.Kill()
	s := redistest.Store(t, redis.Options{URL: url, Timeout: 50 * time.Millisecond})
	began := time.Now()
	if _, _, ok := s.Get(t.Context(), "k"); ok || s.Set(t.Context(), "k", []byte("v"), time.Minute) {
		t.Fatal("nobody answered")
	}
	if took := time.Since(began); took > costsNothingMax {
		t.Fatalf("two calls took %v with a timeout of 50 ms", took)
	}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	group := servers.StartSentinel(t)
	s := redistest.Store(t, redis.Options{URL: group.URL()})
	ctx := t.Context()
	if !s.Set(ctx, "k", []byte("old"), time.Hour) {
		t.Fatal("set refused: ", s.Stats())
	}
	contends(t, redistest.Store(t, redis.Options{URL: group.URL(), Prefix: prefix(t)}))
	replica := redistest.Store(t, redis.Options{URL: group.Replica().URL()})
	servers.Eventually(t, "the replica has it", func() bool { _, _, ok := replica.Get(ctx, "k"); return ok })
	if err := group.Sever(); err != nil {
		t.Fatal(err)
	}
	if !s.Set(ctx, "k", []byte("new"), time.Hour) {
		t.Fatal("set refused: ", s.Stats())
	}
	group.Master().Kill()
	for range 20 {
		if v, _, ok := s.Get(ctx, "k"); ok {
			t.Fatalf("%q without a master", v)
		}
	}
	if err := group.Failover(ctx); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the promoted replica answers", func() bool { v, _, ok := s.Get(ctx, "k"); return ok && string(v) == "old" })
	servers.Eventually(t, "it takes writes", func() bool { return s.Set(ctx, "k", []byte("newer"), time.Hour) })
}
