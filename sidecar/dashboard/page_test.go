package dashboard

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Every state of the page, narrow and broad, light and dark: it says the right thing
// first, without errors, violations of accessibility, or anything wider than the window.
func TestBrowserShowsEveryState(t *testing.T) {
	t.Parallel()
	late := 7.5
	for name, state := range map[string]struct {
		change func(*Stats)
		says   string // in the verdict
	}{
		"warm":       {nil, "Fresh"},
		"no-traffic": {func(s *Stats) { s.Queries, s.Bypasses = nil, nil }, "No read in the last 5 minutes"},
		"zero":       {func(s *Stats) { s.WatchedTables, s.Watched = 0, nil }, "Watching nothing"},
		"thousand":   {func(s *Stats) { s.WatchedTables, s.Watched = 1000, tablesNamed(1000) }, "Fresh"},
		"redis-down": {func(s *Stats) { s.Redis.State = RedisDown }, "Redis does not answer"},
		"redis-refusing": {func(s *Stats) {
			s.Redis.State, s.Redis.Refusal = RedisRefusing, "NOAUTH Authentication required."
		}, "Redis refuses"},
		"postgres-down": {func(s *Stats) {
			s.FollowerAgeSeconds, s.FollowerProblem = &late, "looker: connect to Postgres: dial unix /run/postgresql/.s.PGSQL.5432: connect: no such file or directory"
		}, "Postgres does not answer"},
		"warming": {func(s *Stats) {
			s.FollowerAgeSeconds, s.Head, s.Incarnation, s.Queries, s.Shapes, s.Postgres, s.Written = nil, "", "", nil, nil, Postgres{}, nil
		}, "Warming up"},
		"off":    {func(s *Stats) { s.SwitchedOff = true }, "Switched off"},
		"ending": {func(s *Stats) { s.Ending = true }, "About to end"},
		"late":   {func(s *Stats) { s.FollowerAgeSeconds = &late }, "Late: reads go to Postgres"},
		"problems": {func(s *Stats) {
			s.WatchProblems, s.Problems = 1, []string{"shop.a: no longer watched (column email is gone): freshet install --watch shop.a"}
		}, "1 problem with tables"},
		"stale": {func(s *Stats) {
			s.Verify.Results = map[string]uint64{"same": 900, "stale": 1}
			s.Verify.LastStale = &StaleAnswer{Statement: "SELECT a FROM b WHERE c = $1", Tables: []string{"shop.b"}, AgeSeconds: 4}
		}, "Stale answers were found"},
		"library": {func(s *Stats) { s.Verify, s.Times = Verification{}, Times{} }, "Fresh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stage(t, "127.0.0.1:0", func(o *Options) { o.library = name == "library" })
			s.becomes(state.change)
			s.serve(t)
			b := open(t, broad)
			b.do(chromedp.Navigate(s.url()))
			b.until(`document.getElementById("status").dataset.state != "waiting" && document.querySelector(".uplot") != null`)
			if said := b.text("status"); !strings.Contains(said, state.says) {
				t.Errorf("the page says %q, want %q", said, state.says)
			}
			for _, l := range looks {
				b.take(l)
				b.fits()
				if l == narrow || l == broad {
					b.accessible()
				}
				b.picture(name + "-" + l.String())
			}
			b.noErrors(false)
		})
	}
}

