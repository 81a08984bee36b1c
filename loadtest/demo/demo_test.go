package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/demo/shop"
	"github.com/freshet/freshet/loadtest/demo/shop/checker"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// demoDirectory finds where the demo said that its servers live.
func demoDirectory(t *testing.T, shown string) string {
	t.Helper()
	found := regexp.MustCompile(`throwaway, in (\S+);`).FindStringSubmatch(shown)
	if found == nil {
		t.Fatalf("the demo does not say where its servers are:\n%s", shown)
	}
	return found[1]
}

func expectGone(t *testing.T, directory string) {
	t.Helper()
	if _, err := os.Stat(directory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind (%v)", directory, err)
	}
}

func TestDemoShowsTheMainJob(t *testing.T) {
	out, err := exec.Command(program.Path(t), "--duration", "6s").CombinedOutput()
	shown := string(out)
	if err != nil {
		t.Fatalf("the demo ends with %v:\n%s", err, shown)
	}
	for _, want := range []string{
		`psql -h \S+/A -p 6432 -U shop_app -d shop`, `psql -h \S+/B -p 6432`, `A  http://127\.0\.0\.1:\d+/`,
		`stale reads: 0 of [1-9][\d ]* checked`, `own writes missing: 0 of [1-9]`, `back in time: 0`,
		`wrong totals: 0 of [1-9]`, `errors: 0`,
		`hit in memory +\d`, `hit in Redis +\d`, `miss +\d`,
		`at once: [1-9]\d* asked, [1-9]\d* reached Postgres`, `Invalidations +[1-9]`,
	} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("%s is missing in:\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "\x1b") {
		t.Error("control sequences were written to a pipe")
	}
	expectGone(t, demoDirectory(t, shown))
}

func TestDemoEndsCleanlyWhenInterrupted(t *testing.T) {
	cmd := exec.Command(program.Path(t), "--duration", "10m")
	shown := &watchedOutput{wanted: "Try it by hand", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = shown, shown
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-shown.seen:
	case err := <-ended:
		t.Fatalf("the demo ended early: %v\n%s", err, shown)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("interrupted, the demo ends with %v:\n%s", err, shown)
		}
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		t.Fatalf("interrupted, the demo goes on:\n%s", shown)
	}
	expectGone(t, demoDirectory(t, shown.String()))
}

// watchedOutput closes seen once wanted was written.
type watchedOutput struct {
	wanted string
	seen   chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

// Write keeps what is written.
func (w *watchedOutput) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if !w.told && strings.Contains(w.text.String(), w.wanted) {
		w.told = true
		close(w.seen)
	}
	return len(p), nil
}

// String is all that was written.
func (w *watchedOutput) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func TestDemoThatIsCancelledWhileItStartsLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	shown := &watchedOutput{wanted: "A shop", seen: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- runDemo(ctx, demoOptions{Duration: time.Minute, Out: shown}) }()
	select {
	case <-shown.seen:
	case err := <-ended:
		t.Fatalf("the demo ended early: %v\n%s", err, shown)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("cancelled, the demo ends with %v", err)
	}
	if strings.Contains(shown.String(), "stale reads") {
		t.Errorf("a sum without a business:\n%s", shown)
	}
	// The directory itself is this process's, and stays for the tests that follow.
	left, err := filepath.Glob(filepath.Join(demoDirectory(t, shown.String()), "[0-9]*"))
	if err != nil || len(left) > 0 {
		t.Errorf("servers' directories %q are left behind, error %v", left, err)
	}
}

func TestDemoSaysWhatToInstall(t *testing.T) {
	t.Setenv(servers.EnvPostgresBin, t.TempDir())
	if err := runDemo(t.Context(), demoOptions{Duration: time.Second, Out: io.Discard}); err == nil || !strings.Contains(err.Error(), servers.EnvPostgresBin) {
		t.Errorf("a PostgreSQL that is not there: %v", err)
	}
	err := explainStart(errors.New(`FATAL: could not access file "pg_stat_statements": No such file or directory`))
	if !strings.Contains(err.Error(), "postgresql-contrib") {
		t.Errorf("got %v", err)
	}
	if other := errors.New("disk full"); explainStart(other) != other {
		t.Error("advice where it does not help")
	}
}

func TestDemoNeedsTime(t *testing.T) {
	text, err := exec.Command(program.Path(t), "--duration", "-1s").CombinedOutput()
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok || ended.ExitCode() != exitUsage || !strings.Contains(string(text), "--duration") {
		t.Errorf("%v, %q", err, text)
	}
}

func TestDemoFailsWhenAPromiseIsBroken(t *testing.T) {
	for name, report := range map[string]shop.Report{
		"1 stale reads":         {Checks: checker.Report{Stale: 1}},
		"1 own writes":          {Checks: checker.Report{OwnLost: 1}},
		"1 reads back":          {Checks: checker.Report{WentBack: 1}},
		"1 wrong totals":        {Checks: checker.Report{TotalsWrong: 1}},
		"1 writes that did not": {NeverVisible: 1},
		"1 errors":              {Errors: 1},
	} {
		if err := judge(report); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := judge(shop.Report{Checks: checker.Report{Checked: 10, Contested: 5, Late: 2}}); err != nil {
		t.Errorf("nothing is wrong, and still: %v", err)
	}
}

func TestDemoCountsReadsAlone(t *testing.T) {
	age := 0.003
	got := describe("A", dashboard.Stats{
		Queries:            map[string]uint64{"hit_l1": 10, "hit_l2": 3, "coalesced": 2, "miss": 4, "bypass": 11, "error": 1},
		Bypasses:           map[string]uint64{"not_select": 5, "in_transaction": 1, "failed_transaction": 3, "analysis_pending": 2},
		FollowerAgeSeconds: &age, InvalidationEvents: 7,
	})
	if got.Memory != 10 || got.Redis != 3 || got.Joined != 2 || got.Missed != 4 || got.Passed != 2 || got.Failed != 1 ||
		len(got.Reasons) != 1 || got.Events != 7 || got.FollowerAge != 3*time.Millisecond {
		t.Errorf("got %+v", got)
	}
	if unknown := describe("B", dashboard.Stats{}); unknown.FollowerAge >= 0 {
		t.Errorf("a sidecar without a look has an age: %+v", unknown)
	}
}
