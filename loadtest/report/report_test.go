package report

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is a report of one run: freshet has three times the throughput of direct, to within
// a few percent.
func sample() *Report {
	turn := func(perSecond float64) Turn {
		return Turn{Seconds: 1, Reads: int64(perSecond), PerSecond: perSecond, HitRatio: -1, Judged: int64(perSecond),
			Read:        Latency{Count: int64(perSecond), P50: 1e5 / perSecond, P99: 1e6 / perSecond, P999: 3e6 / perSecond},
			ProcessorUS: map[string]float64{"postgres": 50, "clients": 20}, Steps: []float64{perSecond, perSecond}}
	}
	target := func(name string, turns ...Turn) Target {
		t := Target{Name: name, About: "about " + name, Promise: "every commit", Turns: turns, Whole: turns[0], Compared: 10,
			ReadCurve: []Point{{0, 10}, {0.5, 20}, {0.99, 80}}}
		return t
	}
	freshet := target("freshet", turn(3000), turn(3100), turn(2900))
	freshet.Whole.HitRatio = 0.95
	aside := target("redis-ttl", turn(2000), turn(2000), turn(2000))
	aside.Whole.Behind, aside.Whole.Stale, aside.Whole.OldestMS = 40, 2, 900
	return &Report{Format: formatVersion, Command: "loadtest run <x>", Runs: []Run{{
		Name: "one", Workload: "point", About: "one row", Protocol: "prepared", Clients: 8, Keys: "zipf:0.99", Rows: 100, Span: 1,
		Writes: 0.05, Shape: "flat", Rounds: 3, TurnSeconds: 1,
		Targets: []Target{target("direct", turn(1000), turn(1000), turn(1000)), freshet, aside},
	}}}
}

func TestRatiosHaveIntervals(t *testing.T) {
	t.Parallel()
	r := sample().Runs[0]
	got, err := r.Ratio("freshet", "direct", "throughput")
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got.Estimate-3) > 0.01 || got.Low < 2.7 || got.Low > 2.95 || got.High < 3.05 || got.High > 3.3 {
		t.Errorf("the ratio is %+v, want 3 with an interval of some tenths around it", got)
	}
	if !got.Excludes(1) || got.Excludes(3.05) {
		t.Errorf("%+v excludes the wrong values", got)
	}
	if one := Over([]float64{2}, []float64{1}); one.Estimate != 2 || !math.IsInf(one.High, 1) {
		t.Errorf("the ratio of one round is %+v, of which nothing is certain", one)
	}
	for _, wrong := range [][3]string{{"freshet", "nobody", "throughput"}, {"freshet", "direct", "beauty"}} {
		if _, err := r.Ratio(wrong[0], wrong[1], wrong[2]); err == nil {
			t.Errorf("%v is no error", wrong)
		}
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	runs := sample().Runs
	for claim, holds := range map[string]bool{
		"hit>0.9": true, "hit > 0.96": false, "stale=0": true, "stale(redis-ttl)=0": false, "behind(redis-ttl)<=40": true,
		"ratio(freshet/direct)>2": true, "ratio(freshet/direct)>=3.5": false, "ratio.p99(freshet/direct)<1": true,
		"throughput(direct)>=1000": true, "p99(direct)<500": false, "errors=0": true, "processor<=70": true,
		"hit>0.9,stale=0,ratio(freshet/direct)>2": true, "hit>0.9,stale(redis-ttl)=0": false, "": true,
		"hit(pgpool)>0": false, // it was not there
	} {
		assertions, err := ParseAssertions(claim)
		if err != nil {
			t.Errorf("%s: %v", claim, err)
			continue
		}
		if broken := Check(runs, assertions); (len(broken) == 0) != holds {
			t.Errorf("%q holds is %v, want %v: %v", claim, len(broken) == 0, holds, broken)
		}
	}
	for _, claim := range []string{"hit", "hit>", "hit>x", "beauty>1", "ratio>2", "ratio(freshet)>2", "hit(freshet/direct)>1", "ratio.beauty(freshet/direct)>1", "hit>0.9;stale=0"} {
		if _, err := ParseAssertions(claim); err == nil {
			t.Errorf("%q is no error", claim)
		}
	}
}