// Whoever runs no scripts reads how things were when the page was asked for.
func TestBrowserWithoutScripts(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.becomes(func(s *Stats) {
		s.WatchProblems, s.Problems = 1, []string{"shop.<b>a</b>: no longer watched: freshet install --watch shop.a"}
	})
	s.serve(t)
	b := open(t, narrow)
	b.do(emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(s.url()), emulation.SetScriptExecutionDisabled(false))
	text := b.words()
	for _, says := range []string{"Ready.", "[problem] shop.<b>a</b>: no longer watched", "% of ", " verified", "3 tables are watched", "Sidecars that share Redis"} {
		if !strings.Contains(text, says) {
			t.Errorf("%q is not among %s", says, text)
		}
	}
	for _, not := range []string{"Connecting", "Hit ratio"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is among %s", not, text)
		}
	}
	for _, l := range looks {
		b.take(l)
		b.fits()
		b.picture("without-scripts-" + l.String())
	}
	b.noErrors(false)

	// axe is a script itself: it examines the same document where scripts run and the
	// page's own are left out.
	response, err := http.Get(s.url())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	document, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer("<noscript>", "", "</noscript>", "", `<script type="module" src="page.js"></script>`, "").Replace(string(document))
	b = open(t, narrow)
	b.do(chromedp.Navigate(s.url()+"livez"), chromedp.ActionFunc(func(ctx context.Context) error {
		tree, err := page.GetFrameTree().Do(ctx)
		if err != nil {
			return err
		}
		return page.SetDocumentContent(tree.Frame.ID, plain).Do(ctx)
	}))
	b.until(`document.styleSheets.length == 4 && getComputedStyle(document.getElementById("main")).display == "none"`)
	b.accessible()
}

// Until the first figures have come the page claims nothing about them: that no table is
// watched, say.
func TestBrowserClaimsNothingBeforeTheFirstFigures(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	unanswered := network.SetBlockedURLs().WithURLPatterns([]*network.BlockPattern{{URLPattern: s.url() + "api/*", Block: true}})
	b.do(network.Enable(), unanswered, chromedp.Navigate(s.url()))
	b.until(`document.getElementById("tables").firstElementChild != null`)
	b.do(chromedp.Evaluate(`new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))`, nil, awaited))
	if claimed := b.text("tables"); claimed != "" {
		t.Errorf("before anything has been read the tables say %q", claimed)
	}
}

// A chart is drawn without asking for the size of its place: each question has the browser lay
// out the page anew, after what the chart before has changed.
func TestBrowserDrawsChartsWithoutAskingForTheirSize(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]func(*testing.T) fstest.MapFS{"built": withCharts, "SVG": withoutCharts} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stage(t, "127.0.0.1:0", func(o *Options) { o.files = files(t) })
			s.serve(t)
			b := open(t, broad)
			b.do(chromedp.Navigate(s.url()))
			b.until(`document.querySelectorAll(".plot > *").length == 5` + map[string]string{"built": ` && document.querySelector(".uplot") != null`}[name])
			// asked are the questions, drawn counts the drawings of the first chart.
			b.do(chromedp.Evaluate(`(() => {
				window.asked = [];
				for (const name of ["clientWidth", "clientHeight"]) {
					const { get } = Object.getOwnPropertyDescriptor(Element.prototype, name);
					Object.defineProperty(Element.prototype, name, { get() {
						if (this.closest(".chart")) window.asked.push(name);
						return get.call(this);
					} });
				}
				window.drawn = 0;
				new MutationObserver(() => window.drawn++).observe(document.getElementById("traffic-chart"), { attributes: true, attributeFilter: ["aria-label"] });
			})()`, nil))
			b.until(`window.drawn > 1`)
			var asked []string
			b.do(chromedp.Evaluate(`window.asked`, &asked))
			if len(asked) > 0 {
				t.Errorf("%d questions, of %v, while charts were drawn", len(asked), asked[0])
			}
			b.take(narrow)
			b.fits()
			b.until(`[...document.querySelectorAll("#traffic-chart .plot :is(canvas, svg)")].every(c => Math.abs(c.getBoundingClientRect().width - document.querySelector("#traffic-chart .plot").getBoundingClientRect().width) < 2)`)
			b.noErrors(false)
		})
	}
}

// Without what `make page` builds the page has all its panels, and draws them itself.
func TestBrowserWithoutTheCharts(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", func(o *Options) { o.files = withoutCharts(t) })
	s.serve(t)
	b := open(t, look{1400, 900, false})
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#traffic-chart path").length > 4`)
	b.do(chromedp.Focus("#traffic-chart"), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft))
	b.until(`!document.querySelector("#traffic-chart .readout").hidden`)
	b.fits()
	b.accessible()
	b.noErrors(false)
	b.picture("without-charts")
}

