package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// own is a place of this test in the Redis that all tests share.
func own(t *testing.T) redis.Options {
	return redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: t.Name() + rand.Text() + ":"}
}

// asked is how often the processes asked for a lease.
func asked(members []*member) (sum uint64) {
	for _, m := range members {
		sum += m.store.Stats().Leases
	}
	return sum
}

// lasting has the leases of processes live as long as any may, and those who wait for one be
// as patient: however slow the machine is, none ends before what a test does meanwhile.
func lasting(members ...*member) {
	for _, m := range members {
		m.cache.loadTimes.note(numberShape, leaseLifeMax)
	}
}

// soonerThanALease is what takes less on a busy machine than the life of such a lease.
const soonerThanALease = leaseLifeMax / 2

func TestOneLoadPerFleet(t *testing.T) {
	t.Parallel()
	const processes, readersEach = 4, 50
	d, members := fleet(t, processes, own(t))
	lasting(members...)
	var ended time.Time
	for _, m := range members {
		m.during = func() {
			// Until every process has asked: who comes later finds the entry.
			already := asked(members)
			world.Until(t, "all processes wait", func() bool { return asked(members) >= already+2*processes })
			ended = time.Now()
		}
	}
	// The first round is cold; in the others Redis has an entry that is of no use.
	for round := int64(1); round <= 3; round++ {
		var readers sync.WaitGroup
		for range readersEach {
			for _, m := range members {
				readers.Go(func() {
					if value, err := m.get(t.Context(), nil); err != nil || value != int(round) {
						t.Errorf("round %d: got %v, %v", round, value, err)
					}
				})
			}
		}
		readers.Wait()
		t.Logf("round %d: the last reader was answered %v after the load ended", round, time.Since(ended))
		if got := loadsOf(members); got != round {
			t.Fatalf("%d loads in %d rounds of %d readers", got, round, processes*readersEach)
		}
		d.commit()
		for _, m := range members {
			m.look()
		}
	}
	var st Stats
	for _, m := range members {
		st.Leases += m.cache.Stats().Leases
		st.LeasesAwaited += m.cache.Stats().LeasesAwaited
		st.LeasesVain += m.cache.Stats().LeasesVain
	}
	if st.Leases != 3 || st.LeasesAwaited != 3*(processes-1) || st.LeasesVain != 0 {
		t.Fatalf("stats %+v", st)
	}
	world.Until(t, "the leases are given back", func() bool {
		for _, m := range members {
			if len(m.cache.yields) > 0 {
				return false
			}
		}
		return true
	})
}

// deadHolder takes the lease of the number's key and is never heard of again.
func deadHolder(t *testing.T, o redis.Options, life time.Duration) {
	t.Helper()
	if _, _, leased, ok := redistest.Store(t, o).Contend(t.Context(), numberName, nil, "dead", life); !leased || !ok {
		t.Fatal("the lease was not to be had")
	}
}

// numberName is the name of the number in the remote tier.
var numberName = remoteKey(world.First, []byte(numberKey))

func TestDeadHolderCostsTheLease(t *testing.T) {
	t.Parallel()
	o := own(t)
	_, members := fleet(t, 3, o)
	lasting(members...)
	const life = 300 * time.Millisecond
	began := time.Now()
	deadHolder(t, o, life)
	var readers sync.WaitGroup
	for _, m := range members {
		readers.Go(func() { m.mustGet(t) })
	}
	readers.Wait()
	// Who is next among the three is the only one again.
	if took := time.Since(began); took < life/2 || loadsOf(members) != 1 {
		t.Fatalf("%d loads after %v", loadsOf(members), took)
	}
}

