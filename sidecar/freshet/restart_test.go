package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// load reads, writes and connects until stopped, and counts what fails.
type load struct {
	done     atomic.Uint64
	failures atomic.Uint64
	first    atomic.Pointer[string]
	stop     func()
}

func (l *load) note(err error) {
	if err == nil {
		l.done.Add(1)
		return
	}
	l.failures.Add(1)
	text := err.Error()
	l.first.CompareAndSwap(nil, &text)
}

// startLoad puts a pool of connections that are renewed, as a program has it, and
// somebody who connects all the time, on a socket.
func startLoad(t *testing.T, dsn string) *load {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns, config.MaxConnLifetime, config.HealthCheckPeriod = 4, 500*time.Millisecond, 100*time.Millisecond
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	l := &load{}
	ctx, cancel := context.WithCancel(context.Background())
	var users sync.WaitGroup
	repeat := func(action func() error) {
		users.Go(func() {
			for ctx.Err() == nil {
				l.note(action())
			}
		})
	}
	for range 2 {
		repeat(func() error {
			var name string
			return pool.QueryRow(context.Background(), "SELECT name FROM fruit WHERE id = 1").Scan(&name)
		})
	}
	repeat(func() error {
		_, err := pool.Exec(context.Background(), "UPDATE fruit SET name = 'plum' WHERE id = 2")
		return err
	})
	repeat(func() error {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	})
	l.stop = sync.OnceFunc(func() {
		cancel()
		users.Wait()
		pool.Close()
	})
	t.Cleanup(l.stop)
	return l
}

// more waits until some more was done, and fails if anything failed.
func (l *load) more(t *testing.T) {
	t.Helper()
	enough := l.done.Load() + 200
	eventually(t, func() string {
		if l.done.Load() < enough {
			return "the load does not go on"
		}
		return ""
	})
	l.failed(t)
}

// failed fails the test if anything failed so far.
func (l *load) failed(t *testing.T) {
	t.Helper()
	if n := l.failures.Load(); n > 0 {
		t.Fatalf("%d of %d failed, the first with: %s", n, n+l.done.Load(), *l.first.Load())
	}
}

// clientDSN leads through a socket.
func clientDSN(direct *pgx.Conn, dir string) string {
	return fmt.Sprintf("host=%s port=6432 user=postgres dbname=%s", dir, direct.Config().Database)
}

// A process takes the place of another: nobody is refused, and nobody's statement fails.
func TestTakeOverUnderLoad(t *testing.T) {
	dsn, direct := setupFruit(t)
	dir := shortDir(t)
	arguments := []string{"--upstream", dsn, "--socket-dir", dir, "--admin", "127.0.0.1:0", "--watch", "public.*"}
	now := serve(t, arguments...)
	l := startLoad(t, clientDSN(direct, dir))
	l.more(t)
	for range 2 {
		next := serve(t, append(arguments, "--take-over")...)
		eventually(t, next.logged("took over the sockets"))
		_ = now.command.Wait()
		if code := now.command.ProcessState.ExitCode(); code != exitOK {
			t.Errorf("the process before ended with %d:\n%s", code, now.stderr.String())
		}
		if !strings.Contains(now.stderr.String(), "another process took over") {
			t.Errorf("the process before says nothing:\n%s", now.stderr.String())
		}
		if was, is := adminOf(t, now), adminOf(t, next); was != is {
			t.Errorf("the page was at %s and is at %s", was, is)
		}
		l.more(t)
		now = next
	}
	eventually(t, func() string {
		if stats := fetchStats(t, adminOf(t, now)); stats.Queries["hit_l1"] == 0 {
			return fmt.Sprintf("the last process answers nothing from memory: %v", stats.Queries)
		}
		return ""
	})
	l.stop()
	l.failed(t)
	if code, _ := now.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".s.PGSQL.6432")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestTakeOverOfNobodysPlace(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	s := serve(t, "--upstream", dsn, "--socket-dir", shortDir(t), "--admin", "off", "--watch", "public.*", "--take-over")
	if !strings.HasPrefix(s.ready, "freshet: ready") {
		t.Errorf("printed %q", s.ready)
	}
}

// A service manager that keeps the socket open lets a restart refuse nobody.
func TestSocketOfAServiceManager(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	dir := shortDir(t)
	path := filepath.Join(dir, ".s.PGSQL.6432")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file, err := socket.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 2 {
		// The client has connected to the socket before anybody serves, and waits for its session.
		early, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		config, err := pgx.ParseConfig(clientDSN(direct, dir))
		if err != nil {
			t.Fatal(err)
		}
		config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return early, nil }
		connected := make(chan error, 1)
		go func() {
			conn, err := pgx.ConnectConfig(context.Background(), config)
			if err == nil {
				err = conn.Close(context.Background())
			}
			connected <- err
		}()
		s := serveBy(t, exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=freshet.socket exec "$0" "$@"`,
			program.Path(t), "serve", "--upstream", dsn, "--socket-dir", dir, "--admin", "off", "--watch", "public.*"), file)
		if err := <-connected; err != nil {
			t.Errorf("who connected before the start: %v", err)
		}
		if code, _ := s.stop(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the socket of the service manager is gone: %v", err)
		}
	}
}

// What outlives the time to drain is cancelled where it runs.
func TestDrainCancelsWhatTakesTooLong(t *testing.T) {
	dsn, direct := setupFruit(t)
	dir := shortDir(t)
	s := serve(t, "--upstream", dsn, "--socket-dir", dir, "--admin", "off", "--watch", "public.*", "--drain", "100ms")
	client, err := pgx.Connect(t.Context(), clientDSN(direct, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(context.Background())
	answered := make(chan error, 1)
	go func() {
		_, err := client.Exec(context.Background(), "SELECT pg_sleep(600)")
		answered <- err
	}()
	sleeping := func() (n int) {
		t.Helper()
		if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, func() string {
		if sleeping() == 0 {
			return "the statement does not reach Postgres"
		}
		return ""
	})
	if code, _ := s.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "57014") && !strings.Contains(err.Error(), "57P01") {
		t.Errorf("the client was told %v", err)
	}
	// A backend notices a cancel a moment after it was sent, and pg_sleep would take longer.
	eventually(t, func() string {
		if n := sleeping(); n > 0 {
			return fmt.Sprintf("%d statements run on for nobody", n)
		}
		return ""
	})
}