// Who filters the list of tables sees those that match, and of ten thousand only those in
// sight are in the document.
func TestBrowserShowsTenThousandTables(t *testing.T) {
	t.Parallel()
	many := tablesNamed(10000)
	s := stage(t, "127.0.0.1:0", func(o *Options) { o.TablesFunc = func() []Table { return many } })
	s.becomes(func(s *Stats) { s.WatchedTables = len(many) })
	s.serve(t)
	b := open(t, narrow)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#tables .table").length > 5`)
	var rows int
	b.do(chromedp.Evaluate(`document.querySelectorAll("#tables .table").length`, &rows))
	if rows > 60 {
		t.Errorf("%d rows are in the document", rows)
	}
	b.do(chromedp.Evaluate(`document.getElementById("tables").scrollTop = 30 * 9000`, nil))
	b.until(`document.getElementById("tables").textContent.includes("shop.table_9003")`)
	b.do(chromedp.SendKeys("#tables-filter", "TABLE_4711"))
	b.until(`document.querySelectorAll("#tables .table").length == 1 && document.getElementById("tables").textContent.includes("shop.table_4711")`)
	b.noErrors(false)
}

// Tables with which something is wrong stand first, with why; the others say what was
// received of their changes.
func TestBrowserShowsTheStatesOfTables(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Minute)
	s := stage(t, "127.0.0.1:0", func(o *Options) {
		o.TablesFunc = func() []Table {
			return append([]Table{
				{Name: "shop.email", State: TableDoubtful, Why: "column email is gone; freshet install --watch shop.email", Since: &at},
				{Name: "shop.audit", State: TableUnwatched, Why: "read by 3 kinds of statements: freshet install --watch shop.audit"},
				{Name: "shop.orders", Columns: []string{"id"}, Statements: 7, Invalidations: 19, At: &at, StatementsPerSecond: 2.5, Entries: 12},
			}, tablesNamed(3)...)
		}
	})
	s.serve(t)
	b := open(t, narrow)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#tables .table").length == 6`)
	for _, says := range []string{"shop.email▲ doubtful since ", "column email is gone", "shop.auditnot watched", "read by 3 kinds", "12 answers", "7 writes, 2.5/s, 19 tags, last 1 min ago"} {
		if text := b.text("tables"); !strings.Contains(text, says) {
			t.Errorf("%q is not among %s", says, text)
		}
	}
	b.fits()
	b.accessible()
	b.noErrors(false)
}

// Clients, Postgres, changes by table and ages of hits say what the sidecar knows.
func TestBrowserShowsWhatIsUnderneath(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#clients tbody tr").length == 2`)
	says := func(id string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if all := b.text(id); !strings.Contains(all, text) {
				t.Errorf("%s: %q is not among %s", id, text, all)
			}
		}
	}
	says("clients", "shopweb203215", "reports400")
	says("clients-facts", "one for each, and 4 of the sidecar's own", "7 refused, 5 above the limit, 2 not whom they said")
	b.do(chromedp.Evaluate(`document.getElementById("sessions-details").open = true`, nil))
	b.until(`document.querySelectorAll("#sessions tbody tr").length == 2`)
	says("sessions", "4711shopwebstorefrontwaiting", "4712shopreportspsqlidle")
	b.do(chromedp.SendKeys("#sessions-filter", "storefr"))
	b.until(`document.querySelectorAll("#sessions tbody tr").length == 1`)
	says("postgres-version", "17.10, the primary, 1 replicating")
	says("postgres-facts", "may follow; postgres owns what is installed", "PublicationsNone", "PoolerNone", "1,200 rows", "Trim mark41 s old", "AnalysisBehind41 kinds of statements, 2 wait, 1 connection", "1 of 3 awaydoorbell is away, connected again 2 times")
	says("written", "shop.orders", "statements · ", "answers ended", "20 statements/s, 60 invalidations/s", "5 more together90 statements · 4 answers ended")
	says("memory-facts", "320good ones, for others", "by changes")
	says("redis-facts", "Its memory60 MiB of 256 MiBallkeys-lru", "Compression3.1 to 131 MiB became 10 MiB")
	says("curve", "64 MiB now12.0%", "256 MiB5.0%")
	says("shapes", "31,000 · 30 MiB41 s")
	says("hit-ages", "up to 130 ms", "up to 1 s", "up to 8.4 s")
	says("hit-ages-note", "Half were at most 130 ms old. 99 of 100 were at most 1 s old.", "lack no commit")
	s.becomes(func(s *Stats) {
		s.Clients, s.ClientGroups = nil, 0
		s.Postgres = Postgres{Version: "17.10", Role: "freshet", Owner: "postgres", Missing: []string{"SELECT on freshet.trim"}, Publications: []string{"everything"}, Pooler: true}
		s.Written, s.TablesWritten, s.Times.HitAge = nil, 0, nil
		s.Redis.Policy, s.Redis.Compresses = "", false
	})
	b.until(`document.getElementById("postgres-facts").textContent.includes("lacks SELECT on freshet.trim: freshet install --follower-role freshet")`)
	b.until(`document.getElementById("redis-facts").textContent.includes("its user may not ask: INFO")`)
	says("redis-facts", "CompressionOffvalues are not compressed: --redis-compress")
	says("postgres-facts", "everythingFOR ALL TABLES", "PoolerBetween")
	says("written", "No watched table has changed")
	says("hit-ages-note", "No answer came from the cache yet.")
	b.accessible()
	b.noErrors(false)
}

