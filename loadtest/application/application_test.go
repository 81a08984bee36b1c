package application

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/stale"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an application that answers with a state, and a token that differs each time.
type fake struct {
	Application
	reads, writes atomic.Int64
	asked         atomic.Int64
	// state is what the sides' answers say.
	state string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case "GET":
		f.reads.Add(1)
	case "PUT":
		f.writes.Add(1)
	default:
		w.WriteHeader(http.StatusTeapot)
	}
	fmt.Fprintf(w, "state %s, token %d", f.state, f.asked.Add(1))
}

func (f *fake) Read(*rand.Rand) Request  { return Request{Name: "read", Method: "GET", Path: "/"} }
func (f *fake) Write(*rand.Rand) Request { return Request{Name: "write", Method: "PUT", Path: "/"} }
func (f *fake) Sample() []Request        { return []Request{f.Read(nil)} }
func (f *fake) Steady(body []byte) []byte {
	before, _, _ := strings.Cut(string(body), ",")
	return []byte(before)
}

// serve returns a client of the fake.
func (f *fake) serve(t *testing.T) *Client {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c := newClient(Address{"tcp", server.Listener.Addr().String()}, 1)
	t.Cleanup(c.close)
	return c
}

func TestClientsReadAndWriteInTheirShares(t *testing.T) {
	t.Parallel()
	f := &fake{}
	c, side := f.serve(t), &side{game: &game{Options: Options{Writes: 0.3}, app: f}}
	var took []time.Duration
	for len(took) < 200 {
		some, err := side.drive(t.Context(), c, time.Now().Add(10*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, some...)
	}
	reads, writes := f.reads.Load(), f.writes.Load()
	if reads+writes != int64(len(took)) || writes < reads/5 || writes > reads {
		t.Errorf("%d reads and %d writes in %d requests, want three of ten to write", reads, writes, len(took))
	}
}

func TestAnAnswerThatIsAnErrorIsOne(t *testing.T) {
	t.Parallel()
	f := &fake{}
	if _, err := f.serve(t).Send(t.Context(), Request{Method: "DELETE", Path: "/"}); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnswersThatDifferAreFound(t *testing.T) {
	t.Parallel()
	for state, differs := range map[string]bool{"new": false, "old": true} {
		own, other := &fake{state: "new"}, &fake{state: state}
		g := &game{app: own, witness: &side{clients: []*Client{own.serve(t)}}}
		g.sides = []*side{nil, {clients: []*Client{other.serve(t)}}}
		err := g.compare(context.Background())
		if (err != nil) != differs || differs && !strings.Contains(err.Error(), "state new") {
			t.Errorf("of state %s: %v", state, err)
		}
		if g.report.Compared == 0 {
			t.Error("nothing was compared")
		}
	}
}

// What is no read is no read that did not hit.
func TestHitsAreOfReads(t *testing.T) {
	t.Parallel()
	var r Report
	r.count(counted{
		Queries:       map[string]uint64{"hit_l1": 60, "hit_l2": 1, "coalesced": 2, "miss": 17, "bypass": 40},
		Misses:        map[string]uint64{"cold": 12, "invalidated": 5},
		Bypasses:      map[string]uint64{"not_select": 20, "clock": 15, "volatile_function": 5, "row_locks": 0},
		Shapes:        []Shape{{Statement: "SELECT a", Loads: 1}, {Statement: "SELECT b", Tags: []string{"t(id)"}, Loads: 2}},
		BypassSeconds: map[string]float64{"not_select": 1, "clock": 0.5, "volatile_function": 2.5},
	})
	if r.Hits != 63 || r.Cacheable != 80 || r.Reads != 100 {
		t.Errorf("%d hits of %d cacheable of %d reads, want 63, 80, 100", r.Hits, r.Cacheable, r.Reads)
	}
	var names []string
	for _, reason := range r.Reasons {
		names = append(names, reason.Name)
	}
	if got := strings.Join(names, " "); got != "volatile_function not_select clock" || r.Reasons[0].Share != 0.625 {
		t.Errorf("the reasons are %v", r.Reasons)
	}
	if len(r.Loaded) != 2 || r.Loaded[0].Statement != "SELECT b" {
		t.Errorf("loaded most often were %v", r.Loaded)
	}
	var text strings.Builder
	if err := WriteText([]Report{r}, &text); err != nil || !strings.Contains(text.String(), "| 63.0 % | 78.8 % |") || !strings.Contains(text.String(), "missed: cold: 15.0 %") {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestSumsOfTurns(t *testing.T) {
	t.Parallel()
	before := reading{database: time.Second, calls: 3, sidecar: counted{Queries: map[string]uint64{"miss": 1}}}
	after := reading{database: 3 * time.Second, calls: 5, sidecar: counted{Queries: map[string]uint64{"miss": 4, "bypass": 2}}}
	var all figures
	for range 2 {
		all.add(figures{seconds: 1, requests: 10, waited: 4, reading: after.since(before)})
	}
	if all.database != 4*time.Second || all.calls != 4 || all.waited != 8 || all.sidecar.Queries["miss"] != 6 || all.sidecar.Queries["bypass"] != 4 {
		t.Errorf("the sum is %+v", all)
	}
}

// Each share of a hundred reads is of some page, and no page is left out of the sample.
func TestRedmineReadsEachPage(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for share := range 100 {
		seen[redmineRead(share, 1, 2).Name] = true
	}
	sampled := map[string]bool{}
	for _, r := range (redmine{}).Sample() {
		sampled[r.Name] = true
	}
	if len(seen) != len(redmineKinds) || len(sampled) != len(redmineKinds) {
		t.Errorf("%d kinds are read and %d are compared, of %d", len(seen), len(sampled), len(redmineKinds))
	}
}

func TestTokensAndOrdersAreNotCompared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		app  Application
		a, b string
		same bool
	}{
		{redmine{}, `<meta name="csrf-token" content="a" /><form name="form-12ab">`, `<meta name="csrf-token" content="b" /><form name="form-34cd">`, true},
		{redmine{}, `<p>new</p>`, `<p>old</p>`, false},
		{&openFGA{}, `{"objects":["document:2","document:10"]}`, `{"objects":["document:10","document:2"]}`, true},
		{&openFGA{}, `{"objects":["document:2"]}`, `{"objects":["document:3"]}`, false},
		{&openFGA{}, `{"allowed":true}`, `{"allowed":false}`, false},
	} {
		if got := string(c.app.Steady([]byte(c.a))) == string(c.app.Steady([]byte(c.b))); got != c.same {
			t.Errorf("%s and %s are the same: %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

// shelf is a Judged application whose answers show the version that it is told.
type shelf struct {
	Judged
	version int64
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `{"version": %d}`, s.version)
}
func (s *shelf) Shown(body []byte) (int64, bool) { return django{}.Shown(body) }

func TestReadsThatAreBehindAreFound(t *testing.T) {
	t.Parallel()
	s := &shelf{version: 1}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c := newClient(Address{"tcp", server.Listener.Addr().String()}, 1)
	t.Cleanup(c.close)
	judge := stale.New(1, 0)
	look := func() {
		if err := c.look(t.Context(), s, judge, Request{Method: "GET", Path: "/"}); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if err := judge.Write(0, func(version int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	look() // shows version 1 when 2 was acknowledged
	s.version = 2
	look()
	if got := c.judgement; got.judged != 3 || got.behind != 1 || got.oldest <= 0 {
		t.Errorf("the judgement is %+v, want one of three behind", got)
	}
}

func TestWhatIsOlderThanPromisedIsCounted(t *testing.T) {
	t.Parallel()
	var sum, j judgement
	j.found(0)
	j.found(promised / 2)
	j.found(2 * promised)
	sum.add(j)
	sum.add(j)
	if sum.judged != 6 || sum.behind != 4 || sum.older != 2 || sum.oldest != 2*promised {
		t.Errorf("the sum is %+v", sum)
	}
	var text strings.Builder
	r := Report{Name: "shop", Freshet: Side{Judged: 2}, Peers: []Peer{{Name: "other", Side: Side{Judged: 4, Behind: 2, Older: 1}}}}
	if err := WriteText([]Report{r}, &text); err != nil || !strings.Contains(text.String(), "| 4 | 500000 | 250000 |") {
		t.Errorf("%v\n%s", err, &text)
	}
}
