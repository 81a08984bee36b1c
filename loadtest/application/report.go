package application

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet/loadtest/report"
)

// Report is what was found of one application.
type Report struct {
	Name    string  `json:"name"`
	About   string  `json:"about"`
	Version string  `json:"version"`
	Clients int     `json:"clients"`
	Writes  float64 `json:"writes"`
	// Direct and Freshet are the application on Postgres itself, and through a sidecar.
	Direct  Side `json:"direct"`
	Freshet Side `json:"freshet"`
	// Ratio is requests a second through the sidecar, over those on Postgres itself.
	Ratio report.Interval `json:"ratio"`
	// DatabaseSaved is which share of Postgres' time for a request the sidecar spares,
	// by Postgres' own account.
	DatabaseSaved float64 `json:"database_saved"`
	// Hits of Cacheable reads were answered by the sidecar, and of Reads in all: what was
	// passed through for another reason than that it is no read counts as a read.
	Hits      uint64 `json:"hits"`
	Cacheable uint64 `json:"cacheable"`
	Reads     uint64 `json:"reads"`
	// Misses are the cacheable reads that were no hits, by what there was instead of an answer.
	Misses map[string]uint64 `json:"misses"`
	// SavedSeconds is Postgres' time for hits, as their loads took.
	SavedSeconds float64 `json:"saved_seconds"`
	// Reasons are why statements were passed through, the one that took Postgres longest first.
	Reasons []Reason `json:"reasons"`
	// Loaded are the statements that were loaded most often, warm-up included, and what ends
	// their answers.
	Loaded []Shape `json:"loaded"`
	// Peers are the application with other caches, in place of a sidecar.
	Peers []Peer `json:"peers,omitempty"`
	// Compared answers were the same as the application's own on Postgres itself.
	Compared int `json:"compared"`
}

// Side is what was found of an application on one database.
type Side struct {
	Requests  float64 `json:"requests"`
	PerSecond float64 `json:"per_second"`
	P50MS     float64 `json:"p50_ms"`
	P99MS     float64 `json:"p99_ms"`
	// DatabaseMS is Postgres' time for a request, to plan and to execute, and DatabaseShare
	// what share of the request that is. Calls are the statements that reach it for each.
	DatabaseMS    float64 `json:"database_ms"`
	DatabaseShare float64 `json:"database_share"`
	Calls         float64 `json:"calls"`
	// Judged reads showed a version. Behind of them lacked what had been acknowledged before
	// they were sent, Older of these for longer than Freshet promises where writes go past it,
	// and OldestMS is the longest.
	Judged   int64   `json:"judged"`
	Behind   int64   `json:"behind"`
	Older    int64   `json:"older"`
	OldestMS float64 `json:"oldest_ms"`
	// Statements are those that Postgres took longest for.
	Statements []Statement `json:"statements"`
}

// Shape is a statement that is cached, as the sidecar tells it.
type Shape struct {
	Statement string   `json:"statement"`
	Tags      []string `json:"tags"`
	// Watch are commands after which less would end its answers.
	Watch []string `json:"watch"`
	Hits  uint64   `json:"hits"`
	Loads uint64   `json:"loads"`
}

// loadedMax is how many statements are told that were loaded most often.
const loadedMax = 5

// Peer is an application with another cache.
type Peer struct {
	Name string `json:"name"`
	Side
	// Ratio is its requests a second, over those on Postgres itself.
	Ratio report.Interval `json:"ratio"`
}

// Statement is one that an application sends, as Postgres tells it, without values.
type Statement struct {
	Text         string  `json:"text"`
	Calls        int64   `json:"calls"`
	Milliseconds float64 `json:"ms"`
}

// Reason is one for which statements were passed through.
type Reason struct {
	Name       string `json:"name"`
	Statements uint64 `json:"statements"`
	// Share is that of Postgres' time for all that passed through.
	Share    float64  `json:"share"`
	Examples []string `json:"examples,omitempty"`
}

