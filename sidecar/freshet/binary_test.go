package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// program is the command, as it is started by users.
var program = servers.Build(".", "-ldflags", "-s -X main.version=v0.0.0-test")

// serving is a running freshet serve.
type serving struct {
	command *exec.Cmd
	ready   string // the line that says how it serves; ready, unless serveBy started it
	stdout  *bufio.Reader
	stderr  logBuffer
}

// logBuffer holds a log that is still being written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// serve starts the program and waits until it says that it is ready: on a busy machine it
// first says that it serves.
func serve(t *testing.T, arguments ...string) *serving {
	t.Helper()
	s := serveBy(t, serveProgram(t, arguments...))
	if strings.HasPrefix(s.ready, "freshet: serving, but not ready: ") {
		s.nextLine(t)
	}
	return s
}

// serveProgram is freshet serve.
func serveProgram(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(program.Path(t), append([]string{"serve"}, arguments...)...)
}

// serveBy starts a command that serves, to which files are handed, and waits for its first
// line.
func serveBy(t *testing.T, command *exec.Cmd, files ...*os.File) *serving {
	t.Helper()
	command.ExtraFiles = files
	s := &serving{command: command}
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.command.Stderr = &s.stderr
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.command.ProcessState == nil {
			_ = s.command.Process.Kill()
			_ = s.command.Wait()
		}
		if t.Failed() {
			t.Logf("standard error of serve:\n%s", s.stderr.String())
		}
	})
	s.stdout = bufio.NewReader(stdout)
	s.nextLine(t)
	return s
}

// nextLine waits for a line about how it serves.
func (s *serving) nextLine(t *testing.T) {
	t.Helper()
	var err error
	if s.ready, err = s.stdout.ReadString('\n'); err != nil {
		t.Fatalf("read the line that says ready: %v", err)
	}
}

// stop sends SIGTERM and returns the exit code and what else was printed.
func (s *serving) stop(t *testing.T) (code int, rest string) {
	t.Helper()
	s.signal(t)
	return s.rest()
}

// signal sends SIGTERM.
func (s *serving) signal(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// rest waits for the end, and returns the exit code and what else was printed.
func (s *serving) rest() (code int, rest string) {
	var more bytes.Buffer
	_, _ = s.stdout.WriteTo(&more)
	_ = s.command.Wait() // the exit code is what is judged
	return s.command.ProcessState.ExitCode(), more.String()
}

// psql runs one statement in a psql of its own, by a command line for a shell.
func psql(t *testing.T, commandLine, statement string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), servers.EventuallyMax)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", commandLine+` -X -q -A -t -c "$1"`, "sh", statement)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", statement, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func fetchStats(t *testing.T, address string) dashboard.Stats {
	t.Helper()
	_, text := testkit.Get(t, "http://"+address+"/api/v1/stats")
	var stats dashboard.Stats
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return stats
}

// adminOf finds the address of the page in the log, which may come later than what is printed.
func adminOf(t *testing.T, s *serving) (address string) {
	t.Helper()
	eventually(t, func() string {
		_, after, found := strings.Cut(s.stderr.String(), "page=http://")
		address, _, _ = strings.Cut(after, "/")
		if !found {
			return "the log does not say where the page is:\n" + s.stderr.String()
		}
		return ""
	})
	return address
}

// setupFruit makes a database with one small table.
func setupFruit(t *testing.T) (dsn string, direct *pgx.Conn) {
	t.Helper()
	return setupFruitOn(t, servers.SharedPostgres(t))
}

// loseChange gives the first fruit a name, and no event tells of that.
func loseChange(t *testing.T, direct *pgx.Conn, name string) {
	t.Helper()
	if _, err := direct.Exec(t.Context(), "BEGIN; UPDATE fruit SET name = '"+name+"' WHERE id = 1; DELETE FROM freshet.outbox WHERE xid = pg_current_xact_id(); COMMIT"); err != nil {
		t.Fatal(err)
	}
}

// setupFruitOn is setupFruit on the server pg.
func setupFruitOn(t *testing.T, pg *servers.Postgres) (dsn string, direct *pgx.Conn) {
	t.Helper()
	dsn = pg.DSN(pg.CreateDatabase(t))
	direct, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = direct.Close(context.Background()) })
	if _, err := direct.Exec(t.Context(), "CREATE TABLE fruit (id int PRIMARY KEY, name text); INSERT INTO fruit VALUES (1, 'apple'), (2, 'plum')"); err != nil {
		t.Fatal(err)
	}
	return dsn, direct
}

