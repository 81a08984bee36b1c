package memory_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache/memory"
	"github.com/freshet/freshet/loadtest/allocations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type value struct{ text string }

func setup(t *testing.T, maxBytes int64) *memory.Store[value] {
	t.Helper()
	s, err := memory.New[value](memory.Options[value]{MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestSetIsVisibleWhenItReturns(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<24)
	for hash := range uint64(2000) {
		v := &value{fmt.Sprint(hash)}
		if !s.Set(hash, v, 100, 0) {
			t.Fatalf("set %d was refused by an empty store", hash)
		}
		if got, ok := s.Get(hash); !ok || got != v {
			t.Fatalf("get %d: %v, %v", hash, got, ok)
		}
	}
	if st := s.Stats(); st.Items != 2000 || st.Bytes != 2000*(100+192) || st.Rejected != 0 || st.Evictions != 0 {
		t.Fatalf("stats %+v", st)
	}
}

func TestSetAfterSetKeepsTheNewer(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<24)
	older, newer := &value{"older"}, &value{"newer"}
	for hash := range uint64(5000) {
		s.Set(hash, older, 10, 0)
		s.Set(hash, newer, 10, 0)
		if got, ok := s.Get(hash); !ok || got != newer {
			t.Fatalf("hash %d: the older value survived", hash)
		}
	}
	if st := s.Stats(); st.Items != 5000 {
		t.Fatalf("stats %+v after replacing 5000 items", st)
	}
}

// Many values at once are what one after the other would be, of one hash too.
func TestOneHashTwiceAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<24)
	older, newer := &value{"older"}, &value{"newer"}
	var all []memory.Setting[value]
	for hash := range uint64(300) {
		all = append(all, memory.Setting[value]{Hash: hash, Value: older, Cost: 10}, memory.Setting[value]{Hash: hash, Value: newer, Cost: 10})
	}
	if held := s.SetAll(all); held != len(all) {
		t.Errorf("%d of %d are held", held, len(all))
	}
	for hash := range uint64(300) {
		if got, ok := s.Get(hash); !ok || got != newer {
			t.Fatalf("hash %d: the older value survived", hash)
		}
	}
	if st := s.Stats(); st.Items != 300 {
		t.Errorf("stats %+v", st)
	}
}

// Several who set many at once, each in another order, do not wait for each other for ever; a
// value is found of each hash then, and that of who sets last.
func TestManySetManyAtOnce(t *testing.T) {
	t.Parallel()
	const hashes = 100
	s := setup(t, 1<<24)
	setAll := func(step uint64, v *value) {
		var all []memory.Setting[value]
		for i := range uint64(hashes) {
			all = append(all, memory.Setting[value]{Hash: (i*step + 7) % hashes, Value: v, Cost: 10})
		}
		if held := s.SetAll(all); held != hashes {
			t.Errorf("%d of %d values are held", held, hashes)
		}
	}
	var wg sync.WaitGroup
	for _, step := range []uint64{1, 3, 7, 9} {
		wg.Go(func() {
			for range 50 {
				setAll(step, &value{})
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Items != hashes {
		t.Errorf("stats %+v, want %d items", st, hashes)
	}
	last := &value{"last"}
	for _, want := range []*value{nil, last} {
		for hash := range uint64(hashes) {
			if got, ok := s.Get(hash); !ok || want != nil && got != want {
				t.Fatalf("hash %d: got %v, %v, want %v", hash, got, ok, want)
			}
		}
		setAll(3, last)
	}
}

func TestDeletedValueStaysDeleted(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<24)
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(500) {
				hash := worker<<32 | i
				s.Set(hash, &value{}, 10, 0)
				s.Del(hash)
				if _, ok := s.Get(hash); ok {
					t.Errorf("hash %d came back", hash)
				}
			}
		})
	}
	wg.Wait()
	s.Set(1, &value{}, 10, 0) // the queue behind the deletions is empty once this is visible
	if st := s.Stats(); st.Items != 1 {
		t.Fatalf("stats %+v, want one item", st)
	}
}

func TestBytesStayWithinTheBound(t *testing.T) {
	t.Parallel()
	const maxBytes = 1 << 16
	s := setup(t, maxBytes)
	for i := range uint64(2000) {
		hash := i * 0x9e3779b97f4a7c15
		s.Get(hash) // a reader asked before it loaded
		s.Set(hash, &value{}, 500, 0)
		if st := s.Stats(); st.Bytes > maxBytes {
			t.Fatalf("%d bytes held after %d sets, %d allowed", st.Bytes, i+1, maxBytes)
		}
	}
	st := s.Stats()
	if st.Items != st.Bytes/(500+192) || st.Items == 0 {
		t.Fatalf("stats %+v: items and bytes disagree", st)
	}
	if st.Evictions+st.Rejected+uint64(st.Items) != 2000 {
		t.Fatalf("stats %+v do not account for 2000 sets", st)
	}
}

func TestRefusesWhatIsLargerThanTheStore(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<16)
	if s.Set(1, &value{}, 1<<16, 0) {
		t.Fatal("held an item larger than the store")
	}
	if st := s.Stats(); st.Rejected != 1 || st.Items != 0 {
		t.Fatalf("stats %+v", st)
	}
}

func TestSmallStoreIsSmall(t *testing.T) {
	// Not parallel: it measures the heap of the process.
	before := heap()
	s := setup(t, 1<<20)
	if grown := int64(heap()) - int64(before); grown > 2<<20 {
		t.Fatalf("an empty store of 1 MiB takes %d bytes", grown)
	}
	runtime.KeepAlive(s)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestCloseBesideEverything(t *testing.T) {
	t.Parallel()
	for range 50 {
		s := setup(t, 1<<20)
		started := make(chan struct{}, 4)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range uint64(400) {
					s.Set(i, &value{}, 10, 0)
					s.Get(i)
					s.Del(i + 1)
					s.Stats()
					if i == 20 {
						started <- struct{}{}
					}
				}
			})
		}
		<-started
		s.Close()
		s.Close()
		wg.Wait()
		if _, ok := s.Get(1); ok {
			t.Fatal("a closed store returned a value")
		}
		if s.Set(1, &value{}, 1, 0) {
			t.Fatal("a closed store took a value")
		}
	}
}

func TestNoAllocationsOnGet(t *testing.T) {
	s := setup(t, 1<<20)
	s.Set(7, &value{}, 10, 0)
	if n := allocations.Fewest(1000, func() { s.Get(7) }); n != 0 {
		t.Fatalf("%v allocations for a Get", n)
	}
}

func TestNewRefusesNoBytes(t *testing.T) {
	t.Parallel()
	if _, err := memory.New[value](memory.Options[value]{}); err == nil {
		t.Fatal("made a store of no bytes")
	}
}

func BenchmarkGet(b *testing.B) {
	s, err := memory.New[value](memory.Options[value]{MaxBytes: 1 << 22})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for hash := range uint64(1024) {
		s.Set(hash, &value{}, 10, 0)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for hash := uint64(0); pb.Next(); hash++ {
			s.Get(hash % 1024)
		}
	})
}