// noRead is the reason of what is no read.
const noRead = "not_select"

// tell makes the report of what was counted.
func (g *game) tell(ctx context.Context) (err error) {
	r := &g.report
	r.Name, r.About, r.Clients, r.Writes = g.name, g.app.About(), g.Clients, g.Writes
	if r.Version, err = g.app.Version(ctx); err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	for i, s := range g.sides {
		found := s.figures()
		if found.Statements, err = s.statements(ctx); err != nil {
			return err
		}
		switch i {
		case 0:
			r.Direct = found
		case 1:
			r.Freshet = found
		default:
			r.Peers = append(r.Peers, Peer{Name: s.name, Side: found, Ratio: report.Over(s.perSecond(), g.sides[0].perSecond())})
		}
	}
	r.Ratio = report.Over(g.sides[1].perSecond(), g.sides[0].perSecond())
	if r.Direct.DatabaseMS > 0 {
		r.DatabaseSaved = 1 - r.Freshet.DatabaseMS/r.Direct.DatabaseMS
	}
	r.count(g.sides[1].all.sidecar)
	return nil
}

// count takes over what the sidecar has counted.
func (r *Report) count(c counted) {
	r.Hits = c.Queries["hit_l1"] + c.Queries["hit_l2"] + c.Queries["coalesced"]
	r.Cacheable = r.Hits + c.Queries["miss"]
	r.Reads = r.Cacheable + c.Queries["bypass"] - c.Bypasses[noRead]
	r.SavedSeconds, r.Misses = c.SavedSeconds, c.Misses
	r.Loaded = slices.SortedStableFunc(slices.Values(c.Shapes), func(a, b Shape) int { return cmp.Compare(b.Loads, a.Loads) })
	r.Loaded = r.Loaded[:min(len(r.Loaded), loadedMax)]
	var whole float64
	for _, seconds := range c.BypassSeconds {
		whole += seconds
	}
	for _, name := range slices.Sorted(maps.Keys(c.Bypasses)) {
		if c.Bypasses[name] == 0 {
			continue
		}
		reason := Reason{Name: name, Statements: c.Bypasses[name], Examples: c.Examples[name]}
		if whole > 0 {
			reason.Share = c.BypassSeconds[name] / whole
		}
		r.Reasons = append(r.Reasons, reason)
	}
	slices.SortStableFunc(r.Reasons, func(a, b Reason) int { return cmp.Compare(b.Share, a.Share) })
}

// perSecond are requests a second, turn by turn.
func (s *side) perSecond() (all []float64) {
	for _, t := range s.turns {
		all = append(all, t.requests/t.seconds)
	}
	return all
}

func (s *side) figures() Side {
	const milliseconds = 1e3
	f, requests := s.all, max(1, s.all.requests)
	return Side{
		Requests: f.requests, PerSecond: f.requests / f.seconds,
		P50MS: float64(s.latencies.ValueAtQuantile(50)) / milliseconds, P99MS: float64(s.latencies.ValueAtQuantile(99)) / milliseconds,
		DatabaseMS: f.database.Seconds() * milliseconds / requests, DatabaseShare: f.database.Seconds() / max(f.waited, 1e-9),
		Calls:  float64(f.calls) / requests,
		Judged: s.judgement.judged, Behind: s.judgement.behind, Older: s.judgement.older, OldestMS: s.judgement.oldest.Seconds() * milliseconds,
	}
}

