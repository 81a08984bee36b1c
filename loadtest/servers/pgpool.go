package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	pgpoolPort = 9999
	pcpPort    = 9898
)

// PgpoolOptions says how a Pgpool-II differs from the usual one, which keeps results in
// its shared memory.
type PgpoolOptions struct {
	// Upstream is the directory and Port the number of the server's Unix socket.
	Upstream string
	Port     int
	// ClientsMax is how many clients may be connected.
	ClientsMax int
	// Expire is the longest life of a result, in whole seconds; 0: until a write through
	// this Pgpool-II ends it.
	Expire time.Duration
}

// Pgpool is a running throwaway Pgpool-II with its memory cache.
type Pgpool struct{ *daemon }

// LaunchPgpool starts a Pgpool-II and returns when it accepts connections. It lets
// everyone in. ctx bounds the start only. The caller must Close it.
func LaunchPgpool(ctx context.Context, options PgpoolOptions) (*Pgpool, error) {
	path, err := findProgram("Pgpool-II", "pgpool", "the package is called pgpool2 in Debian, pgpool-II elsewhere")
	if err != nil {
		return nil, err
	}
	d, err := newDaemon("Pgpool-II")
	if err != nil {
		return nil, err
	}
	p := &Pgpool{d}
	if err := p.start(ctx, path, options); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pgpool) start(ctx context.Context, path string, options PgpoolOptions) error {
	oids := filepath.Join(p.dir, "oids")
	if err := os.Mkdir(oids, 0o700); err != nil {
		return fmt.Errorf("create a directory for Pgpool-II: %w", err)
	}
	file, pcp, hba := filepath.Join(p.dir, "pgpool.conf"), filepath.Join(p.dir, "pcp.conf"), filepath.Join(p.dir, "pool_hba.conf")
	for name, text := range map[string]string{file: p.settings(options, oids), pcp: "", hba: "local all all trust\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write Pgpool-II's settings: %w", err)
		}
		if err := p.run.account.own(name); err != nil {
			return err
		}
	}
	if err := p.run.account.own(oids); err != nil {
		return err
	}
	return p.begin(ctx, path, []string{"-n", "-f", file, "-F", pcp, "-a", hba}, func(*process) bool { return p.listens(pgpoolPort) })
}

// settings are those of one backend whose results are kept.
func (p *Pgpool) settings(options PgpoolOptions, oids string) string {
	return strings.Join([]string{
		"backend_clustering_mode = 'raw'",
		"backend_hostname0 = '" + options.Upstream + "'",
		fmt.Sprintf("backend_port0 = %d", options.Port),
		"listen_addresses = ''",
		fmt.Sprintf("port = %d", pgpoolPort),
		// The first name is that of versions before 4.4, which ignore the other.
		"socket_dir = '" + p.dir + "'",
		"unix_socket_directories = '" + p.dir + "'",
		"pcp_listen_addresses = ''",
		fmt.Sprintf("pcp_port = %d", pcpPort),
		"pcp_socket_dir = '" + p.dir + "'",
		"pid_file_name = '" + filepath.Join(p.dir, "pgpool.pid") + "'",
		"logdir = '" + p.dir + "'",
		fmt.Sprintf("num_init_children = %d", options.ClientsMax),
		"max_pool = 1",
		"memory_cache_enabled = on",
		"memqcache_oiddir = '" + oids + "'",
		fmt.Sprintf("memqcache_expire = %d", int(options.Expire.Seconds())),
		"",
	}, "\n")
}

// SocketDir is the directory of the Unix socket, as libpq takes it for a host.
func (p *Pgpool) SocketDir() string { return p.dir }

// Port is the number in the name of the Unix socket.
func (p *Pgpool) Port() int { return pgpoolPort }

// Close ends Pgpool-II and removes its files. It is asked first: its shared memory would
// outlive it otherwise. It may be called more than once.
func (p *Pgpool) Close() error {
	return p.close(func() error { return p.stopLocked(closeWaitMax, syscall.SIGINT) })
}