// asFollower makes a superuser's connection string one of the role that follows.
func asFollower(dsn string) string {
	return strings.Replace(dsn, "user=postgres", "user="+servers.Follower, 1)
}

// countScans asks Postgres how often the table was read, by sessions that ended.
func countScans(t *testing.T, direct *pgx.Conn) (scans int) {
	t.Helper()
	// This session's own reads count before and after alike.
	if _, err := direct.Exec(t.Context(), "SELECT pg_stat_force_next_flush()"); err != nil {
		t.Fatal(err)
	}
	if err := direct.QueryRow(t.Context(), "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'fruit'").Scan(&scans); err != nil {
		t.Fatal(err)
	}
	return scans
}

func TestServeFromTheOutside(t *testing.T) {
	const applesMax = 20 // the last row that is one
	dsn, direct := setupFruit(t)
	if _, err := direct.Exec(t.Context(), "INSERT INTO fruit SELECT id, 'apple' FROM generate_series(3, $1::int) id", applesMax); err != nil {
		t.Fatal(err)
	}
	rd := servers.SharedRedis(t)
	dir := shortDir(t)
	if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*", "--follower-role", servers.Follower); code != exitOK {
		t.Fatalf("install: %s%s", stdout, stderr)
	}
	s := serve(t, "--upstream", asFollower(dsn), "--socket-dir", dir, "--redis", rd.URL(), "--admin", "127.0.0.1:0")
	command, found := strings.CutPrefix(strings.TrimSpace(s.ready), "freshet: ready: ")
	command = strings.Replace(command, "-U "+servers.Follower, "-U postgres", 1) // who may read the table
	if !found || !strings.HasPrefix(command, "psql -h "+dir+" -p 6432 ") {
		t.Fatalf("ready line %q", s.ready)
	}
	admin := adminOf(t, s)

	// However long it takes on a busy machine until statements of this shape are understood.
	eventually(t, func() string {
		psql(t, command, "SELECT name FROM fruit WHERE id = 2")
		if fetchStats(t, admin).Queries["hit_l1"] == 0 {
			return "no read is a hit"
		}
		return ""
	})
	noPsql := func() {
		t.Helper()
		eventually(t, func() string {
			var sessions int
			if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND datname = current_database()").Scan(&sessions); err != nil {
				t.Fatal(err)
			}
			if sessions > 0 {
				return "sessions of psql do not end"
			}
			return ""
		})
	}
	// One read reaches Postgres, and the next one does not. Sessions report their counters when
	// they end, at the latest. Where freshness could not be proven, as the sidecar had no processor
	// for longer than it may be stale, another row is read.
	unproven := func(stats dashboard.Stats) uint64 { // of hits, and of loads that were to be kept
		return stats.Bypasses[reasons.Unproven] + stats.Bypasses[reasons.SchemaMoving]
	}
	var read string
	for id := 3; ; id++ {
		read = fmt.Sprintf("SELECT name FROM fruit WHERE id = %d", id)
		noPsql()
		before, scansBefore := fetchStats(t, admin), countScans(t, direct)
		for range 2 {
			if got := psql(t, command, read); got != "apple" {
				t.Fatalf("read %q", got)
			}
		}
		noPsql()
		stats, scans := fetchStats(t, admin), countScans(t, direct)
		if unproven(stats) > unproven(before) && id < applesMax {
			continue
		}
		if stats.Queries["hit_l1"] != before.Queries["hit_l1"]+1 || stats.Queries["miss"] != before.Queries["miss"]+1 || stats.UpstreamQueries != before.UpstreamQueries+1 {
			t.Errorf("queries %v, %d of them upstream; before %v, %d", stats.Queries, stats.UpstreamQueries, before.Queries, before.UpstreamQueries)
		}
		if n := scans - scansBefore; n != 1 {
			t.Errorf("Postgres read the table %d times", n)
		}
		break
	}

	// A write that the sidecar does not see shows within the promise.
	if _, err := direct.Exec(t.Context(), "UPDATE fruit SET name = 'pear' WHERE name = 'apple'"); err != nil {
		t.Fatal(err)
	}
	written := time.Now()
	for asked := time.Now(); psql(t, command, read) != "pear"; asked = time.Now() {
		// It is the beginning of a read that counts, however long it takes.
		if asked.Sub(written) > time.Second {
			t.Fatal("a read is staler than promised")
		}
	}
	eventually(t, func() string { // the read may have been Postgres' to answer
		if stats := fetchStats(t, admin); stats.InvalidationEvents == 0 || stats.Version != "v0.0.0-test" {
			return fmt.Sprintf("%d events, version %s", stats.InvalidationEvents, stats.Version)
		}
		return ""
	})

	code, rest := s.stop(t)
	if code != exitOK || rest != "" {
		t.Errorf("exit code %d, and printed %q beside the one line", code, rest)
	}
	if _, err := os.Stat(filepath.Join(dir, ".s.PGSQL.6432")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// SIGHUP means "read your configuration again" to operators: what is valid is put in
// force, what is not changes nothing, and nobody's connection ends. At level debug
// connections are logged, and never a statement.
func TestHangupReadsTheConfigurationAgain(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	file := writeConfig(t, "staleness: 1s\n")
	s := serve(t, "--upstream", dsn, "--socket-dir", shortDir(t), "--admin", "127.0.0.1:0", "--watch", "public.*", "--config", file)
	admin := adminOf(t, s)
	hangUp := func(text, logged string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, s.logged(logged))
	}
	hangUp("staleness: 2s\nlog-level: debug\n", `msg="configuration loaded" changed="log-level, staleness"`)
	hangUp("staleness: 3s\nstalenes: 3s\n", `unknown key \"stalenes\"; did you mean \"staleness\"?`)
	hangUp("staleness: 3s\npoll: 10s\n", "more than half of --staleness")
	hangUp("staleness: 3s\nport: 7000\n", "change --port: that takes a restart; nothing was changed")
	if stats := fetchStats(t, admin); stats.StalenessSeconds != 2 || stats.Config.Reloads != 1 || stats.Config.Failures != 3 || !strings.Contains(stats.Config.Problem, "--port") {
		t.Errorf("a staleness of %v s, %+v", stats.StalenessSeconds, stats.Config)
	}
	command := strings.TrimPrefix(strings.TrimSpace(s.ready), "freshet: ready: ")
	if got := psql(t, command, "SELECT 'still ' || 'there'"); got != "still there" {
		t.Errorf("read %q", got)
	}
	eventually(t, s.logged("a client has left"))
	log := s.stderr.String()
	if !regexp.MustCompile(`msg="a client has connected" .*pid=\d+ role=postgres database=\S+ application=psql `).MatchString(log) {
		t.Errorf("the log does not say that psql has connected:\n%s", log)
	}
	for _, part := range []string{"still", "SELECT"} { // of the statement and of its answer
		if strings.Contains(log, part) {
			t.Errorf("%q, of a statement, is logged:\n%s", part, log)
		}
	}
	if code, _ := s.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// logged returns a condition for eventually.
func (s *serving) logged(part string) func() string {
	return func() string {
		if !strings.Contains(s.stderr.String(), part) {
			return "not logged: " + part
		}
		return ""
	}
}

// A sidecar that is told to end has a statement end before it: one that waits for a lock until the
// sidecar has let go of its socket.
func TestDrainLetsAStatementEnd(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	lock := func(sql string) {
		t.Helper()
		if _, err := direct.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	lock("SELECT pg_advisory_lock(79)")
	dir := shortDir(t)
	s := serve(t, "--upstream", dsn, "--socket-dir", dir, "--admin", "off", "--watch", "public.*")
	command := strings.TrimPrefix(strings.TrimSpace(s.ready), "freshet: ready: ")
	answered := make(chan string, 1)
	go func() {
		out, err := exec.Command("sh", "-c", command+` -X -q -A -t -c "SELECT pg_advisory_xact_lock(79), 'whole'"`).Output()
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- string(out)
	}()
	eventually(t, func() string {
		var busy int
		if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()").Scan(&busy); err != nil {
			t.Fatal(err)
		}
		if busy == 0 {
			return "the statement does not reach Postgres"
		}
		return ""
	})
	ended := make(chan int, 1)
	s.signal(t)
	eventually(t, func() string {
		if conn, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.6432")); err == nil {
			_ = conn.Close()
			return "the sidecar is told to end, and clients can connect"
		}
		return ""
	})
	go func() {
		code, _ := s.rest()
		ended <- code
	}()
	select {
	case code := <-ended:
		t.Errorf("the sidecar has not waited for the statement: exit code %d", code)
	case got := <-answered:
		t.Errorf("the statement has not waited for its lock: %q", got)
	default:
	}
	lock("SELECT pg_advisory_unlock(79)")
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if got := <-answered; !strings.Contains(got, "whole") {
		t.Errorf("the statement under way was answered with %q", got)
	}
}

