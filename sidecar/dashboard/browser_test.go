package dashboard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	// installMax bounds the installation of what the lock file names.
	installMax = 2 * time.Minute
	// browserMax bounds one test's use of the browser: the machine may be busy.
	browserMax = 5 * time.Minute
)

// nodeModules installs what the lock file names, once, and returns where.
var nodeModules = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(filepath.Join("charts", "node_modules"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "axe-core", "axe.min.js")); err == nil {
		return dir, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installMax)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	npm.Dir = "charts"
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install what package-lock.json names with npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// withCharts are the page's files with the charts, as `make page` builds them.
func withCharts(t *testing.T) fstest.MapFS {
	t.Helper()
	dir, err := nodeModules()
	if err != nil {
		t.Fatal(err)
	}
	files := withoutCharts(t)
	for name, from := range map[string]string{"uPlot.js": "uPlot.iife.min.js", "uPlot.css": "uPlot.min.css"} {
		text, err := os.ReadFile(filepath.Join(dir, "uplot", "dist", from))
		if err != nil {
			t.Fatal(err)
		}
		if name == "uPlot.js" {
			text = append(text, "\nexport default uPlot;\n"...)
		}
		files["page/built/"+name] = &fstest.MapFile{Data: text}
	}
	return files
}

// withoutCharts are the page's files as they are in the source.
func withoutCharts(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := filepath.WalkDir("page", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "uPlot.") {
			return err
		}
		text, err := os.ReadFile(path)
		files[filepath.ToSlash(path)] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// look is how a page is looked at.
type look struct {
	width, height int64
	dark          bool
}

func (l look) String() string {
	if l.dark {
		return fmt.Sprintf("%d-dark", l.width)
	}
	return fmt.Sprintf("%d-light", l.width)
}

var (
	narrow = look{390, 844, false}
	broad  = look{1400, 900, true}
	looks  = []look{narrow, {390, 844, true}, {1024, 768, false}, {1920, 1080, false}, {1400, 900, false}, broad}
)

// browser is one window of a real browser.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string
}

// chromium is started once for all tests, and ended by TestMain.
var chromium struct {
	once sync.Once
	ctx  context.Context
	end  context.CancelFunc
	err  error
}

func startChromium() {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(browserMax),
		// Windows share a process: it starts once, and has compiled the page's scripts and axe.
		chromedp.Flag("renderer-process-limit", "1"), chromedp.Flag("process-per-site", true))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	chromium.ctx = ctx
	chromium.end = func() { cancel(); end() }
	chromium.err = chromedp.Run(ctx)
}

// open opens a window.
func open(t *testing.T, l look) *browser {
	t.Helper()
	chromium.once.Do(startChromium)
	if chromium.err != nil {
		t.Fatalf("start chromium: %v; run: apt-get install chromium", chromium.err)
	}
	tab, end := chromedp.NewContext(chromium.ctx)
	ctx, cancel := context.WithTimeout(tab, browserMax)
	t.Cleanup(func() { cancel(); end() })
	b := &browser{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.hear)
	// A window that nobody looks at would count as hidden.
	b.do(log.Enable(), emulation.SetFocusEmulationEnabled(true))
	b.take(l)
	return b
}

// take gives the window another look.
func (b *browser) take(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.do(emulation.SetDeviceMetricsOverride(l.width, l.height, 1, l.width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// hear collects what a console shows as an error.
func (b *browser) hear(event any) {
	said := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		said = e.ExceptionDetails.Error()
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError {
			said = fmt.Sprintf("console.%s", e.Type)
			for _, arg := range e.Args {
				said += " " + string(arg.Value)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError {
			said = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	}
	if said != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.errors = append(b.errors, said)
	}
}

// said are the errors that the console has shown so far.
func (b *browser) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.errors)
}

// noErrors fails the test if the console showed errors other than that an address cannot
// be reached, if that is expected.
func (b *browser) noErrors(unreachable bool) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, said := range b.errors {
		if !unreachable || !strings.HasPrefix(said, string(log.SourceNetwork)) {
			b.t.Errorf("console: %s", said)
		}
	}
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// click clicks on what a selector finds. The page may draw it anew between the finding and the
// click, which then hits nothing.
func (b *browser) click(selector string) {
	b.t.Helper()
	const noSuchNode = -32000 // by the protocol of the browser's developer tools
	for deadline := time.Now().Add(browserMax / 2); ; {
		err := chromedp.Run(b.ctx, chromedp.Click(selector))
		var refused *cdproto.Error
		if !errors.As(err, &refused) || refused.Code != noSuchNode || time.Now().After(deadline) {
			if err != nil {
				b.t.Fatalf("click on %s: %v", selector, err)
			}
			return
		}
	}
}

// until waits for a condition of the page's, in JavaScript.
func (b *browser) until(condition string) {
	b.t.Helper()
	// The browser's own way to poll is forbidden by the page's policy.
	for deadline := time.Now().Add(browserMax / 2); ; time.Sleep(50 * time.Millisecond) {
		var holds bool
		// What is not there yet throws.
		b.do(chromedp.Evaluate("(() => { try { return !!("+condition+") } catch { return false } })()", &holds))
		if holds {
			return
		}
		if time.Now().After(deadline) {
			var text string
			b.do(chromedp.Evaluate(`document.body.innerText.slice(0, 1500)`, &text))
			b.t.Fatalf("waiting for %s; the console says %q, the page:\n%s", condition, b.said(), text)
		}
	}
}

// text returns what an element says.
func (b *browser) text(id string) string {
	b.t.Helper()
	var text string
	b.do(chromedp.Evaluate(fmt.Sprintf(`document.getElementById(%q).textContent`, id), &text))
	return plain(text)
}

// words are what somebody reads on the page.
func (b *browser) words() string {
	b.t.Helper()
	var text string
	b.do(chromedp.Evaluate(`document.body.innerText`, &text))
	return plain(text)
}

// plain is a text with ordinary spaces alone: a number is held to its unit by another kind.
func plain(text string) string { return strings.ReplaceAll(text, "\u00a0", " ") }

// accessible fails the test if axe finds a violation.
func (b *browser) accessible() {
	b.t.Helper()
	dir, err := nodeModules()
	if err != nil {
		b.t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(dir, "axe-core", "axe.min.js"))
	if err != nil {
		b.t.Fatal(err)
	}
	const run = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.map(n => n.html.slice(0, 160) + (n.any[0]?.message ?? "")).slice(0, 3).join(" | ")))`
	var loaded bool
	b.do(chromedp.Evaluate(`"axe" in window`, &loaded))
	if !loaded {
		b.do(chromedp.Evaluate(string(script), nil))
	}
	var violations []string
	b.do(chromedp.Evaluate(run, &violations, awaited))
	for _, v := range violations {
		b.t.Errorf("axe: %s", v)
	}
}

// fits fails the test if something is wider than the window.
func (b *browser) fits() {
	b.t.Helper()
	var wide int
	b.do(chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide))
	if wide > 0 {
		b.t.Errorf("the page is %d pixels wider than the window", wide)
	}
}

// picture keeps a picture of the whole page in the folder that PAGE_PICTURES names, for
// people to look at.
func (b *browser) picture(name string) {
	dir := os.Getenv("PAGE_PICTURES")
	if dir == "" {
		return
	}
	var image []byte
	b.do(chromedp.FullScreenshot(&image, 100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644); err != nil {
		b.t.Error(err)
	}
}

// awaited has Evaluate wait for what the promise that a script returns is kept with.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
