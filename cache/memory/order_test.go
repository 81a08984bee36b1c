package memory

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/allocations"
)

// Ristretto's goroutine is woken once for batchMax items of an order, and each of them is
// found all the while.
func TestRistrettoIsGivenManyAtOnce(t *testing.T) {
	t.Parallel()
	s := store(t, 1<<20)
	inRistretto := func() (n int) {
		s.items.Wait()
		for i := range uint64(3 * batchMax) {
			if _, ok := s.items.Get(i * orders); ok {
				n++
			}
		}
		return n
	}
	for i := range uint64(2*batchMax + 1) {
		v := fmt.Sprint(i)
		s.Set(i*orders, &v, 10, time.Millisecond)
		for earlier := range i + 1 {
			if got, ok := s.Get(earlier * orders); !ok || *got != fmt.Sprint(earlier) {
				t.Fatalf("item %d is not found after %d sets", earlier, i+1)
			}
		}
		if given, want := inRistretto(), int(i)/batchMax*batchMax; given != want {
			t.Fatalf("Ristretto has %d items after %d sets, want %d", given, i+1, want)
		}
	}
}

// What waits to be given can be replaced and deleted, and a victim among it is forgotten.
func TestItemThatWaitsToBeGiven(t *testing.T) {
	t.Parallel()
	s := store(t, 10*(10+ItemOverhead))
	older, newer, dear := "older", "newer", "dear"
	s.Set(1, &older, 10, time.Millisecond)
	s.Set(1, &newer, 10, time.Millisecond)
	if got, ok := s.Get(1); !ok || *got != newer {
		t.Fatalf("got %v, %v, want the newer", got, ok)
	}
	s.Del(1)
	if _, ok := s.Get(1); ok {
		t.Fatal("what was deleted is found")
	}
	for i := range uint64(10) {
		s.Set(2+i, &older, 10, time.Millisecond)
	}
	for !s.Set(100, &dear, 10, time.Hour) {
		continue // it is more popular each time
	}
	found, waiting := 0, 0
	for i := range uint64(101) {
		if _, ok := s.Get(i); ok {
			found++
		}
	}
	for i := range s.orders {
		waiting += s.orders[i].waiting.n
	}
	if items, _ := s.residents.held(); found != 10 || int(items) != found || waiting != found {
		t.Errorf("%d items are found, %d held, %d wait, want 10", found, items, waiting)
	}
}

// A set of a new key allocates its item, and what Ristretto is given it in. (With the race
// detector Ristretto's buffers of reads are allocated anew now and then.)
func TestSetAllocates(t *testing.T) {
	s := store(t, 1<<30)
	v, hash := "v", uint64(0)
	if n := allocations.Fewest(10_000, func() {
		hash++
		s.Set(hash, &v, 10, time.Millisecond)
	}); n > 3 {
		t.Errorf("%v allocations for a Set", n)
	}
}
