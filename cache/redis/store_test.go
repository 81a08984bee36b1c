package redis_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	redis.SilenceClient()
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Redis: true}))
}

// prefix returns one that no other run of any test uses.
func prefix(t *testing.T) string { return t.Name() + rand.Text() + ":" }

func TestSetThenGet(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	ctx := t.Context()
	if _, _, ok := s.Get(ctx, "k"); ok {
		t.Fatal("an absent key was found")
	}
	value := bytes.Repeat([]byte{0, 1, 255, '\r', '\n'}, 50_000)
	if !s.Set(ctx, "k", value, time.Minute) {
		t.Fatal("set refused: ", s.Stats())
	}
	if got, _, ok := s.Get(ctx, "k"); !ok || !bytes.Equal(got, value) {
		t.Fatalf("got %d bytes, %v", len(got), ok)
	}
	if st := s.Stats(); st.Gets != 2 || st.Hits != 1 || st.Sets != 1 || st.Errors != 0 || st.State != "closed" {
		t.Fatalf("stats %+v", st)
	}
}

func TestPrefixKeepsUsersApart(t *testing.T) {
	t.Parallel()
	url := servers.SharedRedis(t).URL()
	a := redistest.Store(t, redis.Options{URL: url, Prefix: prefix(t) + "a"})
	b := redistest.Store(t, redis.Options{URL: url, Prefix: prefix(t) + "b"})
	a.Set(t.Context(), "k", []byte("v"), time.Minute)
	if _, _, ok := b.Get(t.Context(), "k"); ok {
		t.Fatal("another prefix's value was found")
	}
}

func TestValueEndsWithItsLife(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	if !s.Set(t.Context(), "k", []byte("v"), 20*time.Millisecond) {
		t.Fatal("set refused")
	}
	servers.Eventually(t, "the value expires", func() bool { _, _, ok := s.Get(t.Context(), "k"); return !ok })
	if s.Set(t.Context(), "k", []byte("v"), 0) {
		t.Fatal("a value without a life was set")
	}
}

func TestRefusesValuesThatAreNotForRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	if s.Set(t.Context(), "k", nil, time.Minute) || s.Set(t.Context(), "k", make([]byte, redis.ValueMax+1), time.Minute) {
		t.Fatal("set an empty or an oversize value")
	}
	if st := s.Stats(); st.Refused != 2 || st.Sets != 0 {
		t.Fatalf("stats %+v", st)
	}
}

func TestAnswersThatSayNoDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	url := servers.SharedRedis(t).URL()
	other := redistest.Client(t, url)
	own := prefix(t)
	if err := other.LPush(t.Context(), own+"list", "x").Err(); err != nil {
		t.Fatal(err)
	}
	s := redistest.Store(t, redis.Options{URL: url, Prefix: own})
	for range 20 {
		if _, _, ok := s.Get(t.Context(), "list"); ok {
			t.Fatal("a list was read as a value")
		}
	}
	st := s.Stats()
	if st.Errors != 20 || st.State != "closed" || !strings.Contains(st.LastError, "WRONGTYPE") {
		t.Fatalf("stats %+v", st)
	}
}

// logged collects what a store logs, a line each.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// A Redis that refuses is not up, and says why, once; and once that it is back.
func TestRefusal(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	admin := redistest.Client(t, server.URL())
	do := func(words ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, word, remedy string
		begin, end         []any
	}{
		{"a password is missing", "NOAUTH", "user:password@", []any{"CONFIG", "SET", "requirepass", "secret"}, []any{"CONFIG", "SET", "requirepass", ""}},
		{"full", "OOM", "maxmemory-policy", []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}},
		{"no rights", "NOPERM", "ACL", []any{"ACL", "SETUSER", "default", "-set", "-getrange"}, []any{"ACL", "SETUSER", "default", "+@all"}},
	} {
		var log logged
		s := redistest.Store(t, redis.Options{URL: server.URL(), Prefix: prefix(t), Logger: log.logger()})
		do(test.begin...)
		ask := func() {
			s.Get(t.Context(), "k")
			s.Set(t.Context(), "k", []byte("v"), time.Minute)
		}
		for range 3 {
			ask()
		}
		if st := s.Stats(); st.Condition != redis.Refusing || !strings.HasPrefix(st.Refusal, test.word) {
			t.Errorf("%s: %s: %s", test.name, st.Condition, st.Refusal)
		}
		do(test.end...)
		ask()
		if st := s.Stats(); st.Condition != redis.Up || st.Refusal != "" {
			t.Errorf("%s, and over: %s: %s", test.name, st.Condition, st.Refusal)
		}
		if log.count("Redis refuses") != 1 || log.count(test.word) != 1 || log.count(test.remedy) != 1 || log.count("Redis is back") != 1 {
			t.Errorf("%s: logged %s", test.name, log.text.String())
		}
	}
}

