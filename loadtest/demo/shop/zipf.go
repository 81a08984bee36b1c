package shop

import (
	"math"
	"math/rand/v2"
)

// zipf draws ranks 0 … n-1, rank 0 most often, rank r in proportion to
// 1/(r+1)^skew, for a skew below 1, which the generator of math/rand does not
// accept. The method is the one of YCSB's ZipfianGenerator, from J. Gray et al.,
// "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994: the two
// first ranks are exact, the others approximate the distribution.
//
// It is immutable; goroutines share it, each with its own source of randomness.
type zipf struct {
	n                  float64
	zetaN, alpha, eta  float64
	secondRankBoundary float64
}

func newZipf(n int, skew float64) *zipf {
	z := &zipf{
		n:                  float64(n),
		zetaN:              zeta(n, skew),
		alpha:              1 / (1 - skew),
		secondRankBoundary: 1 + math.Pow(0.5, skew),
	}
	z.eta = (1 - math.Pow(2/z.n, 1-skew)) / (1 - zeta(2, skew)/z.zetaN)
	return z
}

// zeta is the sum of 1/i^skew for i from 1 to n.
func zeta(n int, skew float64) float64 {
	var sum float64
	for i := 1; i <= n; i++ {
		sum += 1 / math.Pow(float64(i), skew)
	}
	return sum
}

func (z *zipf) rank(random *rand.Rand) int {
	u := random.Float64()
	switch uz := u * z.zetaN; {
	case uz < 1:
		return 0
	case uz < z.secondRankBoundary:
		return 1
	}
	return min(int(z.n)-1, int(z.n*math.Pow(z.eta*u-z.eta+1, z.alpha)))
}

// popularity draws ids 1 … n, a few of them often. Which ones is the same for
// everyone who uses the same seed, and has nothing to do with their order.
type popularity struct {
	ranks *zipf
	ids   []int // by rank, from 0
}

func newPopularity(n int, seed uint64) popularity {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	return popularity{ranks: newZipf(n, skew), ids: random.Perm(n)}
}

func (p popularity) draw(random *rand.Rand) int64 {
	return int64(p.ids[p.ranks.rank(random)] + 1)
}
