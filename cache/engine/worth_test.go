package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

// counted is a remote tier that counts what it is asked, and takes long to answer.
type counted struct {
	*world.Bag
	takes      time.Duration
	gets, sets atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, time.Duration, bool) {
	c.gets.Add(1)
	for began := time.Now(); time.Since(began) < c.takes; {
	}
	return c.Bag.Get(ctx, key)
}

// SetAll does not fill the bag's channel.
func (c *counted) SetAll(ctx context.Context, keys []string, values [][]byte, _ []time.Duration) []bool {
	c.sets.Add(int64(len(keys)))
	taken := make([]bool, len(keys))
	for i, key := range keys {
		taken[i] = c.Bag.Set(ctx, key, values[i], time.Hour)
		<-c.Bag.Sets
	}
	return taken
}

const worthShape = 5

// miss is a reader that finds nothing in the first tier, whose load takes a time. It
// reports whether the remote tier had the entry.
func miss(t *testing.T, c *Cache, key string, load time.Duration) bool {
	t.Helper()
	f := c.Join([]byte(key))
	if e, tier := f.Fetch(t.Context(), worthShape, decodeText); e != nil {
		f.Finish(e)
		return tier == Shared
	}
	start := begin(t, c)
	e := c.NewEntry(Loaded{
		Key: []byte(key), Shape: worthShape, Start: start, End: start.At.Add(load),
		Tags: []fence.Tag{world.NumberTag}, Payload: text("value"),
	})
	c.Store(e)
	f.Finish(e)
	return false
}

// keysFor are n keys that nobody has used.
func keysFor(name string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprint(name, i))
	}
	return keys
}

// drained waits until everything that waits for publication is published.
func drained(t *testing.T, c *Cache) {
	t.Helper()
	world.Until(t, "all to be published", func() bool { return c.publisher.held() == 0 })
}

func worthCache(t *testing.T, w *world.World, r Remote, policy RemotePolicy) *Cache {
	return open(t, w, func(o *Options) { o.Remote, o.RemotePolicy, o.LeaseMin = r, policy, leaseMin })
}

// leaseMin is what loads are long from. One that is dear and not long takes longer than a
// question does on a machine that is busy with much else.
const (
	leaseMin = time.Second
	dearLoad = 100 * time.Millisecond
)

// Who shares with nobody soon asks for nothing, but for the sample; and goes on
// asking where the operator says so.
func TestWhoSharesWithNobodySoonAsksForNothing(t *testing.T) {
	t.Parallel()
	const most = 2000
	for policy, asks := range map[RemotePolicy][2]int64{
		RemoteWhereItPays: {worthLearned, worthLearned + most/sampleOf*4},
		RemoteAlways:      {most, most},
		RemoteNever:       {0, 0},
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			tier := &counted{Bag: world.NewBag(), takes: 50 * time.Microsecond}
			c := worthCache(t, world.New(), tier, policy)
			for _, key := range keysFor("k", most) {
				miss(t, c, key, 100*time.Microsecond)
			}
			drained(t, c)
			gets, sets := tier.gets.Load(), tier.sets.Load()
			if gets < asks[0] || gets > asks[1] || sets < asks[0] || sets > asks[1] {
				t.Errorf("%d of %d keys were asked for, %d were given, want %d to %d", gets, most, sets, asks[0], asks[1])
			}
			if st := c.Stats(); int64(st.Published) != sets || st.Published+st.Kept+st.Dropped != most {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// Where another process has what is asked for, and loads take longer than questions,
// asking goes on; where they do not, it ends, whatever is found.
func TestAskingGoesOnWhereItPays(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		load time.Duration
		why  string
	}{
		"dear loads":  {dearLoad, WhyPays},
		"cheap loads": {time.Microsecond, WhyNoGain},
		"long loads":  {leaseMin, WhyLong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, tier := world.New(), &counted{Bag: world.NewBag(), takes: 50 * time.Microsecond}
			other, c := worthCache(t, w, tier, RemoteAlways), worthCache(t, w, tier, RemoteWhereItPays)
			for i, key := range keysFor("k", 1000) {
				if i%8 != 0 {
					miss(t, other, key, of.load)
				}
			}
			drained(t, other)
			for _, key := range keysFor("k", 1000) {
				miss(t, c, key, of.load)
			}
			if use := c.RemoteUse(worthShape); use.Why != of.why || use.Used != (of.why != WhyNoGain) {
				t.Errorf("%+v, want %s", use, of.why)
			}
		})
	}
}

// A process that has stopped asking finds out by the sample that others have begun to
// give what it looks for: the sample of all processes is the same.
func TestTheSampleGoesOnMeasuring(t *testing.T) {
	t.Parallel()
	w, tier := world.New(), &counted{Bag: world.NewBag(), takes: 50 * time.Microsecond}
	const load = dearLoad
	first, second := worthCache(t, w, tier, RemoteWhereItPays), worthCache(t, w, tier, RemoteWhereItPays)
	for i, c := range []*Cache{first, second} {
		for _, key := range keysFor(fmt.Sprint("alone", i, "-"), 500) {
			miss(t, c, key, load)
		}
		if use := c.RemoteUse(worthShape); use.Why != WhyNoGain {
			t.Fatalf("who shares with nobody: %+v", use)
		}
	}
	// Now both load the same, one after the other: at first only the sample is given.
	for round := 0; !second.RemoteUse(worthShape).Used || !first.RemoteUse(worthShape).Used; round++ {
		if round == 100 {
			t.Fatalf("the first: %+v, the second: %+v", first.RemoteUse(worthShape), second.RemoteUse(worthShape))
		}
		keys := keysFor(fmt.Sprint("shared", round, "-"), 500)
		for i, c := range []*Cache{first, second} {
			for j, key := range keys {
				if j%2 == i {
					miss(t, c, key, load)
				}
			}
			drained(t, c)
		}
		for i, c := range []*Cache{second, first} {
			for j, key := range keys {
				if j%2 == i {
					miss(t, c, key, load)
				}
			}
			drained(t, c)
		}
	}
}

// A hit in Redis takes one Get, and no lease, where there probably is one.
func TestWhatIsProbablyThereIsNotLeased(t *testing.T) {
	t.Parallel()
	d, members := fleet(t, 2, own(t))
	first, second := members[0], members[1]
	first.during = func() { time.Sleep(2 * first.cache.options.LeaseMin) }
	second.during = first.during
	for range 5 {
		d.commit()
		first.look()
		second.look()
		first.mustGet(t)
		world.Until(t, "the entry is published", func() bool { return first.cache.publisher.held() == 0 })
		second.mustGet(t)
	}
	leases := second.store.Stats().Leases
	for range 5 {
		d.commit()
		first.look()
		second.look()
		first.mustGet(t)
		world.Until(t, "the entry is published", func() bool { return first.cache.publisher.held() == 0 })
		second.mustGet(t)
	}
	if more := second.store.Stats().Leases - leases; more != 0 || second.loads.Load() != 0 {
		t.Fatalf("%d questions for a lease, %d loads", more, second.loads.Load())
	}
}
