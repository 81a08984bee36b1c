package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/loadtest/servers"
)

const librarySchema = `
CREATE TABLE public.products (id bigint PRIMARY KEY, name text NOT NULL, price int NOT NULL);
INSERT INTO public.products VALUES (1, 'tea', 10), (2, 'cup', 7);`

// examples are the programs of docs/library.md.
var examples = []string{"example_db_test.go", "example_wrap_test.go", "example_operate_test.go", "cacheotel/example_test.go", "dashboard/example_test.go"}

// The programs of docs/library.md, run and say what
// the document says.
func TestLibraryProgramsRun(t *testing.T) {
	server := servers.SharedPostgres(t)
	dsn := server.DSN(server.CreateDatabase(t))
	t.Setenv("DATABASE_URL", dsn)
	t.Setenv("REDIS_URL", servers.SharedRedis(t).URL())
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), librarySchema); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		run  func()
		want string
	}{
		{ExampleOpen, "tea\n"},
		{ExampleDB_Explain, "kept; depends on [\"public.products/id=$1\"] of [\"public.products\"]\n"},
		{ExampleWithLevel, "12\n"},
		{ExampleWithToken, "14\n"},
		{ExampleOpenSQL, "cup\n"},
		{ExampleRepository_GetMany, "2 found\n"},
		{ExampleRead, "level=WARN msg=\"not from the cache\" read.outcome=not_kept read.sql=\"SELECT 1 FROM products WHERE id = 1 AND now() > '2020-01-01'\" read.reason=clock\ntea\n"},
		{ExamplePolicy_elsewhere, "100\n100\n1 call\n"},
		{ExampleCodec, "price int64\nprice int64\nmeasure is shared: true\nmeasure as JSON is shared: false\n"},
		{ExampleTag, "110 120\n"},
		{ExampleOptions, "cup\n"},
		{ExampleStaleError, "tea\n"},
		{ExampleWrap_library, "tea costs 14\ntea costs 14\ntea costs 15\n"},
	} {
		if got := printed(t, p.run); got != p.want {
			t.Errorf("printed %q, want %q", got, p.want)
		}
	}
}

// printed is what f writes to the standard output.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = before }()
	f()
	_ = w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every block of Go in the document stands in the programs that run.
func TestLibraryBlocksAreThePrograms(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/library.md")
	if err != nil {
		t.Fatal(err)
	}
	var flat string
	for _, name := range examples {
		programs, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		flat += flatten(string(programs))
	}
	blocks := 0
	for _, part := range strings.Split(string(document), "```go\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks++
		if !strings.Contains(flat, flatten(block)) {
			t.Errorf("no program has this block:\n%s", block)
		}
	}
	if blocks < 4 {
		t.Errorf("%d blocks", blocks)
	}
}

// flatten takes the indentation and the blank lines away.
func flatten(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// The examples link nothing of the tests.
func TestExamplesLinkNoHarness(t *testing.T) {
	t.Parallel()
	for _, name := range examples {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("loadtest")) {
			t.Errorf("%s links the harness", name)
		}
	}
}

// What a reader of the document meets has an example that runs.
func TestConceptsHaveExamples(t *testing.T) {
	t.Parallel()
	var all string
	for _, name := range append(examples, "example_test.go") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	for _, concept := range []string{
		"Open", "Options", "OpenSQL", "DB_Explain", "Read", "WithLevel", "WithToken",
		"Wrap", "Repository_GetMany", "StaleError", "Codec", "Tag", "New", // cacheotel's
	} {
		if !strings.Contains(all, "func Example"+concept+"() {") {
			t.Errorf("%s has no example", concept)
		}
	}
	for _, used := range []string{
		"cache.WithSession(", "cache.WithStaleness(", "cache.Row(", "cache.Invalidate(", "cache.NewRepository(", "db.Token(", "db.Ready(", "cacheotel.New(", "dashboard.New(", "redis.New(",
	} {
		if !strings.Contains(all, used) {
			t.Errorf("no example uses %s", used)
		}
	}
}

// A browser that wrote through one process reads what it wrote through another, by the
// token in its cookie.
func TestMiddlewareCarriesTheToken(t *testing.T) {
	t.Parallel()
	here := openDB(t, librarySchema, nil)
	elsewhere, err := cache.Open(t.Context(), here.pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(elsewhere.Close)
	<-elsewhere.Ready()
	mux := http.NewServeMux()
	mux.Handle("/here/", sessions(here.DB, http.StripPrefix("/here", prices(here.DB))))
	mux.Handle("/elsewhere/", sessions(elsewhere, http.StripPrefix("/elsewhere", prices(elsewhere))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range 20 {
		get(t, browser, server.URL+"/elsewhere/price")
		price := fmt.Sprint(100 + i)
		response, err := browser.Post(server.URL+"/here/price", "text/plain", strings.NewReader(price))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := get(t, browser, server.URL+"/elsewhere/price"); got != price {
			t.Fatalf("read %q in another process after %q was written", got, price)
		}
	}
}

func get(t *testing.T, browser *http.Client, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, response.StatusCode, body, err)
	}
	return string(body)
}