func TestPatienceWithALeaseEnds(t *testing.T) {
	t.Parallel()
	o := own(t)
	m := newDatabase().join(t, redistest.Store(t, o), func(o *Options) { o.WaitMax = 200 * time.Millisecond })
	deadHolder(t, o, time.Minute)
	began := time.Now()
	m.mustGet(t)
	if took := time.Since(began); took < 100*time.Millisecond || took > 10*time.Second {
		t.Fatalf("waited %v with a patience of 100 ms", took)
	}
	if st := m.cache.Stats(); st.LeasesVain != 1 || st.Leases != 0 || m.loads.Load() != 1 {
		t.Fatalf("stats %+v", st)
	}
	// The entry is published without a lease too.
	world.Until(t, "the entry is in Redis", func() bool { return m.cache.Stats().Published == 1 })
}

func TestReaderThatLeavesStopsWaiting(t *testing.T) {
	t.Parallel()
	o := own(t)
	_, members := fleet(t, 1, o)
	m := members[0]
	lasting(m)
	deadHolder(t, o, time.Minute)
	f := m.cache.Join([]byte(numberKey))
	defer f.Finish(nil)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	fetched := make(chan Tier, 1)
	go func() {
		_, tier := f.Fetch(ctx, numberShape, decodeText)
		fetched <- tier
	}()
	world.Until(t, "the reader asks for the lease again and again", func() bool { return asked(members) >= 3 })
	leave()
	began := time.Now()
	if tier := <-fetched; tier != Nowhere {
		t.Fatalf("found in tier %d, and nobody loaded", tier)
	}
	if took := time.Since(began); took > soonerThanALease {
		t.Fatalf("waited %v after the reader had left", took)
	}
	if st := m.cache.Stats(); st.Leases != 0 {
		t.Fatalf("%d leases, and another process has the only one", st.Leases)
	}
}

// Redis hangs while some wait for the load of another: they load themselves, and
// so does everybody until it is back.
func TestRedisHangsWhileOthersWait(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	// A busy machine's Redis answers within this time, and a paused one has it waited for once.
	const timeout = 2 * time.Second
	d, members := fleet(t, 4, redis.Options{URL: server.URL(), Timeout: timeout})
	lasting(members...)
	for _, m := range members {
		world.Until(t, "Redis answers", func() bool {
			return m.store.Set(t.Context(), "warm", []byte("up"), time.Minute)
		})
	}
	release := make(chan struct{})
	members[0].during = func() { <-release }
	var readers sync.WaitGroup
	read := func(m *member) {
		if value, err := m.get(t.Context(), nil); err != nil || value != 1 {
			t.Errorf("got %v, %v", value, err)
		}
	}
	readers.Go(func() { read(members[0]) })
	world.Until(t, "the first loads", func() bool { return members[0].loads.Load() == 1 })
	for _, m := range members[1:] {
		readers.Go(func() { read(m) })
	}
	already := asked(members)
	world.Until(t, "the others wait", func() bool { return asked(members) >= already+10 })
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	world.Until(t, "the others load themselves", func() bool { return loadsOf(members) == 4 })
	close(release)
	readers.Wait()
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	// Whatever reaches Redis now, nobody is served what a commit has ended.
	want := d.commit()
	for _, m := range members {
		m.look()
		if got := m.mustGet(t); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	}
}

// A lease outlives the load until the entry is published: given back before,
// others would find neither.
func TestLeaseIsHeldUntilPublication(t *testing.T) {
	t.Parallel()
	_, members := fleet(t, 2, own(t))
	lasting(members...)
	first, second := members[0], members[1]
	first.held = make(chan struct{})
	first.mustGet(t)
	var readers sync.WaitGroup
	readers.Go(func() { second.mustGet(t) })
	world.Until(t, "the second asks again and again", func() bool { return second.store.Stats().Leases >= 5 })
	close(first.held)
	readers.Wait()
	if loadsOf(members) != 1 || second.cache.Stats().LeasesAwaited != 1 {
		t.Fatalf("%d loads; the second: %+v", loadsOf(members), second.cache.Stats())
	}
}