// The service manager is told when a sidecar serves, when it ends, and in between how it is,
// whenever that changes.
func TestSystemdIsTold(t *testing.T) {
	dsn, direct := setupFruit(t)
	listener := listenNotify(t)
	s := serve(t, "--upstream", dsn, "--socket-dir", shortDir(t), "--admin", "off", "--watch", "public.*")
	switch got := listener.read(t); {
	case strings.HasPrefix(got, "READY=1\nSTATUS=not ready: "): // the machine is busy
		listener.await(t, "STATUS=ready")
	case !strings.HasPrefix(got, "READY=1\nSTATUS=ready"):
		t.Errorf("first message %q", got)
	}
	for _, change := range []struct{ statement, state string }{
		{"DROP TABLE fruit", "STATUS=ready, but: Watching nothing"},
		{"CREATE TABLE fruit (id int PRIMARY KEY)", "STATUS=ready"},
	} {
		if _, err := direct.Exec(t.Context(), change.statement); err != nil {
			t.Fatal(err)
		}
		listener.await(t, change.state)
	}
	s.stop(t)
	listener.await(t, "STOPPING=1")
}

// First contact as it goes for an ordinary role: what is printed, /readyz and the
// service manager agree that nothing is followed yet, clients are served all the
// same, and the command that is named, run by a superuser, is all that is missing.
func TestFirstContactAsAnOrdinaryRole(t *testing.T) {
	dsn, _ := setupFruit(t)
	listener := listenNotify(t)
	dir := shortDir(t)
	s := serveBy(t, serveProgram(t, "--upstream", asFollower(dsn), "--socket-dir", dir, "--admin", "127.0.0.1:0", "--watch", "public.*"))
	const remedy = "freshet install --upstream DSN --watch 'public.*' --follower-role " + servers.Follower
	// A busy machine may say it before anything has failed.
	known := strings.Contains(s.ready, remedy) || !strings.Contains(s.ready, "the last problem was")
	if !strings.HasPrefix(s.ready, "freshet: serving, but not ready: ") || !known {
		t.Errorf("the first line is %q, want one that names %s", s.ready, remedy)
	}
	if got := listener.read(t); !strings.HasPrefix(got, "READY=1\nSTATUS=not ready: ") {
		t.Errorf("the service manager hears %q", got)
	}
	admin := adminOf(t, s)
	eventually(t, func() string {
		if stats := fetchStats(t, admin); stats.Ready || !strings.Contains(stats.NotReadyReason, remedy) {
			return fmt.Sprintf("the page says ready %v, %q", stats.Ready, stats.NotReadyReason)
		}
		return ""
	})
	command := "psql -h " + dir + " -p 6432 -U postgres -d " + strings.Split(dsn, "dbname=")[1]
	if got := psql(t, command, "SELECT name FROM fruit WHERE id = 1"); got != "apple" {
		t.Errorf("read %q", got)
	}
	if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*", "--follower-role", servers.Follower); code != exitOK {
		t.Fatalf("install: %s%s", stdout, stderr)
	}
	if line, err := s.stdout.ReadString('\n'); err != nil || !strings.HasPrefix(line, "freshet: ready: ") {
		t.Errorf("then it says %q, %v", line, err)
	}
	listener.await(t, "STATUS=ready")
	eventually(t, func() string {
		psql(t, command, "SELECT name FROM fruit WHERE id = 1")
		if stats := fetchStats(t, admin); !stats.Ready || stats.Queries["hit_l1"] == 0 {
			return fmt.Sprintf("ready %v, queries %v, passed through %v", stats.Ready, stats.Queries, stats.Bypasses)
		}
		return ""
	})
}