func TestComparison(t *testing.T) {
	t.Parallel()
	before, after := sample(), sample()
	direct := after.Runs[0].Find("direct")
	for i := range direct.Turns {
		direct.Turns[i].PerSecond *= 1.2
	}
	changes, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	certain := 0
	for _, c := range changes {
		if c.Certain() {
			certain++
			if c.Target != "direct" || c.Figure != "throughput" || math.Abs(c.Ratio.Estimate-1.2) > 0.001 {
				t.Errorf("%+v has not changed", c)
			}
		}
	}
	if certain != 1 || len(changes) != 3*len(compared) {
		t.Errorf("%d of %d figures have changed, want 1 of %d", certain, len(changes), 3*len(compared))
	}
	var text strings.Builder
	if err := WriteChanges(&text, changes); err != nil || strings.Count(text.String(), "changed") != 1 {
		t.Errorf("%v\n%s", err, text.String())
	}
	after.Runs[0].Clients = 9
	if _, err := Compare(before, after); err == nil {
		t.Error("runs of other circumstances are compared")
	}
}

func TestBreakEven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ hit, miss, want float64 }{{4, 0.5, 1 / 1.75}, {2, 1.1, 0}, {2, 0.8, 1.0 / 3}} {
		if got := BreakEven(c.hit, c.miss); math.Abs(got-c.want) > 0.001 {
			t.Errorf("break-even of %v and %v is %v, want %v", c.hit, c.miss, got, c.want)
		}
	}
	if got := BreakEven(0.5, 0.5); !math.IsInf(got, 1) {
		t.Errorf("who gains nothing breaks even at %v", got)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	r := sample()
	ratio := func(name string) func(*Report) float64 {
		return func(r *Report) float64 { return r.RatioIn(name, "freshet", "direct", "throughput") }
	}
	r.Judge([]Goal{
		{What: "fast", Measure: ratio("one"), Bound: 2}, {What: "faster", Measure: ratio("one"), Bound: 4},
		{What: "bounded", Measure: ratio("one"), Bound: 4, Most: true}, {What: "unknown", Measure: ratio("two"), Bound: 1},
	})
	for i, want := range []string{"met", "**not met**", "met", "not measured"} {
		if got := r.Verdicts[i].Word(); got != want {
			t.Errorf("%s is %s, want %s", r.Verdicts[i].What, got, want)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	r, dir := sample(), t.TempDir()
	r.Runs[0].Targets[2].WrongAtRest = 3
	read := func(name string, write func(path string) error) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := write(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	read("a.json", r.WriteJSON)
	again, err := ReadJSON(filepath.Join(dir, "a.json"))
	if err != nil || len(again.Runs) != 1 || again.Runs[0].Title() != r.Runs[0].Title() {
		t.Errorf("the report is read as %+v, %v", again, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.json"), []byte(`{"format": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadJSON(filepath.Join(dir, "b.json")); err == nil {
		t.Error("a report of another format is read")
	}
	page := read("a.html", func(path string) error {
		return r.WriteHTML(path, Charts{Script: "var uPlot = 0;", Style: ".uplot {}"})
	})
	for name, form := range map[string]string{"text": text.String(), "markdown": read("a.md", r.WriteMarkdown), "page": page} {
		for _, word := range []string{"point, prepared, 8 clients, 5 % writes", "freshet", "95.0 %", "redis-ttl", "900 ms", "still wrong"} {
			if !strings.Contains(form, word) {
				t.Errorf("the %s does not say %q", name, word)
			}
		}
	}
	for _, foreign := range []string{"http://", "https://", "<link", "src="} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page needs something else: it has %q", foreign)
		}
	}
	if strings.Contains(page, "run <x>") {
		t.Error("the command is not escaped")
	}
	plain := read("b.html", func(path string) error { return r.WriteHTML(path, Charts{}) })
	if strings.Contains(plain, "<script") {
		t.Error("a page without the library has scripts")
	}
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{0: "0", 0.123: "0.12", 12.34: "12.3", 123.4: "123", 1234.5: "1234", 1234567: "1\u202f234\u202f567", 2e30: "2e+30", math.Inf(1): "–"} {
		if got := short(x); got != want {
			t.Errorf("%v is written %q, want %q", x, got, want)
		}
	}
	for us, want := range map[float64]string{0.5: "0.50 µs", 999: "999 µs", 1500: "1.50 ms", 2e6: "2 s"} {
		if got := micros(us); got != want {
			t.Errorf("%v µs are written %q, want %q", us, got, want)
		}
	}
}
