package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	superuser   = "postgres"
	defaultPort = 5432
	loopback    = "127.0.0.1"

	// Follower is a role of every server that may log in and owns nothing: what
	// freshet install --follower-role gives it is all that it has.
	Follower = "freshet_follower"
)

// PostgresOptions says how a server differs from the usual one. The zero value
// is the usual one.
type PostgresOptions struct {
	// Settings are added to postgresql.conf and win over the defaults, which are
	// fsync, full_page_writes and jit off, shared_buffers 32MB, max_connections 200,
	// timezone UTC. Values are written unquoted. Where the server listens is not
	// a setting.
	Settings map[string]string
	// HBA lines stand in pg_hba.conf before those that trust everyone.
	HBA []string
	// TCP makes the server listen on a free port of 127.0.0.1 too.
	TCP bool
	// OwnIdentity gives the cluster a system identifier that no other server of
	// this process has. It costs half a second.
	OwnIdentity bool

	// undisturbed is set for the servers of tests: autovacuum leaves them alone, unless
	// Settings say how often it comes.
	undisturbed bool
}

// Postgres is a running, or stopped, throwaway PostgreSQL. Its directory, port
// and data stay the same until Close.
type Postgres struct {
	*daemon
	options PostgresOptions
	binDir  string
	port    int
	recipes recipes
}

// StopMode is how PostgreSQL is told to end.
type StopMode string

// The modes of pg_ctl.
const (
	Smart     StopMode = "smart"     // waits until all clients have left
	Fast      StopMode = "fast"      // ends the clients' sessions, writes a checkpoint
	Immediate StopMode = "immediate" // as in a crash: the next start recovers
)

// LaunchPostgres starts a server and returns when it accepts connections. ctx
// bounds the start only. The caller must Close it.
func LaunchPostgres(ctx context.Context, options PostgresOptions) (*Postgres, error) {
	binDir, err := FindPostgres()
	if err != nil {
		return nil, err
	}
	p, err := newPostgres(options, binDir)
	if err != nil {
		return nil, err
	}
	if err := p.launch(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func newPostgres(options PostgresOptions, binDir string) (*Postgres, error) {
	d, err := newDaemon("PostgreSQL of " + binDir)
	if err != nil {
		return nil, err
	}
	return &Postgres{daemon: d, options: options, binDir: binDir, port: defaultPort}, nil
}

func (p *Postgres) launch(ctx context.Context) error {
	if err := p.run.newDataDir(ctx, p.binDir, p.DataDir(), p.options.OwnIdentity); err != nil {
		return fmt.Errorf("create PostgreSQL cluster: %w", err)
	}
	return p.startFirst(ctx)
}

// startFirst chooses the port, if there is one, and starts the server with it.
func (p *Postgres) startFirst(ctx context.Context) error {
	return onFreePorts(p.LogTail, func() error {
		if p.options.TCP {
			var err error
			if p.port, err = freePort(); err != nil {
				return err
			}
		}
		if err := p.configure(); err != nil {
			return err
		}
		return p.start(ctx)
	})
}

func (p *Postgres) start(ctx context.Context) error {
	program := filepath.Join(p.binDir, "postgres")
	return p.begin(ctx, program, []string{"-D", p.DataDir()}, func(server *process) bool {
		text, err := os.ReadFile(filepath.Join(p.DataDir(), "postmaster.pid"))
		notes := parsePIDFile(string(text))
		// The file of an earlier, killed server may still be there.
		return err == nil && notes.pid == server.pid && notes.ready
	})
}

// SocketDir is the directory of the Unix socket: libpq's host.
func (p *Postgres) SocketDir() string { return p.dir }

// Port is the port, also a part of the Unix socket's name.
func (p *Postgres) Port() int { return p.port }

// BinDir is the directory of this PostgreSQL's programs.
func (p *Postgres) BinDir() string { return p.binDir }

// DataDir is the cluster's data directory.
func (p *Postgres) DataDir() string { return filepath.Join(p.dir, "data") }

// DSN is a connection string of keywords for a superuser, over the Unix socket.
func (p *Postgres) DSN(database string) string { return p.dsn(superuser, database) }

// FollowerDSN is DSN for the role Follower.
func (p *Postgres) FollowerDSN(database string) string { return p.dsn(Follower, database) }

func (p *Postgres) dsn(role, database string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(database)
	if quoted != database || strings.ContainsAny(database, " \t") || database == "" {
		quoted = "'" + quoted + "'"
	}
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", p.dir, p.port, role, quoted)
}

// URL is DSN as a postgres:// URL.
func (p *Postgres) URL(database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		Path:     "/" + database,
		RawQuery: url.Values{"host": {p.dir}, "port": {strconv.Itoa(p.port)}, "user": {superuser}}.Encode(),
	}).String()
}

// TCPAddress is host:port on loopback; empty unless PostgresOptions.TCP was set.
func (p *Postgres) TCPAddress() string {
	if !p.options.TCP {
		return ""
	}
	return net.JoinHostPort(loopback, strconv.Itoa(p.port))
}

// Tool finds a client program, such as pgbench or psql, of this PostgreSQL or,
// where that has none, in PATH.
func (p *Postgres) Tool(name string) (string, error) {
	if path := filepath.Join(p.binDir, name); executable(path) {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: %w: neither in %s nor in PATH.\n%s", name, ErrNotInstalled, p.binDir, installHint)
	}
	return path, nil
}

// Start starts a stopped or killed server and returns when it accepts
// connections, recovered if need be.
func (p *Postgres) Start() error { return p.startAgain(p.start) }

// Stop ends the server and waits for its end, for at most half a minute: then it
// is an error, and the server goes on stopping. Stopping a stopped server does
// nothing.
func (p *Postgres) Stop(mode StopMode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stop(mode, stopWaitMax)
}

func (p *Postgres) stop(mode StopMode, wait time.Duration) error {
	signals := map[StopMode]syscall.Signal{Smart: syscall.SIGTERM, Fast: syscall.SIGINT, Immediate: syscall.SIGQUIT}
	sig, known := signals[mode]
	if !known {
		return fmt.Errorf("stop PostgreSQL: mode %q is not one of smart, fast, immediate", mode)
	}
	return p.stopLocked(wait, sig)
}

// Restart is a fast stop and a start.
func (p *Postgres) Restart() error {
	if err := p.Stop(Fast); err != nil {
		return err
	}
	return p.Start()
}

// Close ends the server, however it takes, and removes its files. It may be
// called more than once.
func (p *Postgres) Close() error {
	return p.close(func() error { return p.stop(Immediate, closeWaitMax) })
}
