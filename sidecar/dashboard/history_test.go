package dashboard

import (
	"math"
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/count"
)

func column(t *testing.T, h *history, name, series string) []value {
	t.Helper()
	columns, err := h.columns(name)
	if err != nil {
		t.Fatal(err)
	}
	return columns.Series[series]
}

func TestHistoryRates(t *testing.T) {
	t.Parallel()
	h := newHistory()
	start := time.Now()
	age := 0.25
	h.add(&Stats{Queries: map[string]uint64{"hit_l1": 100}, Counts: count.Counts{UpstreamQueries: 10}}, start)
	if n := len(column(t, h, "15m", "upstream")); n != 0 {
		t.Fatalf("%d samples of one reading", n)
	}
	h.add(&Stats{Queries: map[string]uint64{"hit_l1": 160, "error": 4}, Counts: count.Counts{UpstreamQueries: 12}, FollowerAgeSeconds: &age}, start.Add(2*time.Second))
	// Counters never shrink; a reading that says so must not show a negative rate.
	h.add(&Stats{}, start.Add(3*time.Second))
	if c := column(t, h, "15m", "hit_l1"); len(c) != 2 || c[0] != 30 || c[1] != 0 {
		t.Errorf("hit_l1 %v", c)
	}
	if e, u := column(t, h, "15m", "error"), column(t, h, "15m", "upstream"); e[0] != 2 || u[0] != 1 {
		t.Errorf("errors %v, upstream %v", e, u)
	}
	if ages := column(t, h, "15m", "follower_age"); ages[0] != 0.25 || !math.IsNaN(float64(ages[1])) {
		t.Errorf("ages %v", ages)
	}
}

// The age that 99 of 100 readings did not exceed is of five minutes, and of what is known.
func TestAgeOfFiveMinutes(t *testing.T) {
	t.Parallel()
	h := newHistory()
	start := time.Unix(1_800_000_000, 0)
	if h.ageP99() != nil {
		t.Error("an age of no reading")
	}
	for i := range 701 {
		s := Stats{FollowerAgeSeconds: new(0.1)}
		switch {
		case i < 400: // longer ago
			s.FollowerAgeSeconds = new(9.0)
		case i%100 == 50: // 3 of 300
			s.FollowerAgeSeconds = new(0.5)
		case i%100 == 60:
			s.FollowerAgeSeconds = nil
		case i%100 == 70:
			s.FollowerAgeSeconds, s.FollowerResting = new(8.0), true
		}
		h.add(&s, start.Add(time.Duration(i)*time.Second))
	}
	if got := h.ageP99(); got == nil || float32(*got) != 0.5 {
		t.Errorf("99 of 100 are at most %v s old, want half a second", got)
	}
}

// A day and more: every resolution is bounded, and what is joined of short intervals is
// their mean, or the highest.
func TestHistoryOfADay(t *testing.T) {
	t.Parallel()
	h := newHistory()
	start := time.Unix(1_800_000_000, 0)
	const seconds = 25 * 3600
	events, age := uint64(0), 0.1
	for i := range seconds {
		events += uint64(i % 60) // 29.5 a second, on average
		high := age
		if i%60 == 7 {
			high = 0.9
		}
		h.add(&Stats{InvalidationEvents: events, FollowerAgeSeconds: &high}, start.Add(time.Duration(i)*time.Second))
	}
	for _, r := range resolutions {
		columns, err := h.columns(r.name)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(columns.Series["changes"]); n != r.length {
			t.Errorf("%s: %d values, want %d", r.name, n, r.length)
		}
		if end := start.Unix() + seconds; math.Abs(columns.End-float64(end)) > r.interval.Seconds()+1 {
			t.Errorf("%s ends at %v, want about %d", r.name, columns.End, end)
		}
	}
	changes, ages := column(t, h, "24h", "changes"), column(t, h, "24h", "follower_age")
	if got := changes[len(changes)-2]; got != 29.5 {
		t.Errorf("a minute has %v changes per second, want the mean", got)
	}
	if got := ages[len(ages)-2]; got != 0.9 {
		t.Errorf("a minute's age is %v, want the highest", got)
	}
}

// While the machine slept nothing is known: the values before stay where they were.
func TestHistoryHasGaps(t *testing.T) {
	t.Parallel()
	h := newHistory()
	start := time.Unix(1_800_000_000, 0)
	for i := range 40 {
		h.add(&Stats{InvalidationEvents: uint64(i)}, start.Add(time.Duration(i)*time.Second))
	}
	for i := range 40 {
		h.add(&Stats{InvalidationEvents: uint64(100 + i)}, start.Add(5*time.Minute+time.Duration(i)*time.Second))
	}
	fine, coarse := column(t, h, "15m", "changes"), column(t, h, "2h", "changes")
	if n := len(fine); n < 330 || n > 341 || !math.IsNaN(float64(fine[100])) {
		t.Errorf("%d values, the hundredth %v", n, fine[100])
	}
	if n := len(coarse); n < 31 || n > 34 || !math.IsNaN(float64(coarse[15])) {
		t.Errorf("%d values: %v", n, coarse)
	}
}

func TestHistoryTakesLittle(t *testing.T) {
	t.Parallel()
	taken := 0
	for _, r := range newHistory().rings {
		taken += 4 * len(r.values)
	}
	if taken > 2<<20 {
		t.Errorf("the history takes %d bytes", taken)
	}
}
