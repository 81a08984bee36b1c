package fleet

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Store in this process, with the clock of the test.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	ends   map[string]time.Time
	down   bool
	calls  int
}

func newMemory() *memory { return &memory{values: map[string][]byte{}, ends: map[string]time.Time{}} }

func (m *memory) get(key string) []byte {
	if !time.Now().Before(m.ends[key]) {
		return nil
	}
	return m.values[key]
}

func (m *memory) Glance(_ context.Context, keys []string, bytesMax int) (values [][]byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	for _, key := range keys {
		value := m.get(key)
		values = append(values, value[:min(len(value), bytesMax)])
	}
	return values, !m.down
}

func (m *memory) Claim(_ context.Context, key string, value []byte, life time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.get(key) != nil {
		return false
	}
	m.calls++
	m.values[key], m.ends[key] = value, time.Now().Add(life)
	return !m.down
}

func (m *memory) Renew(_ context.Context, key string, value []byte, life time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	m.values[key], m.ends[key] = value, time.Now().Add(life)
	return !m.down
}

// sidecar is one that a test has made.
type sidecar struct {
	*Fleet
	counts Counts
}

func join(store Store, host string) *sidecar {
	s := &sidecar{}
	s.Fleet = New(Options{Store: store, Database: "shop", DescribeFunc: func() (Member, Counts) {
		return Member{Host: host, Socket: "/run/freshet/.s.PGSQL.6432", Version: "v1", Sessions: 3}, s.counts
	}})
	return s
}

func hosts(f *sidecar) string {
	var all []string
	for _, m := range f.Members() {
		all = append(all, m.Host)
	}
	return strings.Join(all, " ")
}

func TestSidecarsSeeOneAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, b := join(store, "a"), join(store, "b")
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		synctest.Wait()
		b.beat(t.Context())
		time.Sleep(every)
		synctest.Wait()
		b.counts = Counts{Hits: 90, Reads: 100, Queries: 200, SavedSeconds: 5}
		b.beat(t.Context())
		time.Sleep(every)
		synctest.Wait()
		if hosts(a) != "a b" || hosts(b) != "b a" {
			t.Fatalf("a sees %q, b sees %q", hosts(a), hosts(b))
		}
		m := a.Members()[1]
		if m.HitRatio == nil || *m.HitRatio != .9 || m.QueriesPerSecond != 40 || m.SavedPerSecond != 1 || m.Self || !b.Members()[0].Self {
			t.Errorf("a reads %+v", m)
		}
		// One exchange to read and one to write, whatever the number of sidecars.
		store.calls = 0
		b.beat(t.Context())
		if store.calls != 2 {
			t.Errorf("a beat took %d exchanges", store.calls)
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		b.beat(t.Context())
		if hosts(b) != "b" {
			t.Errorf("when a has ended b sees %q", hosts(b))
		}
		time.Sleep(life)
		a.beat(t.Context())
		if hosts(a) != "a" {
			t.Errorf("when b has died a sees %q", hosts(a))
		}
	})
}

func TestWithoutRedisASidecarSeesItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, b := join(store, "a"), join(store, "b")
		if a.Members() != nil {
			t.Error("somebody is there before the first beat")
		}
		b.beat(t.Context())
		a.beat(t.Context())
		store.down = true
		time.Sleep(every)
		a.beat(t.Context())
		if hosts(a) != "a b" {
			t.Errorf("a moment after Redis went a sees %q", hosts(a))
		}
		time.Sleep(life)
		a.beat(t.Context())
		if hosts(a) != "a" {
			t.Errorf("long after Redis went a sees %q", hosts(a))
		}
	})
}

// The steps are those at Fleet.say.
func TestWhoIsOverwrittenClaimsAnotherPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, b := join(store, "a"), join(store, "b")
		a.beat(t.Context()) // 1
		values, _ := store.Glance(t.Context(), a.keys, sizeMax)
		time.Sleep(life) // 2
		b.begin = a.place
		b.beat(t.Context())
		if b.place != a.place {
			t.Fatal("b did not get the place")
		}
		members := make([]*Member, len(values))
		for i := range values {
			members[i] = parse(values[i])
		}
		a.say(t.Context(), values[a.place], values, members, Member{}) // 3
		b.beat(t.Context())                                            // 4
		a.beat(t.Context())
		if b.place == a.place || hosts(a) != "a b" {
			t.Errorf("b is at %d, a at %d and sees %q", b.place, a.place, hosts(a))
		}
	})
}

func TestASuccessorTakesThePlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		old, successor := join(store, "a"), join(store, "a")
		old.beat(t.Context())
		successor.beat(t.Context())
		successor.beat(t.Context())
		if hosts(successor) != "a" {
			t.Errorf("the successor sees %q", hosts(successor))
		}
	})
}

// Whatever Redis says, what is kept is bounded and harmless.
func TestRedisIsNotBelieved(t *testing.T) {
	t.Parallel()
	store := newMemory()
	f := join(store, "a")
	lies := []string{
		"", "left", "{", "[1]", `{"id":""}`, `{"id":"x","host":7}`, strings.Repeat("x", 1<<20),
		`{"id":"1","self":true,"host":"` + strings.Repeat("ü", 300) + `","page":"\u001b[2Jx\u202e"}`,
		`{"id":"2","hit_ratio":-7,"queries_per_second":-1,"uptime_seconds":1e308,"sessions":-4,"follower_age_seconds":-1}`,
		`{"id":"2","host":"twice"}`, `{"id":"` + f.id + `","host":"us"}`,
	}
	for i, lie := range lies {
		store.Renew(t.Context(), f.keys[i], []byte(lie), time.Hour)
	}
	f.beat(t.Context())
	members := f.Members()
	if len(members) != 3 {
		t.Fatalf("believed %+v", members)
	}
	for _, m := range members[1:] {
		if m.Self || len(m.Host) > textMax || m.Page != "" && m.Page != "[2Jx" || m.HitRatio != nil && *m.HitRatio != 0 ||
			m.QueriesPerSecond != 0 || m.UptimeSeconds > numberMax || m.Sessions != 0 || m.FollowerAgeSeconds != nil && *m.FollowerAgeSeconds != 0 {
			t.Errorf("believed %+v", m)
		}
	}
	for place := range PlacesMax {
		store.Renew(t.Context(), f.keys[place], fmt.Appendf(nil, `{"id":"x%d"}`, place), time.Hour)
	}
	f.beat(t.Context())
	if n := len(f.Members()); n != PlacesMax+1 {
		t.Errorf("%d members of a full fleet", n)
	}
}
