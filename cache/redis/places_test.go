package redis_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	place := prefix(t)
	s := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: place})
	ctx, keys := t.Context(), []string{"{p}0", "{p}1", "{p}2"}
	if !s.Claim(ctx, keys[1], []byte("one"), time.Minute) || s.Claim(ctx, keys[1], []byte("another"), time.Minute) {
		t.Fatal("a free place was refused, or one that is taken was given")
	}
	if !s.Renew(ctx, keys[2], bytes.Repeat([]byte("x"), 1<<20), time.Minute) || !s.Renew(ctx, keys[1], []byte("again"), time.Minute) {
		t.Fatal("not renewed")
	}
	values, ok := s.Glance(ctx, keys, 8)
	if !ok || values[0] != nil || string(values[1]) != "again" || string(values[2]) != "xxxxxxxx" {
		t.Fatalf("found %q, %v", values, ok)
	}
	if st := s.Stats(); st.Gets != 0 || st.Sets != 0 || st.Errors != 0 {
		t.Errorf("counted as entries: %+v", st)
	}
	// What is no text lies there for nobody, and is no failure of Redis.
	if err := redistest.Client(t, servers.SharedRedis(t).URL()).LPush(ctx, place+keys[0], "x").Err(); err != nil {
		t.Fatal(err)
	}
	values, ok = s.Glance(ctx, keys, 8)
	if st := s.Stats(); !ok || values[0] != nil || string(values[1]) != "again" || st.Condition != redis.Up || st.Errors != 0 {
		t.Errorf("with a list among them: %q, %v, %+v", values, ok, st)
	}
}
