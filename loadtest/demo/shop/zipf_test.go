package shop

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestZipfFollowsItsDistribution(t *testing.T) {
	const n, draws = 1000, 400_000
	z := newZipf(n, skew)
	random := rand.New(rand.NewPCG(1, 2))
	counts := make([]int, n)
	for range draws {
		counts[z.rank(random)]++
	}
	want := func(from, to int) float64 {
		var sum float64
		for r := from; r < to; r++ {
			sum += 1 / math.Pow(float64(r+1), skew) / z.zetaN
		}
		return sum
	}
	for _, ranks := range []struct{ from, to int }{{0, 1}, {1, 2}, {2, 10}, {10, 100}, {100, n}} {
		var got float64
		for r := ranks.from; r < ranks.to; r++ {
			got += float64(counts[r]) / draws
		}
		if expected := want(ranks.from, ranks.to); math.Abs(got-expected) > 0.03 {
			t.Errorf("ranks %d to %d: share %.3f, want %.3f", ranks.from, ranks.to-1, got, expected)
		}
	}
}

func TestPopularityReachesIdsFromOneToN(t *testing.T) {
	for _, n := range []int{3, 10} {
		p := newPopularity(n, 1)
		random := rand.New(rand.NewPCG(3, 4))
		seen := map[int64]bool{}
		for range 20_000 {
			seen[p.draw(random)] = true
		}
		for id := int64(1); id <= int64(n); id++ {
			if !seen[id] {
				t.Errorf("id %d of %d was never drawn", id, n)
			}
		}
		if len(seen) != n {
			t.Errorf("%d different ids were drawn of %d", len(seen), n)
		}
	}
}

func TestPopularityIsTheSameForTheSameSeed(t *testing.T) {
	a, b := newPopularity(50, 9), newPopularity(50, 9)
	random, again := rand.New(rand.NewPCG(5, 6)), rand.New(rand.NewPCG(5, 6))
	for range 100 {
		if x, y := a.draw(random), b.draw(again); x != y {
			t.Fatalf("drew %d and %d", x, y)
		}
	}
}
