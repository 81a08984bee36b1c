package servers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const freshetPort = 6432

// FreshetOptions says which sidecar to start, before which server.
type FreshetOptions struct {
	// Program is the built freshet.
	Program string
	// Owner is the connection string, of a database, with which it is installed: of the tables
	// that Watch names, as freshet install --watch reads it, and of all others of the schema
	// public.
	Owner string
	Watch []string
	// Upstream is the connection string, of the role Follower, that it serves.
	Upstream string
	// Flags are further flags of freshet serve.
	Flags []string
	// Metrics has it serve what Series reads.
	Metrics bool
}

// Freshet is a running throwaway sidecar. It runs as the user of this process.
type Freshet struct{ *daemon }

// LaunchFreshet installs Freshet in a database, starts a sidecar and returns when it is
// ready. ctx bounds the start only. The caller must Close it.
func LaunchFreshet(ctx context.Context, options FreshetOptions) (*Freshet, error) {
	program, err := filepath.Abs(options.Program)
	if err == nil {
		program, err = exec.LookPath(program)
	}
	if err != nil {
		return nil, fmt.Errorf("find the program freshet, which make build makes: %w", err)
	}
	arguments := []string{"install", "--upstream", options.Owner, "--follower-role", Follower}
	for _, tables := range append(slices.Clone(options.Watch), "public.*") {
		arguments = append(arguments, "--watch", tables)
	}
	install := exec.CommandContext(ctx, program, arguments...)
	install.Env = serverEnvironment()
	if text, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("run freshet install: %w; it said:\n%s", err, text)
	}
	d, err := newDaemon("Freshet")
	if err != nil {
		return nil, err
	}
	d.own = true
	f := &Freshet{d}
	arguments = append([]string{"serve", "--upstream", options.Upstream, "--socket-dir", d.dir,
		"--admin", "off", "--passwordless", "any"}, options.Flags...)
	if options.Metrics {
		arguments = append(arguments, "--metrics", loopback+":0")
	}
	if err := f.begin(ctx, program, arguments, func(*process) bool {
		return strings.Contains(f.LogTail(20), "freshet: ready")
	}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// SocketDir is the directory of the Unix socket, as libpq takes it for a host.
func (f *Freshet) SocketDir() string { return f.dir }

// Port is the number in the name of the Unix socket.
func (f *Freshet) Port() int { return freshetPort }

// Close ends the sidecar and removes its files. It may be called more than once.
func (f *Freshet) Close() error { return f.close(nil) }