// A statement opens by the keyboard to its details, and stays open while its figures change.
func TestBrowserOpensAStatement(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#shapes tbody tr").length == 3`)
	var loads string
	const second = `document.querySelectorAll("#shapes tbody tr")[1]`
	b.do(chromedp.Evaluate(second+`.querySelector("summary").focus()`, nil), chromedp.KeyEvent(kb.Enter),
		chromedp.Evaluate(second+`.children[6].textContent`, &loads))
	b.until(second + `.children[6].textContent != "` + loads + `"`)
	b.until(second + `.textContent.includes("shop.items, rows: 7 answers") && ` + second + `.textContent.includes("all was thrown away")`)
	b.until(second + `.querySelector("details").open && document.activeElement.tagName == "SUMMARY"`)
	for _, says := range []string{"shop.orders/customer_id=…", "freshet install --watch 'shop.items(id, order_id)'", "- {id: 0b54752c, cache: no}", "Missed in the last five minutes"} {
		if text := b.text("shapes"); !strings.Contains(text, says) {
			t.Errorf("%q is not among %s", says, text)
		}
	}
	b.accessible()
	b.noErrors(false)
	b.picture("statement")
}

// Statements are filtered by their text and by their tables.
func TestBrowserFiltersStatements(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#shapes tbody tr").length == 3`)
	b.do(chromedp.SendKeys("#shapes-filter", "shop.ITEMS"))
	b.until(`document.querySelectorAll("#shapes tbody tr").length == 1 && document.getElementById("shapes").textContent.includes("o.customer_id")`)
	b.do(chromedp.Evaluate(`document.getElementById("shapes-filter").value = ""`, nil))
	b.click("#bypasses button")
	b.until(`document.querySelectorAll("#shapes tbody tr").length == 1 && document.getElementById("shapes").textContent.includes("▲ not cached: unwatched table (shop.audit)")`)
	b.until(`document.getElementById("shapes-reason").value == "unwatched_table" && document.activeElement.id == "shapes-reason"`)
	b.do(chromedp.Evaluate(`(() => { const choice = document.getElementById("shapes-reason"); choice.value = "-"; choice.dispatchEvent(new Event("change")); })()`, nil))
	b.until(`document.querySelectorAll("#shapes tbody tr").length == 2 && !document.getElementById("shapes").textContent.includes("not cached")`)
	b.until(`document.querySelector("#bypasses a").href == "https://docs.example/operations.md#install"`)
	b.accessible()
	b.noErrors(false)
}

