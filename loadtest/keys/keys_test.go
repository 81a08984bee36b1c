package keys

import (
	"math"
	"math/rand/v2"
	"testing"
)

// draw counts what a distribution draws under a seed.
func draw(t *testing.T, name string, count int64, draws int) []int {
	t.Helper()
	d, err := Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	chooser, random := d.Chooser(count, 0, 1), rand.New(rand.NewPCG(1, 2))
	counts := make([]int, count)
	for range draws {
		counts[chooser.Next(random, count)]++
	}
	return counts
}

func TestZipfFollowsItsLaw(t *testing.T) {
	t.Parallel()
	const count, draws = 1000, 400_000
	for _, skew := range []float64{0.5, 0.99, 1, 1.2} {
		z, random := newZipf(count, skew), rand.New(rand.NewPCG(3, 4))
		counts := make([]int, count+1)
		for range draws {
			counts[z.next(random)]++
		}
		var sum float64
		for r := 1; r <= count; r++ {
			sum += math.Pow(float64(r), -skew)
		}
		for _, ranks := range [][2]int{{1, 1}, {2, 2}, {3, 9}, {10, 99}, {100, count}} {
			var got, want float64
			for r := ranks[0]; r <= ranks[1]; r++ {
				got += float64(counts[r]) / draws
				want += math.Pow(float64(r), -skew) / sum
			}
			if math.Abs(got-want) > 0.005 {
				t.Errorf("skew %v: ranks %v have a share of %.4f, want %.4f", skew, ranks, got, want)
			}
		}
	}
}

func TestPopularReachesEveryKeyAndSpreadsTheHotOnes(t *testing.T) {
	t.Parallel()
	for _, count := range []int64{1, 2, 10, 97, 100} {
		counts := draw(t, "zipf:0.5", count, 50_000)
		for key, n := range counts {
			if n == 0 {
				t.Errorf("of %d keys, %d was never drawn", count, key)
			}
		}
	}
	counts := draw(t, "zipf:1.2", 1000, 10_000)
	if counts[0] < 1000 || counts[1] > counts[0]/5 {
		t.Errorf("the most popular key was drawn %d times, its neighbour %d times", counts[0], counts[1])
	}
}

func TestHotspotAndUniform(t *testing.T) {
	t.Parallel()
	counts := draw(t, "hotspot:0.1:0.9", 100, 100_000)
	hot := 0
	for _, n := range counts[:10] {
		hot += n
	}
	if share := float64(hot) / 100_000; math.Abs(share-0.9) > 0.01 {
		t.Errorf("a tenth of the keys has a share of %.3f, want 0.9", share)
	}
	for key, n := range draw(t, "uniform", 100, 100_000) {
		if n < 800 || n > 1200 {
			t.Errorf("uniform drew key %d %d times of 1000 expected", key, n)
		}
	}
}

func TestLatestFollowsTheNewest(t *testing.T) {
	t.Parallel()
	d, _ := Parse("latest")
	chooser, random := d.Chooser(100, 0, 1), rand.New(rand.NewPCG(1, 2))
	for _, count := range []int64{100, 150, 100_000} {
		newest := 0
		for range 10_000 {
			key := chooser.Next(random, count)
			if key < 0 || key >= count {
				t.Fatalf("drew %d of %d", key, count)
			}
			if key == count-1 {
				newest++
			}
		}
		if newest < 1000 {
			t.Errorf("of %d keys, the newest was drawn %d times of 10 000", count, newest)
		}
	}
}

func TestScanShares(t *testing.T) {
	t.Parallel()
	d, _ := Parse("scan")
	var got []int64
	for client := range 2 {
		chooser := d.Chooser(4, client, 2)
		for range 3 {
			got = append(got, chooser.Next(nil, 4))
		}
	}
	for i, want := range []int64{0, 1, 2, 2, 3, 0} {
		if got[i] != want {
			t.Fatalf("two clients drew %v", got)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"zipf": "zipf:0.99", "zipf:1.2": "zipf:1.2", "uniform": "uniform", "latest": "latest:0.99",
		"hotspot": "hotspot:0.2:0.8", "hotspot:0.01:0.5": "hotspot:0.01:0.5", "scan": "scan",
	} {
		if d, err := Parse(text); err != nil || d.String() != want {
			t.Errorf("%s is read as %s, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "zipfian", "zipf:0", "zipf:x", "zipf:1:2", "uniform:1", "hotspot:0.1", "hotspot:2:3", "zipf:NaN"} {
		if d, err := Parse(text); err == nil {
			t.Errorf("%q is read as %s", text, d)
		}
	}
}
