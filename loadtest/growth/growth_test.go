package growth

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

var freshet = servers.Build("../../sidecar/freshet")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(freshet.Removed(servers.Shared(m, servers.Needs{})))
}

// hours are the samples of four hours in which nothing grows: memory fills up first, and then
// goes up and down.
func hours() (all []Sample) {
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range 360 {
		filled := min(1, float64(i)/100)
		all = append(all, Sample{
			At: time.Duration(i) * 40 * time.Second, Resident: (60 + 40*filled + 8*dice.Float64()) * mebibyte,
			Live: (10 + 20*filled + dice.Float64()) * mebibyte, Goroutines: float64(60 + dice.IntN(8)),
			Threads: 14, Descriptors: float64(30 + dice.IntN(8)), Outbox: 4 * mebibyte * dice.Float64(),
		})
	}
	return all
}

// What goes up and down is steady, and a planted leak of each kind is found out.
func TestPlantedGrowthIsFound(t *testing.T) {
	t.Parallel()
	steady := Report{Samples: hours(), Operations: 1}
	if broken := steady.Broken(); broken != nil {
		t.Errorf("nothing grows: %q", broken)
	}
	short := Report{Samples: steady.Samples[:90], Operations: 1}
	for i := range short.Samples {
		short.Samples[i].Outbox += 10 * mebibyte * short.Samples[i].At.Hours()
	}
	if broken := short.Broken(); slices.ContainsFunc(broken, func(s string) bool { return strings.HasPrefix(s, "outbox") }) {
		t.Errorf("within an hour the outbox may grow: %q", broken)
	}
	for name, leak := range map[string]func(*Sample, float64){
		"resident":    func(s *Sample, hours float64) { s.Resident += 20 * mebibyte * hours },
		"live":        func(s *Sample, hours float64) { s.Live += 6 * mebibyte * hours },
		"goroutines":  func(s *Sample, hours float64) { s.Goroutines += 30 * hours },
		"threads":     func(s *Sample, hours float64) { s.Threads += 12 * hours },
		"descriptors": func(s *Sample, hours float64) { s.Descriptors += 30 * hours },
		"outbox":      func(s *Sample, hours float64) { s.Outbox += 10 * mebibyte * hours },
	} {
		r := Report{Samples: hours(), Operations: 1}
		for i := range r.Samples {
			leak(&r.Samples[i], r.Samples[i].At.Hours())
		}
		if broken := r.Broken(); len(broken) != 1 || !strings.HasPrefix(broken[0], name+" grew") {
			t.Errorf("%s leaks: %q", name, broken)
		}
	}
}

func TestFewSamplesAndFailuresAreNoSuccess(t *testing.T) {
	t.Parallel()
	few := Report{Samples: hours()[:minSamples-1], Operations: 9, Errors: 1, FirstError: "refused"}
	broken := few.Broken()
	if len(broken) != 2 || !slices.ContainsFunc(broken, func(s string) bool { return strings.Contains(s, "refused") }) {
		t.Errorf("%q", broken)
	}
}

// Each operation does what it is for, a sidecar is looked at, and the report tells all of it: also of
// one that never collects garbage, for which nothing is known to live.
func TestRunLooksAndServes(t *testing.T) {
	t.Setenv("GOGC", "off")
	r, err := Run(t.Context(), Options{Program: freshet.Path(t), Duration: 1500 * time.Millisecond, Rate: 200, Sample: 100 * time.Millisecond, Seed: 1, Progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors > 0 || r.Operations == 0 || len(r.Samples) == 0 {
		t.Errorf("%d operations, %d failed (%s), %d samples", r.Operations, r.Errors, r.FirstError, len(r.Samples))
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil || !strings.Contains(text.String(), "operations in") {
		t.Errorf("%v\n%s", err, &text)
	}
}