// A click on the head of a column sorts by it: most first, least first, and as before.
func TestBrowserSortsStatements(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	const first = `document.querySelector("#shapes tbody tr").textContent.includes(%q) && (document.querySelector("#shapes [aria-sort]")?.getAttribute("aria-sort") ?? "") == %q`
	is := func(text, sorted string) {
		t.Helper()
		b.until(fmt.Sprintf(first, text, sorted))
	}
	is("FROM products", "")
	b.until(`document.querySelectorAll("#shapes td .spark").length == 3`)
	const head = `#shapes thead th:nth-child(5) button`
	b.click(head)
	is("FROM audit", "descending")
	b.accessible()
	b.do(chromedp.KeyEvent(kb.Enter))
	is("FROM products", "ascending")
	b.do(chromedp.KeyEvent(kb.Enter))
	is("FROM products", "")
	b.click(`#shapes thead th:nth-child(1) button`)
	is("FROM audit", "ascending")
	b.noErrors(false)
}

// Statements of one text are one row, whatever they mean for different roles: it has the sums
// of all.
func TestBrowserJoinsStatementsOfOneText(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.becomes(func(s *Stats) {
		one := Shape{ID: "9f31c2aa", Statement: "SELECT 1 FROM a", Tables: []string{"shop.a"}, Tags: []string{"shop.a"}, Hits: 30, Loads: 10, SavedSeconds: 5, Misses: map[string]uint64{"cold": 10}}
		other := one
		other.Tables, other.Hits, other.Loads = []string{"other.a"}, 50, 10
		s.Shapes, s.ShapesKnown, s.ShapesPassed = []Shape{one, other}, 2, nil
	})
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#shapes tbody tr").length == 1`)
	for _, says := range []string{"shop.a, other.a", "80.0%", "cold 20", "saved 10 s by 80 hits"} {
		if text := b.text("shapes"); !strings.Contains(text, says) {
			t.Errorf("%q is not among %s", says, text)
		}
	}
	b.noErrors(false)
}

// A click on what happened opens the list at it.
func TestBrowserOpensWhatHappened(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	// The chart moves on: what is clicked is where the marker is at that moment.
	b.until(`(() => {
		const { left, top } = document.querySelector("#traffic-chart .overlay .start").getBoundingClientRect();
		document.getElementById("traffic-chart").dispatchEvent(new MouseEvent("click", { clientX: left, clientY: top + 20, bubbles: true }));
		return document.querySelector(".happened").open && document.querySelector("#markers .picked").textContent.includes("sidecar started");
	})()`)
	b.accessible()
	b.noErrors(false)
}

// A page that others may see offers nothing that is refused.
func TestBrowserReadOnly(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", func(o *Options) { o.ReadOnly = true })
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.getElementById("status").dataset.state == "fresh"`)
	b.until(`document.getElementById("explain-card").hidden && document.getElementById("purge-card").hidden && !document.getElementById("read-only").hidden`)
	b.fits()
	b.accessible()
	b.picture("read-only")
	b.noErrors(false)
}

// The fleet is a table: this sidecar first, those that differ or are not ready marked, and
// what they do together last. What came through Redis is text.
func TestBrowserShowsTheFleet(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.becomes(func(s *Stats) {
		s.Fleet = fleetOf(20)
		s.Fleet[3].Host, s.Fleet[3].Page = "<img src=x onerror=console.error(1)>", "javascript:alert(1)"
	})
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.querySelectorAll("#fleet tbody tr").length == 21`)
	b.until(`document.querySelector("#fleet tbody tr").textContent.includes("app-00, this one")`)
	for _, says := range []string{"▲ another version", "▲ not ready", "19 of 20 ready", "93%", "<img src=x", "Together"} {
		if text := b.text("fleet"); !strings.Contains(text, says) {
			t.Errorf("%q is not among %s", says, text)
		}
	}
	b.until(`document.querySelectorAll("#fleet a, #fleet img").length == 0`)
	for _, l := range looks {
		b.take(l)
		b.fits()
	}
	b.accessible()
	b.picture("fleet-20")
	s.becomes(func(s *Stats) { s.Fleet, s.Redis.State = nil, RedisOff })
	b.until(`document.getElementById("fleet-card").hidden`)
	b.noErrors(false)
}

