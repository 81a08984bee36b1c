package memory

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// popular reads a hash until its item may stand in front.
func popular(s *Store[string], hash uint64) {
	for range usesMax {
		s.Get(hash)
	}
}

// What stands in front is found there, and nowhere once it is replaced, deleted or has
// given way, or the store is closed.
func TestFrontHasWhatIsHeld(t *testing.T) {
	t.Parallel()
	const cost = 1000
	for how, ends := range map[string]func(s *Store[string]) (now string, held bool){
		"replaced": func(s *Store[string]) (string, bool) {
			newer := "newer"
			return newer, s.Set(1, &newer, cost, time.Second)
		},
		"deleted": func(s *Store[string]) (string, bool) {
			s.Del(1)
			return "", false
		},
		"given way": func(s *Store[string]) (string, bool) {
			dear := "dear"
			for !s.Set(2, &dear, cost, time.Hour) {
				continue // it is more popular each time
			}
			return "", false
		},
		"closed": func(s *Store[string]) (string, bool) {
			s.Close()
			return "", false
		},
	} {
		s := store(t, cost+ItemOverhead)
		first := "first"
		s.Set(1, &first, cost, time.Millisecond)
		popular(s, 1)
		if it := s.front.get(1); it == nil || it.value != &first {
			t.Errorf("%s: a popular item does not stand in front", how)
		}
		now, held := ends(s)
		got, ok := s.Get(1)
		if ok != held || ok && *got != now {
			t.Errorf("%s: found %v, %v, want %q, %v", how, got, ok, now, held)
		}
		if it := s.front.slot(1).Load(); it != nil && it.value == &first {
			t.Errorf("%s: it stands in front still", how)
		}
	}
}

// The interleaving of offer: an item is found, and gone before it comes to stand in front.
func TestItemThatGoesWhileItIsOffered(t *testing.T) {
	t.Parallel()
	s := store(t, 1<<16)
	older, newer := "older", "newer"
	s.Set(1, &older, 10, 0)
	for range usesMax - 1 {
		s.Get(1)
	}
	s.beforeOffer = func() {
		s.beforeOffer = nil
		s.Set(1, &newer, 10, 0)
	}
	s.Get(1)
	if it := s.front.slot(1).Load(); it != nil {
		t.Errorf("%q, which is gone, stands in front", *it.value)
	}
	if got, ok := s.Get(1); !ok || *got != newer {
		t.Errorf("got %v, %v after the newer was set", got, ok)
	}
}

// Items of one slot never take each other's reads, and one that is popular stays.
func TestItemsOfOneSlot(t *testing.T) {
	t.Parallel()
	s := store(t, 1<<20)
	for i := range uint64(3) {
		v := fmt.Sprint(i)
		s.Set(1+i*frontSlots, &v, 10, 0)
	}
	for range 3 * usesMax {
		for i := range uint64(3) {
			if got, ok := s.Get(1 + i*frontSlots); !ok || *got != fmt.Sprint(i) {
				t.Fatalf("item %d of the slot: %v, %v", i, got, ok)
			}
		}
	}
	if it := s.front.get(1); it == nil {
		t.Error("the first that was popular stands in front no more")
	}
}

// Readers never see an older value after a newer one, whoever sets, deletes and offers.
func TestFrontNeverGoesBack(t *testing.T) {
	t.Parallel()
	s, err := New[int](Options[int]{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	const hash, sets = 7, 2000
	var readers sync.WaitGroup
	ended := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			last := 0
			for {
				if got, ok := s.Get(hash); ok {
					if *got < last {
						t.Errorf("%d after %d", *got, last)
						return
					}
					last = *got
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for n := range sets {
		s.Set(hash, &n, 10, 0)
		for range usesMax {
			if got, ok := s.Get(hash); !ok || *got != n {
				t.Fatalf("set %d, got %v, %v", n, got, ok)
			}
		}
		if n%5 == 0 {
			s.Del(hash)
			if _, ok := s.Get(hash); ok {
				t.Fatalf("deleted %d, and it is there", n)
			}
		}
	}
	close(ended)
	readers.Wait()
}
