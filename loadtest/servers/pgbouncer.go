package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	pgbouncerPort       = 6432
	pgbouncerClientsMax = 100
)

// PgBouncerOptions says how a pooler differs from the usual one, which does the
// least: in session mode, what a relay costs is measured against it.
type PgBouncerOptions struct {
	// Mode is session, transaction or statement; empty means session.
	Mode string
	// Ignored are start-up parameters that it drops without a word, beside
	// extra_float_digits; it refuses others that it does not know.
	Ignored []string
	// Upstream is the directory and UpstreamPort the number of another socket than the
	// server's own, through which it is reached; empty for its own.
	Upstream     string
	UpstreamPort int
	// ClientsMax is how many clients may be connected; 0 means 100.
	ClientsMax int
	// PoolSize is how many servers there are for one database; 0 means one for each client.
	PoolSize int
}

// PgBouncer is a running throwaway PgBouncer.
type PgBouncer struct {
	*daemon
	options PgBouncerOptions
}

// LaunchPgBouncer starts a pooler before a server and returns when it accepts
// connections. It lets everyone in, to any database, as the superuser. ctx bounds
// the start only. The caller must Close it.
func LaunchPgBouncer(ctx context.Context, before *Postgres, options PgBouncerOptions) (*PgBouncer, error) {
	path, err := findProgram("PgBouncer", "pgbouncer", "the package is called pgbouncer in Debian, Fedora and Homebrew")
	if err != nil {
		return nil, err
	}
	d, err := newDaemon("PgBouncer")
	if err != nil {
		return nil, err
	}
	if options.Mode == "" {
		options.Mode = "session"
	}
	if options.Upstream == "" {
		options.Upstream, options.UpstreamPort = before.SocketDir(), before.Port()
	}
	if options.ClientsMax == 0 {
		options.ClientsMax = pgbouncerClientsMax
	}
	if options.PoolSize == 0 {
		options.PoolSize = options.ClientsMax
	}
	p := &PgBouncer{daemon: d, options: options}
	if err := p.start(ctx, path); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *PgBouncer) start(ctx context.Context, path string) error {
	file := filepath.Join(p.dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(p.settings()), 0o600); err != nil {
		return fmt.Errorf("write PgBouncer's settings: %w", err)
	}
	if err := p.run.account.own(file); err != nil {
		return err
	}
	return p.begin(ctx, path, []string{file}, func(*process) bool { return p.listens(pgbouncerPort) })
}

// settings are those of a pooler that looks at nothing.
func (p *PgBouncer) settings() string {
	return strings.Join([]string{
		"[databases]",
		fmt.Sprintf("* = host=%s port=%d user=%s", p.options.Upstream, p.options.UpstreamPort, superuser),
		"[pgbouncer]",
		"pool_mode = " + p.options.Mode,
		"auth_type = any",
		"listen_addr =",
		"unix_socket_dir = " + p.dir,
		fmt.Sprintf("listen_port = %d", pgbouncerPort),
		fmt.Sprintf("max_client_conn = %d", p.options.ClientsMax),
		fmt.Sprintf("default_pool_size = %d", p.options.PoolSize),
		"ignore_startup_parameters = " + strings.Join(append([]string{"extra_float_digits"}, p.options.Ignored...), ","),
		"",
	}, "\n")
}

// SocketDir is the directory of the Unix socket, as libpq takes it for a host.
func (p *PgBouncer) SocketDir() string { return p.dir }

// Port is the number in the name of the Unix socket.
func (p *PgBouncer) Port() int { return pgbouncerPort }

// Close ends the pooler and removes its files. It may be called more than once.
func (p *PgBouncer) Close() error { return p.close(nil) }
