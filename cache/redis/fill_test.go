package redis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// batch is n keys with values and lives.
func batch(n int) (keys []string, values [][]byte, lives []time.Duration) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("{%d}", i))
		values = append(values, []byte(fmt.Sprint(i)))
		lives = append(lives, time.Minute)
	}
	return keys, values, lives
}

func TestSetAll(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	keys, values, lives := batch(100)
	values[3], lives[5] = nil, 0
	taken := s.SetAll(t.Context(), keys, values, lives)
	for i, key := range keys {
		want := i != 3 && i != 5
		got, left, ok := s.Get(t.Context(), key)
		if ok != want || taken[i] != want || ok && (string(got) != string(values[i]) || left > lives[i]) {
			t.Errorf("%s: %q for %v, %v; taken: %v", key, got, left, ok, taken[i])
		}
	}
	if st := s.Stats(); st.Sets != 98 || st.Refused != 2 || st.Errors != 0 {
		t.Fatalf("stats %+v", st)
	}
}

// A batch that one server does not take is one failure of that server, so that one
// pause of it does not keep everybody away.
func TestABatchFailsOnce(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	s := redistest.Store(t, redis.Options{URL: server.URL(), Timeout: 50 * time.Millisecond})
	servers.Eventually(t, "a value is set", func() bool { return s.Set(t.Context(), "k", []byte("v"), time.Minute) })
	before := s.Stats().Errors // of a busy machine
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	keys, values, lives := batch(50)
	for i, ok := range s.SetAll(t.Context(), keys, values, lives) {
		if ok {
			t.Fatalf("a server that hangs took %s", keys[i])
		}
	}
	if st := s.Stats(); st.State != "closed" || st.Errors != before+1 {
		t.Fatalf("stats %+v after one batch", st)
	}
	for range 10 {
		s.SetAll(t.Context(), keys, values, lives)
	}
	if st := s.Stats(); st.State == "closed" {
		t.Fatalf("stats %+v after eleven batches", st)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "batches are taken", func() bool { return s.SetAll(t.Context(), keys[:1], values[:1], lives[:1])[0] })
}