// ratio is a share in percent; "–" of nothing.
func ratio(some, of uint64) string {
	if of == 0 {
		return "–"
	}
	return percent(float64(some) / float64(of))
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// WriteText prints reports for people, as tables in Markdown.
func WriteText(reports []Report, to io.Writer) error {
	var b strings.Builder
	b.WriteString("| application | requests/s direct | through | ratio | p50 direct, through (ms) | p99 | database of a request, direct, through | statements to Postgres | hits of all reads | of cacheable | database time saved |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range reports {
		d, f := r.Direct, r.Freshet
		fmt.Fprintf(&b, "| %s, %d clients, %s writes | %.1f | %.1f | %.2f (%.2f to %.2f) | %.0f, %.0f | %.0f, %.0f | %s, %s | %.1f, %.1f | %s | %s | %s |\n",
			r.Name, r.Clients, percent(r.Writes), d.PerSecond, f.PerSecond, r.Ratio.Estimate, r.Ratio.Low, r.Ratio.High, d.P50MS, f.P50MS, d.P99MS, f.P99MS,
			percent(d.DatabaseShare), percent(f.DatabaseShare), d.Calls, f.Calls, ratio(r.Hits, r.Reads), ratio(r.Hits, r.Cacheable), percent(r.DatabaseSaved))
	}
	for i := range reports {
		reports[i].writeJudgements(&b)
	}
	for _, r := range reports {
		fmt.Fprintf(&b, "\n%s %s: %s. %d answers compared, all equal.\n", r.Name, r.Version, r.About, r.Compared)
		for _, cause := range slices.Sorted(maps.Keys(r.Misses)) {
			if n := r.Misses[cause]; n > 0 {
				fmt.Fprintf(&b, "  missed: %s: %s of cacheable reads\n", cause, ratio(n, r.Cacheable))
			}
		}
		for _, l := range r.Loaded {
			fmt.Fprintf(&b, "  loaded: %d times, hit %d times, ended by %s: %s\n", l.Loads, l.Hits, strings.Join(l.Tags, ", "), oneLine(l.Statement))
			for _, command := range l.Watch {
				fmt.Fprintf(&b, "      less would end it after: %s\n", command)
			}
		}
		for _, reason := range r.Reasons {
			fmt.Fprintf(&b, "  passed through: %s: %d statements, %s of the time of what passed through\n", reason.Name, reason.Statements, percent(reason.Share))
			for _, example := range reason.Examples {
				fmt.Fprintf(&b, "      %s\n", oneLine(example))
			}
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// writeJudgements prints how fast and how fresh each cache of an application is.
func (r *Report) writeJudgements(to io.Writer) {
	if r.Freshet.Judged == 0 {
		return
	}
	fmt.Fprintf(to, "\n| %s with | requests/s | over direct | p50 (ms) | p99 | statements to Postgres | reads judged | behind, of a million | by more than %s | longest (ms) |\n|---|---|---|---|---|---|---|---|---|---|\n", r.Name, promised)
	one := report.Interval{Estimate: 1, Low: 1, High: 1}
	for _, p := range append([]Peer{{"nothing", r.Direct, one}, {"freshet", r.Freshet, r.Ratio}}, r.Peers...) {
		perMillion := func(some int64) float64 { return 1e6 * float64(some) / float64(max(p.Judged, 1)) }
		fmt.Fprintf(to, "| %s | %.1f | %.2f (%.2f to %.2f) | %.0f | %.0f | %.1f | %d | %.0f | %.0f | %.0f |\n",
			p.Name, p.PerSecond, p.Ratio.Estimate, p.Ratio.Low, p.Ratio.High, p.P50MS, p.P99MS, p.Calls, p.Judged, perMillion(p.Behind), perMillion(p.Older), p.OldestMS)
	}
}

// lineMax is the longest that a statement is told.
const lineMax = 200

// oneLine is a statement in a line.
func oneLine(sql string) string {
	line := []rune(strings.Join(strings.Fields(sql), " "))
	if len(line) > lineMax {
		return string(line[:lineMax]) + "…"
	}
	return string(line)
}

// WriteJSON writes reports for programs.
func WriteJSON(reports []Report, machine report.Machine, to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", " ")
	return encoder.Encode(struct {
		Machine      report.Machine `json:"machine"`
		Applications []Report       `json:"applications"`
	}{machine, reports})
}
