package dashboard_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
	page "github.com/freshet/freshet/sidecar/dashboard"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Postgres: true}))
}

// client keeps no connection.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// opened gives the program of the example a database.
func opened(t *testing.T) {
	server := servers.SharedPostgres(t)
	dsn := server.DSN(server.CreateDatabase(t))
	t.Setenv("DATABASE_URL", dsn)
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), "CREATE TABLE public.products (id bigint PRIMARY KEY, name text NOT NULL); INSERT INTO public.products VALUES (1, 'tea')"); err != nil {
		t.Fatal(err)
	}
}

// What the page asks for says what the library did, and nothing that it has no figures for
// is offered.
func TestPageTellsOfTheLibrary(t *testing.T) {
	opened(t)
	program(func(url string) {
		var s page.Snapshot
		read(t, url+"api/v1/snapshot", &s)
		if !s.Library || !s.Can.Explain || s.Can.Purge {
			t.Errorf("library %v, can %+v", s.Library, s.Can)
		}
		var stats page.Stats
		servers.Eventually(t, "the write is received", func() bool {
			read(t, url+"api/v1/stats", &stats)
			return stats.TablesWritten == 1
		})
		if w := stats.Written[0]; w.Name != "public.products" || w.Statements != 1 || w.At.IsZero() {
			t.Errorf("written %+v", stats.Written)
		}
		if !stats.Ready || stats.Version != "shop" || stats.WatchedTables != 1 || stats.Watched[0].Name != "public.products" || stats.L1.Items == 0 || stats.L1.LimitBytes == 0 {
			t.Errorf("%+v", stats)
		}
		if q := stats.Queries; q["hit_l1"] != 99 || q["miss"] != 2 || q["bypass"] != 100 || q["error"] != 0 || stats.Bypasses["clock"] != 100 || stats.Misses["cold"] != 2 {
			t.Errorf("queries %v, bypasses %v, misses %v", q, stats.Bypasses, stats.Misses)
		}
		// The load of a function is one of a statement too.
		if of := stats.Times; of.Latency["hit_l1"].Count != 99 || of.Latency["miss"].Count != 2 || of.Latency["bypass"].Count != 100 || of.Upstream["load"].Count != 1 || of.Upstream["bypass"].Count != 100 || of.HitAge["memory"].Count != 99 {
			t.Errorf("times %+v", of)
		}
		if stats.BypassAdvice["clock"] == "" || len(stats.BypassExamples["clock"]) != 1 || stats.SavedSeconds <= 0 || stats.Redis.State != page.RedisOff {
			t.Errorf("%q, %q, saved %v, Redis %v", stats.BypassAdvice, stats.BypassExamples, stats.SavedSeconds, stats.Redis.State)
		}
		if first := stats.Shapes[0]; first.Statement != "product()" || first.Hits != 99 || first.Loads != 1 || first.LoadingSeconds <= 0 {
			t.Errorf("%+v", stats.Shapes)
		}
		if e := explain(t, url, s.Token, "SELECT name FROM products WHERE id = $1"); !e.Cacheable || len(e.Tags) != 1 || e.Tags[0] != "public.products/id=$1" {
			t.Errorf("%+v", e)
		}
		for _, gone := range []string{"metrics", "api/v1/purge", "debug/pprof/"} {
			if response := get(t, url+gone); response.StatusCode == http.StatusOK {
				t.Errorf("%s is there", gone)
			}
		}
	})
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func read(t *testing.T, url string, into any) {
	t.Helper()
	response := get(t, url)
	body, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", url, err, body)
	}
}

func explain(t *testing.T, url, token, sql string) (e page.Explanation) {
	t.Helper()
	body, err := json.Marshal(page.ExplainRequest{SQL: sql})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"api/v1/explain", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(page.TokenHeader, token)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&e); err != nil {
		t.Fatal(response.Status, err)
	}
	return e
}

// browserMax bounds the use of the browser: the machine may be busy.
const browserMax = 90 * time.Second

// A real browser shows the page, below a path of the service: what the function and the
// statements did, and no panel that stays empty.
func TestBrowserShowsTheLibrary(t *testing.T) {
	opened(t)
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(browserMax), chromedp.WindowSize(1400, 1000))
	allocator, end := chromedp.NewExecAllocator(t.Context(), flags...)
	defer end()
	tab, shut := chromedp.NewContext(allocator)
	defer shut()
	ctx, cancel := context.WithTimeout(tab, browserMax)
	defer cancel()
	program(func(url string) {
		if err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
			t.Fatalf("%v; is chromium installed?", err)
		}
		// The page has its parts one after the other: "Latency" with the first hit that a second has told of.
		var text string
		var missing []string
		defer func() {
			if len(missing) > 0 {
				t.Errorf("%q are not shown:\n%s", missing, text)
			}
		}()
		servers.Eventually(t, "the page says that all is well, and shows every part", func() bool {
			if err := chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("status").dataset.state == "fresh" ? document.body.innerText : ""`, &text)); err != nil {
				t.Fatal(err)
			}
			missing = slices.DeleteFunc([]string{"shop", "Functions and statements", "product()", "SELECT name FROM products WHERE id = $1", "clock", "cold", "public.products", "Explain", "Latency"},
				func(shown string) bool { return strings.Contains(text, shown) })
			return len(missing) == 0
		})
		for _, hidden := range []string{"Verif", "Clients", "Transactions spared", "Purge", "Role", "No traffic yet", "Redis is", "metrics", "sidecar"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%q is shown:\n%s", hidden, text)
			}
		}
		picture(t, ctx)
	})
}

// picture keeps one of the whole page in the folder that PAGE_PICTURES names, for people to
// look at.
func picture(t *testing.T, ctx context.Context) {
	dir := os.Getenv("PAGE_PICTURES")
	if dir == "" {
		return
	}
	time.Sleep(3 * time.Second) // for a line in the charts
	var image []byte
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&image, 100)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "library.png"), image, 0o644); err != nil {
		t.Fatal(err)
	}
}