// A lease ends while its holder still loads:
//
//  1. the first process takes the lease, and its query reads the row;
//  2. a commit changes the row, and all processes receive the event;
//  3. the lease ends; the second process takes it, and loads;
//  4. the first process's load ends, with the old row, and it gives back a lease
//     that is no longer its own.
func TestLeaseEndsBeforeTheLoad(t *testing.T) {
	t.Parallel()
	o := own(t)
	d, members := fleet(t, 2, o)
	lasting(members...)
	first, second := members[0], members[1]
	release, loading := make(chan struct{}), make(chan struct{})
	first.during = func() { <-release }
	second.during = func() { close(loading); <-release }
	var readers sync.WaitGroup
	readers.Go(func() { first.mustGet(t) }) // 1
	world.Until(t, "the first loads", func() bool { return first.loads.Load() == 1 })
	want := d.commit() // 2
	first.look()
	second.look()
	readers.Go(func() { // 3
		if got := second.mustGet(t); got != want {
			t.Errorf("the second process got %d, want %d", got, want)
		}
	})
	world.Until(t, "the second waits", func() bool { return second.store.Stats().Leases >= 3 })
	second.store.Yield(t.Context(), numberName, "not the token")
	already := asked(members)
	world.Until(t, "the second asked again", func() bool { return asked(members) >= already+3 })
	if second.loads.Load() != 0 {
		t.Fatal("a lease was ended with another token")
	}
	endLease(t, o, numberName)
	<-loading
	close(release) // 4
	readers.Wait()
	world.Until(t, "the new row is in Redis", func() bool { return second.cache.Stats().Published == 1 })
	if st := first.cache.Stats(); st.Published != 0 || st.Overtaken != 1 {
		t.Fatalf("the overtaken load: %+v", st)
	}
	if got := first.mustGet(t); got != want || loadsOf(members) != 2 {
		t.Fatalf("the first process reads %d after %d loads, want %d", got, loadsOf(members), want)
	}
}

// endLease does what time does.
func endLease(t *testing.T, o redis.Options, name string) {
	t.Helper()
	c := redistest.Client(t, o.URL)
	if n, err := c.Del(t.Context(), o.Prefix+name+":lease").Result(); n != 1 || err != nil {
		t.Fatalf("removed %d leases: %v", n, err)
	}
}

// What a waiting reader gets is judged as any entry: here the holder publishes a
// row that an event, which only the reader has received, has ended.
func TestWaitingReaderWhoMustSeeMoreLoads(t *testing.T) {
	t.Parallel()
	d, members := fleet(t, 2, own(t))
	lasting(members...)
	behind, reader := members[0], members[1]
	release := make(chan struct{})
	behind.during = func() { <-release }
	behind.still.Store(true)
	var readers sync.WaitGroup
	readers.Go(func() { behind.mustGet(t) })
	world.Until(t, "the holder loads", func() bool { return behind.loads.Load() == 1 })
	want := d.commit()
	readers.Go(func() {
		var s fence.Session
		s.Received(fence.Now())
		value, err := reader.get(t.Context(), &s)
		if err != nil || value != want {
			t.Errorf("the session reads %d, %v, and wrote %d", value, err, want)
		}
	})
	world.Until(t, "the reader waits", func() bool { return reader.store.Stats().Leases >= 3 })
	close(release)
	readers.Wait()
	if behind.cache.Stats().Published != 1 || reader.cache.Stats().Unusable == 0 {
		t.Fatalf("the old row was not there to be refused: %+v", reader.cache.Stats())
	}
}

func TestFailedLoadGivesTheLeaseBack(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"error": errors.New("no such server"), "too large": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := own(t)
			d := newDatabase()
			first := d.join(t, redistest.Store(t, o), func(o *Options) { o.EntryMax = 4 << 10 })
			second := d.join(t, redistest.Store(t, o), nil)
			lasting(first, second)
			_, _ = first.obtain(t.Context(), nil, func() (string, error) { return strings.Repeat("x", 1<<16), failure })
			if st := first.cache.Stats(); st.Leases != 1 {
				t.Fatalf("stats %+v", st)
			}
			began := time.Now()
			if got := second.mustGet(t); got != 1 {
				t.Fatal(got)
			}
			if took := time.Since(began); took > soonerThanALease || second.cache.Stats().Leases != 1 {
				t.Fatalf("the next one waited %v", took)
			}
			// Loads that bring nothing for others take no lease until one does.
			if first.cache.loadTimes.expect(numberShape) != 1 {
				t.Fatal("the next load of the kind would be leased again")
			}
		})
	}
}