func TestBrowserExplains(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`!document.getElementById("explain-card").hidden`)
	b.do(chromedp.SendKeys("#explain-sql", "SELECT random()"))
	b.click("#explain button")
	b.until(`document.getElementById("explanation").textContent.includes("Not cached: volatile function (random())")`)
	b.accessible()
	b.noErrors(false)
	b.do(chromedp.SendKeys("#explain-parameters", "42"))
	b.click("#explain button")
	b.until(`document.getElementById("explanation").textContent.includes("shop.orders/id='42'")`)
	b.until(`document.getElementById("explain-database").hidden`) // there is only one
	b.do(chromedp.SendKeys("#explain-role", "nobody"))
	b.click("#explain button")
	b.until(`document.getElementById("explanation").textContent.includes("find role nobody")`)
	b.noErrors(true)
}

// Where there are several databases, each page explains statements of all.
func TestBrowserExplainsForAnotherDatabase(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", func(o *Options) {
		own := o.ExplainFunc
		o.Database = "shop"
		o.Databases = []Database{{Name: "stock", StatsFunc: o.StatsFunc, ExplainFunc: func(ctx context.Context, r ExplainRequest) (Explanation, error) {
			e, err := own(ctx, r)
			e.Detail = "of stock"
			return e, err
		}}}
	})
	s.becomes(func(s *Stats) { s.Database, s.Databases = "shop", []DatabaseState{{Name: "shop"}, {Name: "stock"}} })
	s.serve(t)
	b := open(t, broad)
	for _, path := range []string{"", "databases/stock/"} {
		b.do(chromedp.Navigate(s.url() + path))
		b.until(`!document.getElementById("explain-database").hidden`)
		b.do(chromedp.SendKeys("#explain-sql", "SELECT random()"), chromedp.SetValue("#explain-database", "stock"))
		b.click("#explain button")
		b.until(`document.getElementById("explanation").textContent.includes("(of stock)")`)
		b.accessible()
	}
	b.noErrors(false)
}

// Who purges has to type it twice, and have the token of the page.
func TestBrowserPurges(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`!document.getElementById("purge-card").hidden`)
	b.do(chromedp.SendKeys("#purge-table", "shop.orders"), chromedp.SendKeys("#purge-confirm", "shop.order"))
	b.until(`document.getElementById("purge-button").disabled`)
	b.do(chromedp.SendKeys("#purge-confirm", "s"))
	b.click("#purge-button")
	b.until(`document.getElementById("purged").textContent.includes("Ended: what depends on shop.orders")`)
	b.until(`document.getElementById("markers").textContent.includes("purge: shop.orders")`)
	b.do(chromedp.SendKeys("#purge-table", "role:web"), chromedp.SendKeys("#purge-confirm", "role:web"))
	b.click("#purge-button")
	b.until(`document.getElementById("purged").textContent.includes("Ended: what depends on what web may read")`)
	b.until(`document.getElementById("markers").textContent.includes("purge: role web")`)
	b.noErrors(false)

	s.server.token = "another"
	b.do(chromedp.SendKeys("#purge-table", "all"), chromedp.SendKeys("#purge-confirm", "all"))
	b.click("#purge-button")
	b.until(`document.getElementById("purged").textContent.includes("has not the token of this page")`)
	b.noErrors(true)
}

// A page survives a sidecar's restart: it says that nobody answers, shows what was as
// what was, and goes on by itself.
func TestBrowserSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := stage(t, "127.0.0.1:0", nil)
	address := s.server.Address()
	end := s.serve(t)
	b := open(t, broad)
	b.do(chromedp.Navigate(s.url()))
	b.until(`document.getElementById("status").dataset.state == "fresh"`)
	end()
	b.until(`document.getElementById("status-text").textContent == "No answer" && document.getElementById("main").classList.contains("old")`)
	b.accessible()
	b.picture("gone")
	s = stage(t, address, nil)
	s.becomes(func(s *Stats) { s.Version = "v9.9.9" })
	s.serve(t)
	b.until(`document.getElementById("status").dataset.state == "fresh" && document.getElementById("version").textContent == "v9.9.9" && !document.getElementById("main").classList.contains("old")`)
	b.noErrors(true)
}
