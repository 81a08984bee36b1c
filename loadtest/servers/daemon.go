package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// daemon is what all servers have in common: a program in a directory of its own,
// which may be stopped or killed and started again until it is closed.
type daemon struct {
	name string // for errors, such as Redis
	run  *runDir
	dir  string // holds the sockets, the log and the data
	// own is set before the first start for a program that runs as the user of this process:
	// nobody else may be able to reach it.
	own bool

	mu     sync.Mutex
	server *process // nil before the first start
	closed bool
}

// newDaemon makes the directory of a server. The caller must close the daemon.
func newDaemon(name string) (*daemon, error) {
	run, err := acquireRunDir()
	if err != nil {
		return nil, err
	}
	d := &daemon{name: name, run: run}
	if d.dir, err = run.newServerDir(); err != nil {
		return nil, errors.Join(err, run.release())
	}
	return d, nil
}

// begin starts the program and returns when ready says that the process serves. It
// must not run twice at once; a first start and startAgain see to that.
func (d *daemon) begin(ctx context.Context, path string, arguments []string, ready func(*process) bool) error {
	account := d.run.account
	if d.own {
		account.drop = false
	}
	server, err := startProcess(command{path: path, args: arguments, dir: d.dir, logPath: d.logPath(), account: account})
	if err != nil {
		return err
	}
	d.server = server
	if err := awaitReady(ctx, server, func() bool { return ready(server) }); err != nil {
		killTree(server)
		return fmt.Errorf("start %s, %s: %w; the end of its log:\n%s", d.name, path, err, d.LogTail(10))
	}
	return nil
}

// listens reports whether a server accepts connections at the socket with a port's number, as
// libpq names it.
func (d *daemon) listens(port int) bool {
	conn, err := net.DialTimeout("unix", fmt.Sprintf("%s/.s.PGSQL.%d", d.dir, port), probeWaitMax)
	return err == nil && conn.Close() == nil
}

// awaitReady polls until ready reports true, the server ends, or the wait
// exceeds its bound.
func awaitReady(ctx context.Context, server *process, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startWaitMax)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !ready() {
		select {
		case <-server.done:
			return fmt.Errorf("it ended while starting: %v", server.err)
		case <-ctx.Done():
			return fmt.Errorf("wait until it is ready: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// startAgain starts a server that was stopped or killed.
func (d *daemon) startAgain(start func(context.Context) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("start %s: it is closed", d.name)
	}
	if d.server.running() {
		return fmt.Errorf("start %s: it is running", d.name)
	}
	return start(context.Background())
}

// stopLocked sends signals and waits for the server's end. Stopping a stopped server
// does nothing.
func (d *daemon) stopLocked(wait time.Duration, signals ...syscall.Signal) error {
	if !d.server.running() {
		return nil
	}
	for _, s := range signals {
		if err := d.server.signal(s); err != nil {
			return fmt.Errorf("stop %s: %w", d.name, err)
		}
	}
	if !d.server.ended(wait) {
		return fmt.Errorf("stop %s: it did not end within %v of %v; the end of its log:\n%s", d.name, wait, signals[0], d.LogTail(10))
	}
	return nil
}

// Kill kills the server with all its processes: it can say nothing to its clients and
// write nothing more. What was written to files stays.
func (d *daemon) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	killTree(d.server)
}

// Running reports whether the server's main process exists; it may be paused.
func (d *daemon) Running() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.server.running()
}

// LogTail returns the last lines of the server's log, at most n.
func (d *daemon) LogTail(n int) string { return logTail(d.logPath(), n) }

func (d *daemon) logPath() string { return filepath.Join(d.dir, "server.log") }

// close ends the server and removes its files. politely, unless nil, is tried first.
func (d *daemon) close(politely func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if politely == nil || politely() != nil {
		killTree(d.server)
	}
	return errors.Join(removeTree(d.dir), d.run.release())
}