func TestRedisDownAtStart(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	server.Kill()
	s := redistest.Store(t, redis.Options{URL: server.URL()})
	if s.Set(t.Context(), "k", []byte("v"), time.Minute) {
		t.Fatal("a dead server took a value")
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the store recovers", func() bool { return s.Set(t.Context(), "k", []byte("v"), time.Minute) })
}

// costsNothingMax is what calls that cost nothing may take on a busy machine. If each
// took its timeout, or one had none, it would be longer.
const costsNothingMax = 20 * time.Second

func TestDeadServerCostsNothing(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	var log logged
	s := redistest.Store(t, redis.Options{URL: server.URL(), Logger: log.logger()})
	ctx := t.Context()
	if !s.Set(ctx, "k", []byte("v"), time.Minute) {
		t.Fatal("set refused")
	}
	server.Kill()
	servers.Eventually(t, "the breaker opens", func() bool { s.Get(ctx, "k"); return s.Stats().State == "open" })
	sent := s.Stats().Gets
	began := time.Now()
	for range 1000 {
		if _, _, ok := s.Get(ctx, "k"); ok {
			t.Fatal("a dead server answered")
		}
	}
	if took := time.Since(began); took > costsNothingMax {
		t.Fatalf("1000 reads took %v while the server was dead", took)
	}
	if st := s.Stats(); st.Gets != sent || st.Opened == 0 || st.LastError == "" {
		t.Fatalf("stats %+v: calls went past the open breaker", st)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the breaker closes", func() bool { s.Get(ctx, "k"); return s.Stats().State == "closed" })
	if !s.Set(ctx, "k", []byte("v"), time.Minute) {
		t.Fatal("set refused after the restart")
	}
	servers.Eventually(t, "both to be logged", func() bool { return log.count("Redis does not answer") == 1 && log.count("Redis is back") == 1 })
}

func TestPausedServerCostsOneTimeoutOnce(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	s := redistest.Store(t, redis.Options{URL: server.URL(), Timeout: 50 * time.Millisecond})
	servers.Eventually(t, "the value is set", func() bool { return s.Set(t.Context(), "k", []byte("v"), time.Minute) })
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 200 {
		readers.Go(func() {
			began := time.Now()
			if _, _, ok := s.Get(t.Context(), "k"); ok {
				t.Error("a paused server answered")
			}
			if took := time.Since(began); took > costsNothingMax {
				t.Errorf("a read took %v with a timeout of 50 ms", took)
			}
		})
	}
	readers.Wait()
	if st := s.Stats(); st.State == "closed" {
		t.Fatalf("stats %+v after 200 timeouts", st)
	}
	// From now on it costs nothing, while probes in the background find out.
	began := time.Now()
	for range 1000 {
		s.Get(t.Context(), "k")
		s.Set(t.Context(), "k", []byte("w"), time.Minute)
		s.Contend(t.Context(), "k", nil, "token", time.Minute)
		s.Yield(t.Context(), "k", "token")
	}
	if took := time.Since(began); took > costsNothingMax {
		t.Fatalf("4000 calls took %v while the server hung", took)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the value comes back", func() bool { _, _, ok := s.Get(t.Context(), "k"); return ok })
}

// However many read at once, Redis sees a bounded number of connections, and a
// reader waits for one no longer than for an answer.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	const connectionsMax, readers = 16, 500
	server := servers.StartRedis(t, servers.RedisOptions{})
	admin := redistest.Client(t, server.URL())
	connections := func() (n int) {
		info, err := admin.Info(t.Context(), "stats").Result()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(info, "total_connections_received:")
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := connections()
	s := redistest.Store(t, redis.Options{URL: server.URL()})
	if !s.Set(t.Context(), "k", make([]byte, 100_000), time.Minute) {
		t.Fatal("set refused")
	}
	var together sync.WaitGroup
	for range readers {
		together.Go(func() {
			if _, _, ok := s.Get(t.Context(), "k"); !ok {
				t.Error("a miss")
			}
		})
	}
	together.Wait()
	if n := connections() - before; n < 1 || n > connectionsMax {
		t.Fatalf("%d connections were made", n)
	}
}

func TestCallerThatLeavesDoesNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		s.Get(gone, "k")
	}
	if st := s.Stats(); st.State != "closed" || st.Errors != 0 {
		t.Fatalf("stats %+v", st)
	}
}

func TestBadURLSaysWhatToWriteAndNoPassword(t *testing.T) {
	t.Parallel()
	_, err := redis.New(t.Context(), redis.Options{URL: "http://u:secret@host"})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "redis://") {
		t.Fatalf("error %v", err)
	}
}

func TestClosedStoreMisses(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := s.Get(t.Context(), "k"); ok || s.Set(t.Context(), "k", []byte("v"), time.Minute) {
		t.Fatal("a closed store works")
	}
	// The cleanup closes it once more.
}

// Questions are used again, and never for two keys at once.
func TestReadersGetTheirOwnValues(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	const keys, rounds = 8, 200
	for i := range keys {
		s.Set(t.Context(), fmt.Sprint("own-", i), []byte(fmt.Sprint("value ", i)), time.Duration(i+1)*time.Hour)
	}
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			for range rounds {
				value, left, ok := s.Get(t.Context(), fmt.Sprint("own-", i))
				if !ok || string(value) != fmt.Sprint("value ", i) || left.Round(time.Hour) != time.Duration(i+1)*time.Hour {
					t.Errorf("key %d: %q, %v, %v", i, value, left, ok)
					return
				}
			}
		})
	}
	all.Wait()
}