// Cheap loads do not pay for a lease, not even a longer question.
func TestShortLoadsTakeNoLease(t *testing.T) {
	t.Parallel()
	m := newDatabase().join(t, redistest.Store(t, own(t)), func(o *Options) { o.LeaseMin = time.Minute })
	for range 10 {
		m.mustGet(t)
		m.database.commit()
		m.look()
	}
	// Of the first nothing was known.
	if st := m.store.Stats(); st.Leases != 1 || st.Gets != 10 {
		t.Fatalf("stats %+v", st)
	}
}

// Who spares the database at any price shares short loads, too.
func TestShortLoadsAreLeasedAtAnyPrice(t *testing.T) {
	t.Parallel()
	m := newDatabase().join(t, redistest.Store(t, own(t)), func(o *Options) { o.LeaseMin, o.RemotePolicy = time.Minute, RemoteAlways })
	for range 10 {
		m.mustGet(t)
		m.database.commit()
		m.look()
	}
	if st := m.cache.Stats(); st.Leases != 10 {
		t.Fatalf("%d of 10 loads were leased", st.Leases)
	}
}

// A process that only ever finds what others loaded learns from it how long loads
// take, and asks no longer question than it needs.
func TestEntryTellsHowLongItsLoadTook(t *testing.T) {
	t.Parallel()
	o, d := own(t), newDatabase()
	longer := func(o *Options) { o.LeaseMin = time.Minute }
	first, second := d.join(t, redistest.Store(t, o), longer), d.join(t, redistest.Store(t, o), longer)
	first.during = func() { time.Sleep(3 * time.Millisecond) }
	first.mustGet(t)
	world.Until(t, "the entry is in Redis", func() bool { return first.cache.Stats().Published == 1 })
	for range 10 {
		second.mustGet(t)
		second.cache.memory.Del(second.cache.Hash([]byte(numberKey)))
	}
	if st := second.store.Stats(); st.Leases != 1 || st.Gets != 10 || second.loads.Load() != 0 {
		t.Fatalf("%d loads, stats %+v", second.loads.Load(), st)
	}
	if took := second.cache.loadTimes.expect(numberShape); took < 3*time.Millisecond || took > time.Minute {
		t.Fatalf("the load took %v, as far as the second process knows", took)
	}
}

func TestLoadTimes(t *testing.T) {
	t.Parallel()
	var times loadTimes
	if times.expect(7) != 0 {
		t.Fatal("a time is known of the unknown")
	}
	times.note(7, time.Second)
	times.note(7, time.Millisecond)
	if got := times.expect(7); got != time.Second/2 {
		t.Fatalf("%v after a long and a short load", got)
	}
	for range 20 {
		times.note(7, time.Millisecond)
	}
	if got := times.expect(7); got != time.Millisecond {
		t.Fatalf("%v after many short loads", got)
	}
	times.belittle(7)
	if got := times.expect(7); got == 0 || got > time.Microsecond {
		t.Fatalf("%v", got)
	}
	if times.expect(8) != 0 {
		t.Fatal("shapes are mixed up")
	}
}

// liar gives back, and takes, whatever it likes.
type liar struct{ *world.Bag }

func (l liar) Contend(_ context.Context, key string, _ []byte, _ string, _ time.Duration) ([]byte, time.Duration, bool, bool) {
	// A value that is never the same and never right.
	return []byte(rand.Text()), time.Hour, false, true
}

func (l liar) Yield(context.Context, string, string) {}

func TestLyingLeaserHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	m := newDatabase().join(t, liar{world.NewBag()}, nil)
	lasting(m)
	began := time.Now()
	m.mustGet(t)
	if took := time.Since(began); took > soonerThanALease || m.loads.Load() != 1 {
		t.Fatalf("%d loads after %v", m.loads.Load(), took)
	}
}
