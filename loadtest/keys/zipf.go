package keys

import (
	"math"
	"math/rand/v2"
)

// zipf draws ranks 1 … count, rank r in proportion to r^-skew, for any positive skew: YCSB's
// own generator needs one below 1, that of math/rand one above. The method is
// rejection-inversion, from W. Hörmann and G. Derflinger, "Rejection-inversion to generate
// variates from monotone discrete distributions", 1996: the area below a hat over the
// probabilities is inverted, and what falls between hat and probability is drawn again,
// which is seldom. It draws exactly, and needs no sum over all ranks to begin with.
//
// It is immutable once made.
type zipf struct {
	count      int64
	skew       float64
	low, high  float64 // the hat's areas at both ends
	acceptance float64 // how far left of a rank nothing is rejected
}

func newZipf(count int64, skew float64) *zipf {
	z := &zipf{count: count, skew: skew}
	z.low = z.area(1.5) - 1
	z.high = z.area(float64(count) + 0.5)
	z.acceptance = 2 - z.inverse(z.area(2.5)-z.weight(2))
	return z
}

// next draws a rank.
func (z *zipf) next(random *rand.Rand) int64 {
	for {
		u := z.high + random.Float64()*(z.low-z.high)
		x := z.inverse(u)
		rank := min(max(math.Round(x), 1), float64(z.count))
		if rank-x <= z.acceptance || u >= z.area(rank+0.5)-z.weight(rank) {
			return int64(rank)
		}
	}
}

// weight is how often a rank is drawn, in proportion.
func (z *zipf) weight(rank float64) float64 { return math.Pow(rank, -z.skew) }

// area is the integral of weight up to x, up to a constant.
func (z *zipf) area(x float64) float64 {
	if z.skew == 1 {
		return math.Log(x)
	}
	return math.Expm1((1-z.skew)*math.Log(x)) / (1 - z.skew)
}

// inverse is the x of an area.
func (z *zipf) inverse(area float64) float64 {
	if z.skew == 1 {
		return math.Exp(area)
	}
	return math.Exp(math.Log1p(max(area*(1-z.skew), -1)) / (1 - z.skew))
}
