package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/memory"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// Every tier does what is asked of it here; memory is dressed as a Remote.
func TestTiersConform(t *testing.T) {
	t.Parallel()
	for name, tier := range map[string]func(*testing.T) Remote{
		"memory": inMemory,
		"redis":  inRedis,
		"bag":    func(*testing.T) Remote { return world.NewBag() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, check := range map[string]func(*testing.T, Remote){
				"absent":     absentIsAMiss,
				"round trip": whatIsSetIsFound,
				"newer":      theNewerReplaces,
				"kept slice": theSliceIsTheCallers,
				"at once":    manyAtOnce,
			} {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					check(t, tier(t))
				})
			}
		})
	}
}

// dressed is the first tier with a key for a hash and bytes for an entry.
type dressed struct{ *memory.Store[[]byte] }

func (d dressed) Get(_ context.Context, key string) ([]byte, time.Duration, bool) {
	value, ok := d.Store.Get(hashText(key))
	if !ok {
		return nil, 0, false
	}
	return *value, time.Hour, true
}

func (d dressed) Set(_ context.Context, key string, value []byte, _ time.Duration) bool {
	kept := bytes.Clone(value)
	return d.Store.Set(hashText(key), &kept, int64(len(value)), 0)
}

func hashText(key string) (hash uint64) {
	for _, b := range []byte(key) {
		hash = hash*1099511628211 + uint64(b) + 1
	}
	return hash
}

func inMemory(t *testing.T) Remote {
	s, err := memory.New[[]byte](memory.Options[[]byte]{MaxBytes: 1 << 24})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return dressed{s}
}

func inRedis(t *testing.T) Remote {
	return redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: rand.Text()})
}

func absentIsAMiss(t *testing.T, r Remote) {
	if v, _, ok := r.Get(t.Context(), "absent"); ok {
		t.Fatalf("found %q", v)
	}
}

func whatIsSetIsFound(t *testing.T, r Remote) {
	for _, size := range []int{1, 1000, 1 << 20} {
		want := make([]byte, size)
		if _, err := rand.Read(want); err != nil {
			t.Fatal(err)
		}
		if !r.Set(t.Context(), "k", want, time.Hour) {
			t.Fatalf("%d bytes were refused", size)
		}
		if got, _, ok := r.Get(t.Context(), "k"); !ok || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes came back as %d, %v", size, len(got), ok)
		}
	}
}

func theNewerReplaces(t *testing.T, r Remote) {
	for i := range 200 {
		key := fmt.Sprint("k", i)
		r.Set(t.Context(), key, []byte("older"), time.Hour)
		r.Set(t.Context(), key, []byte("newer"), time.Hour)
		if got, _, ok := r.Get(t.Context(), key); !ok || string(got) != "newer" {
			t.Fatalf("%s is %q, %v", key, got, ok)
		}
	}
}

func theSliceIsTheCallers(t *testing.T, r Remote) {
	value := []byte("mine")
	r.Set(t.Context(), "k", value, time.Hour)
	copy(value, "gone")
	if got, _, ok := r.Get(t.Context(), "k"); !ok || string(got) != "mine" {
		t.Fatalf("%q, %v after the caller used its slice again", got, ok)
	}
}

func manyAtOnce(t *testing.T, r Remote) {
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := range 50 {
				want := fmt.Sprint(worker, "/", i)
				key := fmt.Sprint("k", worker, i%10)
				if !r.Set(t.Context(), key, []byte(want), time.Hour) {
					t.Errorf("%s was refused", key)
				}
				if got, _, ok := r.Get(t.Context(), key); !ok || string(got) != want {
					t.Errorf("%s is %q, %v, want %q", key, got, ok, want)
				}
			}
		})
	}
	workers.Wait()
}
