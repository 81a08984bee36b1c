package redis_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestContend(t *testing.T) {
	t.Parallel()
	contends(t, redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)}))
}

// contends checks everything about one key of a store.
func contends(t *testing.T, s *redis.Store) {
	t.Helper()
	ctx := t.Context()
	const key = "{k}"
	contend := func(seen, token string) (string, bool) {
		t.Helper()
		value, left, leased, ok := s.Contend(ctx, key, []byte(seen), token, time.Minute)
		if !ok || (value != nil) != (left > 0) || left > time.Hour {
			t.Fatalf("%q, %v left, %v, %v: %+v", value, left, leased, ok, s.Stats())
		}
		return string(value), leased
	}
	if value, leased := contend("", "first"); value != "" || !leased {
		t.Fatal("the first one did not get the lease")
	}
	if _, leased := contend("", "second"); leased {
		t.Fatal("two have the lease")
	}
	s.Yield(ctx, key, "second")
	if _, leased := contend("", "second"); leased {
		t.Fatal("a lease was given back by another")
	}
	s.Yield(ctx, key, "first")
	if _, leased := contend("", "second"); !leased {
		t.Fatal("a lease that was given back is not to be had")
	}
	if !s.Set(ctx, key, []byte("value 1"), time.Hour) {
		t.Fatal("set refused")
	}
	if value, leased := contend("", "third"); value != "value 1" || leased {
		t.Fatalf("%q, %v", value, leased)
	}
	if value, leased := contend("value", "third"); value != "" || leased {
		t.Fatalf("%q, %v: what was seen is no answer, and the lease is taken", value, leased)
	}
	if value, _ := contend("other", "third"); value != "value 1" {
		t.Fatalf("%q instead of what was not seen", value)
	}
	s.Yield(ctx, key, "second")
	if value, leased := contend("value", "third"); value != "" || !leased {
		t.Fatalf("%q, %v", value, leased)
	}
	if st := s.Stats(); st.Errors != 0 || st.Leases != 8 || st.Hits != 2 {
		t.Fatalf("stats %+v", st)
	}
}

func TestLeaseEndsByItself(t *testing.T) {
	t.Parallel()
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: prefix(t)})
	s.Contend(t.Context(), "k", nil, "dead", 20*time.Millisecond)
	servers.Eventually(t, "the lease ends", func() bool {
		_, _, leased, _ := s.Contend(t.Context(), "k", nil, "next", time.Minute)
		return leased
	})
}

// A Redis that runs no scripts, or is full, still has values.
func TestContendWithoutScripts(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	admin := redistest.Client(t, server.URL())
	if err := admin.ACLSetUser(t.Context(), "plain", "on", ">secret", "~*", "+@all", "-@scripting").Err(); err != nil {
		t.Fatal(err)
	}
	s := redistest.Store(t, redis.Options{URL: strings.Replace(server.URL(), "unix://", "unix://plain:secret@", 1)})
	if _, _, leased, ok := s.Contend(t.Context(), "k", nil, "token", time.Minute); leased || ok {
		t.Fatal("a lease without scripts")
	}
	if !s.Set(t.Context(), "k", []byte("v"), time.Minute) {
		t.Fatal("set refused")
	}
	value, left, leased, ok := s.Contend(t.Context(), "k", nil, "token", time.Minute)
	if string(value) != "v" || left <= 0 || leased || ok || s.Stats().State != "closed" {
		t.Fatalf("%q, %v, %v, %v: %+v", value, left, leased, ok, s.Stats())
	}
}

// What is kept for ever was not set by a Store: its life is not known.
func TestValueWithoutALifeIsAMiss(t *testing.T) {
	t.Parallel()
	url, own := servers.SharedRedis(t).URL(), prefix(t)
	other := redistest.Client(t, url)
	if err := other.Set(t.Context(), own+"k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := redistest.Store(t, redis.Options{URL: url, Prefix: own})
	if _, _, ok := s.Get(t.Context(), "k"); ok {
		t.Fatal("found")
	}
	if value, _, _, _ := s.Contend(t.Context(), "k", nil, "token", time.Minute); value != nil {
		t.Fatal("found with the lease")
	}
	if !s.Set(t.Context(), "k", []byte("w"), time.Hour) {
		t.Fatal("set refused")
	}
	if value, left, ok := s.Get(t.Context(), "k"); !ok || !bytes.Equal(value, []byte("w")) || left > time.Hour || left < time.Hour/2 {
		t.Fatalf("%q, %v left, %v", value, left, ok)
	}
}
