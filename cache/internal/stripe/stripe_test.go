package stripe_test

import (
	"sync"
	"testing"

	"github.com/freshet/freshet/cache/internal/stripe"
)

// Goroutines that run at the same time are mostly in stripes of their own.
func TestGoroutinesAreSpread(t *testing.T) {
	t.Parallel()
	const goroutines = stripe.Count
	var (
		all, together sync.WaitGroup
		mu            sync.Mutex
		seen          = map[int]int{}
	)
	together.Add(goroutines)
	for range goroutines {
		all.Go(func() {
			together.Done()
			together.Wait()
			mine := stripe.OfCaller()
			mu.Lock()
			defer mu.Unlock()
			seen[mine]++
		})
	}
	all.Wait()
	if len(seen) < goroutines/4 {
		t.Errorf("%d goroutines are in %d stripes", goroutines, len(seen))
	}
	for s := range seen {
		if s < 0 || s >= stripe.Count {
			t.Errorf("stripe %d of %d", s, stripe.Count)
		}
	}
}

func TestStripeDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(1000, func() { stripe.OfCaller() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
