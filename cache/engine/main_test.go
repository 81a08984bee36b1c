package engine

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	redis.SilenceClient()
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Redis: true}))
}

// text is a payload of bytes.
type text string

func (p text) Size() int                               { return len(p) }
func (p text) AppendBinary(dst []byte) ([]byte, error) { return append(dst, p...), nil }

func decodeText(src []byte) (Payload, error) { return text(src), nil }

// open returns a running cache of w.
func open(t *testing.T, w *world.World, change func(*Options)) *Cache {
	t.Helper()
	o := Options{Fence: w.Fence, Confirm: w.Confirm, MemoryBytes: 1 << 22, Staleness: time.Hour}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	world.Run(t, c)
	return c
}

// entry makes an entry for key that depends on the number, as a load that began
// at start would.
func entry(c *Cache, key string, start Start, payload string) *Entry {
	return c.NewEntry(Loaded{Key: []byte(key), Start: start, End: fence.Now(), Tags: []fence.Tag{world.NumberTag}, Payload: text(payload)})
}

func begin(t *testing.T, c *Cache) Start {
	t.Helper()
	start, ok := c.Begin()
	if !ok {
		t.Fatal("no head")
	}
	return start
}

// find is a Lookup by key alone.
func find(c *Cache, key string, s *fence.Session) (*Entry, Outcome) {
	return c.Lookup([]byte(key), c.Hash([]byte(key)), fence.Now(), s)
}

func fetch(t *testing.T, c *Cache, key string) (*Entry, Tier) {
	t.Helper()
	return c.Fetch(t.Context(), []byte(key), c.Hash([]byte(key)), 0, decodeText)
}
