package drivers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/compiling"
	"github.com/freshet/freshet/loadtest/servers"
)

var (
	// freshetProgram builds the program once, the way users get it.
	freshetProgram = sync.OnceValues(func() (string, error) { return buildFreshet("freshet", "-race=false") })
	// watchedProgram builds it with the race detector if these tests have it, once: for
	// tests whose clients do many things at once. One client after the other shows the
	// detector nothing that the tests of package wire do not show it, for ten times the
	// work.
	watchedProgram = sync.OnceValues(func() (string, error) { return buildFreshet("watched", raceFlag) })
)

func buildFreshet(name, race string) (program string, err error) {
	if err := visitSources(); err != nil {
		return "", fmt.Errorf("visit the sources: %w", err)
	}
	program = filepath.Join(scratch, name)
	return program, linkKept("", "github.com/freshet/freshet/sidecar/freshet", program, race)
}

// linkKept builds the program of a package as seen from dir. go keeps the programs that it
// runs, and cp takes the place of running it: one that was linked before, for another
// package's tests perhaps, is not linked again.
func linkKept(dir, pkg, program string, flags ...string) error {
	arguments := append(append([]string{"run", "-ldflags=-s", "-exec", "cp"}, flags...), pkg, program)
	if out, err := compiling.Go(context.Background(), dir, arguments...); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// visitSources reads the folders that the program and the clients are made of.
// go test remembers what a test reads: without this, a result would count as
// known although the program that it is about has changed.
func visitSources() error {
	for _, folder := range []string{"cache", "invalidation", "sidecar"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	return nil
}

// sidecar is a running `freshet serve`.
type sidecar struct {
	t    *testing.T
	at   endpoint
	page string // of its admin address, such as http://127.0.0.1:1234
	log  *logged
	// end ends the sidecar, once.
	end func()
}

// sidecarPort is part of a socket's name and takes no port of the machine.
const sidecarPort = 6432

// readyWaitMax is how long a sidecar may take from its start to the line that
// says ready; stopWaitMax from the request to its end.
const (
	readyWaitMax = servers.EventuallyMax
	stopWaitMax  = servers.EventuallyMax
)

// serve starts a sidecar before a database, as a user does: it follows as a role with no
// other rights than those which the superuser gave it who installed. It is stopped when the
// test ends; it must have ended well.
func (b *bed) serve(flags ...string) *sidecar {
	t := b.t
	t.Helper()
	dir, err := os.MkdirTemp("", "fd") // short, as a socket's path must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return b.serveIn(dir, flags...)
}

// serveIn is serve with the sidecar's socket in a certain directory.
func (b *bed) serveIn(dir string, flags ...string) *sidecar {
	t := b.t
	t.Helper()
	program, err := b.program()
	if err != nil {
		t.Fatal(err)
	}
	s := &sidecar{t: t, at: endpoint{host: dir, port: sidecarPort, database: b.database}, log: &logged{}}
	command := exec.Command(program, append([]string{
		"serve", "--upstream", b.postgres.FollowerDSN(b.database), "--socket-dir", dir, "--admin", "127.0.0.1:0",
		"--verify", "0", // which would read tables whose scans are counted, by chance
	}, flags...)...)
	command.Stderr = s.log
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.end = sync.OnceFunc(func() { s.stop(command) })
	t.Cleanup(s.end)
	s.awaitReady(stdout)
	return s
}

var pageOfLog = regexp.MustCompile(`page=(http://[0-9.:]+)/`)

func (s *sidecar) awaitReady(stdout io.Reader) {
	s.t.Helper()
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n') // an end is an empty line
		for strings.HasPrefix(line, "freshet: serving") {
			line, _ = lines.ReadString('\n')
		}
		ready <- line
		_, _ = io.Copy(io.Discard, lines)
	}()
	select {
	case line := <-ready:
		if want := fmt.Sprintf("psql -h %s -p %d", s.at.host, s.at.port); !strings.Contains(line, want) {
			s.t.Fatalf("the sidecar says %q, want a line with %q\n%s", line, want, s.log)
		}
	case <-time.After(readyWaitMax):
		s.t.Fatalf("the sidecar is not ready after %v\n%s", readyWaitMax, s.log)
	}
	// The log comes another way, perhaps later.
	servers.Eventually(s.t, "the log to say where the page is", func() bool {
		found := pageOfLog.FindStringSubmatch(s.log.String())
		if found == nil {
			return false
		}
		s.page = found[1]
		return true
	})
}

func (s *sidecar) stop(command *exec.Cmd) {
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Errorf("stop the sidecar: %v", err)
	}
	late := time.AfterFunc(stopWaitMax, func() { _ = command.Process.Kill() })
	defer late.Stop()
	if err := command.Wait(); err != nil {
		s.t.Errorf("the sidecar ended badly: %v", err)
	}
	if s.t.Failed() {
		s.t.Logf("the sidecar's log:\n%s", s.log)
	}
}

// stats is what a sidecar says of itself.
type stats struct {
	Queries         map[string]uint64 `json:"queries"`
	Bypasses        map[string]uint64 `json:"bypasses"`
	UpstreamQueries uint64            `json:"upstream_queries"`
	ProtocolErrors  uint64            `json:"protocol_errors"`
	Panics          uint64            `json:"panics"`
	SessionsRefused uint64            `json:"sessions_refused"`
	Head            string            `json:"head"`
	WatchedTables   int               `json:"watched_tables"`
	Problems        []string          `json:"problems"`
}

func (s *sidecar) stats() stats {
	s.t.Helper()
	client := http.Client{Timeout: servers.EventuallyMax, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(s.page + "/api/v1/stats")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var st stats
	if err := json.NewDecoder(response.Body).Decode(&st); err != nil {
		s.t.Fatalf("read the stats: %v", err)
	}
	return st
}

// since returns what was counted after before was read.
func (st stats) since(before stats) stats {
	st.Queries = minus(st.Queries, before.Queries)
	st.Bypasses = minus(st.Bypasses, before.Bypasses)
	st.UpstreamQueries -= before.UpstreamQueries
	st.ProtocolErrors -= before.ProtocolErrors
	st.Panics -= before.Panics
	st.SessionsRefused -= before.SessionsRefused
	return st
}

func minus(a, b map[string]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for name, n := range a {
		if n > b[name] {
			out[name] = n - b[name]
		}
	}
	return out
}

// hits counts the queries that did not reach Postgres.
func (st stats) hits() uint64 {
	return st.Queries["hit_l1"] + st.Queries["hit_l2"] + st.Queries["coalesced"]
}

// reads counts the queries that were answered from the cache or might have been.
func (st stats) reads() uint64 {
	return st.hits() + st.Queries["miss"] + st.Bypasses["analysis_pending"] + st.Bypasses["freshness_unproven"]
}

func (st stats) String() string {
	var total uint64
	for _, n := range st.Queries {
		total += n
	}
	text := fmt.Sprintf("%d queries, hit ratio %.1f %% of %d cacheable reads; outcomes", total, 100*float64(st.hits())/float64(max(st.reads(), 1)), st.reads())
	for _, counts := range []map[string]uint64{st.Queries, st.Bypasses} {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			text += fmt.Sprintf(" %s=%d", name, counts[name])
		}
		text += ";"
	}
	return strings.TrimSuffix(text, ";")
}

// logged keeps what a process writes.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
