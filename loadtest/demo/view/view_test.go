package view

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/freshet/freshet/loadtest/demo/shop"
	"github.com/freshet/freshet/loadtest/demo/shop/checker"
)

// frame is one in the middle of a demo.
func frame(elapsed time.Duration, asked uint64) Frame {
	times := func(p50 time.Duration) shop.Times {
		return shop.Times{Count: 100, P50: p50, P99: 4 * p50, Max: 9 * p50}
	}
	return Frame{
		Length: 30 * time.Second,
		Shop: shop.Report{
			Elapsed: elapsed, Asked: asked, Reached: asked / 20, Writes: 240, OfficeWrites: 120,
			Checks: checker.Report{Checked: asked, Contested: asked / 10, Late: 3, OwnChecked: 240, Totals: 77,
				Age: checker.Ages{P50: 0, P99: 2 * time.Millisecond, Max: 8 * time.Millisecond}},
			Statements: []shop.StatementReport{{Name: "product page", Asked: asked, Reached: asked / 20,
				Through: times(80 * time.Microsecond), Direct: times(200 * time.Microsecond)}},
			Visible: times(2 * time.Millisecond),
			Probe: shop.ProbeReport{Direct: times(210 * time.Microsecond), First: shop.ArmReport{Reached: times(300 * time.Microsecond)},
				Again: shop.ArmReport{Spared: times(71 * time.Microsecond)}, Elsewhere: shop.ArmReport{Spared: times(170 * time.Microsecond)}},
			Stampedes: shop.StampedeReport{Count: 4, Asked: 400, Reached: 8, Served: times(20 * time.Millisecond)},
		},
		Sidecars: []Sidecar{
			{Name: "A", Outcomes: Outcomes{Memory: asked / 2, Redis: 10, Joined: 5, Missed: asked / 50}, Events: 310, FollowerAge: 3 * time.Millisecond},
			{Name: "B", Outcomes: Outcomes{Memory: asked / 4, Passed: asked / 20}, Events: 312, FollowerAge: -1,
				Reasons: map[string]uint64{"analysis_pending": 4, "portal_reused": 1900}},
		},
	}
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestTheEssentialFits80By24(t *testing.T) {
	v, out := terminal(80, 24)
	f := frame(time.Second, 98_765_432)
	f.Sidecars[1].FollowerAge = 123 * time.Millisecond
	v.Show(f)
	text := strings.Join(shownLines(out.String()), "\n")
	for _, want := range []string{"passed on 6.1 %", "8 reached Postgres", "B 123 ms", "errors: 0", "max 18.0 ms",
		"98 765 432 checked", "wrong totals: 0 of 77", "3 reads returned what had just been replaced, for 8.00 ms at most"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

// terminal is a view on a screen of a given size.
func terminal(width, height int) (*View, *bytes.Buffer) {
	var out bytes.Buffer
	return &View{out: &out, size: func() (int, int) { return width, height }}, &out
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// shownLines are the lines of a drawing without their control sequences.
func shownLines(drawing string) []string {
	return strings.Split(strings.TrimSuffix(escapes.ReplaceAllString(drawing, ""), "\n"), "\n")
}

func TestPlainWhereNothingCanBeDrawn(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if v := New(file, environment(map[string]string{"TERM": "xterm"})); v.size != nil || v.Interval() != plainEvery {
		t.Error("a file is taken for a terminal")
	}
	var out bytes.Buffer
	v := New(&out, environment(nil))
	defer v.Close()
	v.Show(frame(5*time.Second, 20_000))
	v.Show(frame(10*time.Second, 40_000))
	v.Sum(frame(12*time.Second, 48_000))
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("control sequences in plain text:\n%s", out.String())
	}
	for _, want := range []string{
		"  5 s  reads 20 000, reached Postgres 1 000 (5.0 %)",
		" 10 s  reads 40 000",
		"product page p50/p99: hit 0.071 ms / 0.284 ms, miss 0.300 ms / 1.20 ms, without Freshet 0.210 ms / 0.840 ms",
		"stampedes 4: 400 asked, 8 reached Postgres   invalidations 312   follower age A 3.00 ms B unknown",
		"stale reads: 0 of 40 000 checked",
		"In 12s",
		"stale reads: 0 of 48 000 checked   4 800 of them of something changed in the second before",
		"passed on because of: portal_reused 1 900, analysis_pending 4",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
}

func TestDrawingReplacesTheOneBefore(t *testing.T) {
	v, out := terminal(120, 60)
	v.Show(frame(time.Second, 1000))
	first := shownLines(out.String())
	out.Reset()
	v.Show(frame(3*time.Second, 7000))
	up := regexp.MustCompile("\x1b\\[([0-9]+)F").FindStringSubmatch(out.String())
	if up == nil || up[1] != itoa(len(first)) {
		t.Errorf("the cursor goes up by %v, want the %d lines drawn before", up, len(first))
	}
	if text := strings.Join(shownLines(out.String()), "\n"); !strings.Contains(text, "3 000/s") {
		t.Errorf("the rate since the first frame is not 3 000/s:\n%s", text)
	}
	out.Reset()
	v.Close()
	if out.String() != "\x1b[?25h" {
		t.Errorf("Close writes %q, not the cursor's return", out.String())
	}
}

func itoa(n int) string { return number(uint64(n)) }

func TestScreenIsNeverOverflown(t *testing.T) {
	for _, size := range []struct{ width, height int }{{200, 100}, {120, 40}, {80, 24}, {40, 12}, {20, 5}, {1, 2}} {
		v, out := terminal(size.width, size.height)
		v.Show(frame(time.Second, 123_456))
		lines := shownLines(out.String())
		if len(lines) >= size.height {
			t.Errorf("%d lines are drawn on a screen of %d", len(lines), size.height)
		}
		for _, l := range lines {
			if n := utf8.RuneCountInString(strings.TrimPrefix(l, "\r")); n > size.width {
				t.Errorf("a line has %d characters on a screen of %d: %q", n, size.width, l)
			}
		}
		if size.height >= 5 && size.width >= 40 && !strings.Contains(strings.Join(lines, "\n"), "stale reads: 0 of 123 456") {
			t.Errorf("the verdict is not on a screen of %d x %d:\n%s", size.width, size.height, strings.Join(lines, "\n"))
		}
	}
}

func TestViolationsStandOut(t *testing.T) {
	f := frame(time.Second, 1000)
	f.Shop.Checks.Stale = 2
	f.Shop.Checks.Examples = []string{"stale: product/7 at version 1"}
	f.Shop.Errors, f.Shop.ErrorExamples = 1, []string{"connection refused"}
	f.Shop.NeverVisible, f.Shop.Checks.Unjudged = 3, 4
	v, out := terminal(160, 100)
	v.Show(f)
	for _, want := range []string{
		"\x1b[1;31mstale reads: 2 of 1 000 checked", "\x1b[1;31m  stale: product/7 at version 1",
		"\x1b[1;31merrors: 1", "\x1b[1;31m  connection refused", "\x1b[1;32mback in time: 0",
		"3 writes did not show", "4 could not be judged",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, out.String())
		}
	}
}

func TestUnknownFiguresAreDashes(t *testing.T) {
	var out bytes.Buffer
	New(&out, environment(nil)).Sum(Frame{})
	if text := out.String(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || !strings.Contains(text, unknown) {
		t.Errorf("an empty frame:\n%s", text)
	}
}

func TestSidecarThatRestartedMakesNoNegativeNumbers(t *testing.T) {
	if got := (Outcomes{Memory: 5}).since(Outcomes{Memory: 9, Missed: 1}); got != (Outcomes{}) {
		t.Errorf("got %+v", got)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(1000), "1 000"}, {number(1234567), "1 234 567"},
		{percent(0, 0), unknown}, {percent(1, 3), "33.3 %"},
		{duration(71 * time.Microsecond), "0.071 ms"}, {duration(2130 * time.Microsecond), "2.13 ms"},
		{duration(45600 * time.Microsecond), "45.6 ms"}, {duration(340 * time.Millisecond), "340 ms"},
		{duration(1500 * time.Millisecond), "1.50 s"},
		{bar(0, 0, 3), "░░░"}, {bar(1, 2, 3), "█▌░"}, {bar(3, 3, 3), "███"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
