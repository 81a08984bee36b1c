package growth

import (
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
)

// Sample is what a sidecar had at a moment since clients came: bytes that are resident, and
// that lived when garbage was collected last; goroutines, threads and descriptors; bytes of
// the outbox.
type Sample struct {
	At          time.Duration `json:"at"`
	Resident    float64       `json:"resident"`
	Live        float64       `json:"live"`
	Goroutines  float64       `json:"goroutines"`
	Threads     float64       `json:"threads"`
	Descriptors float64       `json:"descriptors"`
	Outbox      float64       `json:"outbox"`
}

// String is a line for people.
func (s Sample) String() string {
	size := func(n float64) string { return humanize.IBytes(uint64(max(n, 0))) }
	return fmt.Sprintf("%v: %s resident, %s live, %.0f goroutines, %.0f threads, %.0f descriptors, outbox %s",
		s.At, size(s.Resident), size(s.Live), s.Goroutines, s.Threads, s.Descriptors, size(s.Outbox))
}

// figure is one of what must not grow. slack and share are by how much it may be off: Go's
// runtime gives memory back as it likes, and clients come and go. Until from it may grow.
type figure struct {
	name  string
	of    func(Sample) float64
	bytes bool
	slack float64
	share float64 // of what it is
	from  time.Duration
}

const (
	mebibyte = 1 << 20
	// trimmed is when the outbox has what it is to have: rows stay there for an hour.
	trimmed = 65 * time.Minute
)

var figures = []figure{
	{"resident", func(s Sample) float64 { return s.Resident }, true, 4 * mebibyte, 0.05, 0},
	{"live", func(s Sample) float64 { return s.Live }, true, mebibyte, 0.05, 0},
	{"goroutines", func(s Sample) float64 { return s.Goroutines }, false, 6, 0, 0},
	{"threads", func(s Sample) float64 { return s.Threads }, false, 2, 0, 0},
	{"descriptors", func(s Sample) float64 { return s.Descriptors }, false, 6, 0, 0},
	{"outbox", func(s Sample) float64 { return s.Outbox }, true, mebibyte, 0.25, trimmed},
}

// warm is which part of the samples is not judged: a cache fills first, and so does what
// is remembered of statements.
const warm = 1.0 / 3

// trend is how a figure went: its medians in the first and the second half of what is
// judged, and its slope, in an hour.
type trend struct {
	figure
	before, after, hourly float64
}

// grew reports whether a figure grew by more than it may be off.
func (t trend) grew() bool { return t.after-t.before > max(t.slack, t.share*t.before) }

// minSamples is how many samples it takes to judge.
const minSamples = 12

// trends are those of all figures; none where there are too few samples to judge.
func trends(samples []Sample) (all []trend) {
	if len(samples) < minSamples {
		return nil
	}
	judged := samples[int(float64(len(samples))*warm):]
	half := len(judged) / 2
	for _, f := range figures {
		if judged[0].At < f.from {
			continue
		}
		all = append(all, trend{f, median(judged[:half], f.of), median(judged[half:], f.of), slope(judged, f.of)})
	}
	return all
}

func median(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// slope is the median of the slopes between any two samples, in an hour, which a few odd
// samples do not change.
func slope(samples []Sample, of func(Sample) float64) float64 {
	var slopes []float64
	for i, a := range samples {
		for _, b := range samples[i+1:] {
			if b.At > a.At {
				slopes = append(slopes, (of(b)-of(a))/(b.At-a.At).Hours())
			}
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	return slopes[len(slopes)/2]
}
