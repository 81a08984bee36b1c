package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

const (
	sidecarPort = 6432
	// installWaitMax bounds putting the triggers in place.
	installWaitMax = 60 * time.Second
)

// fleet is everything that runs: the servers, the sidecars, and the links
// between them.
type fleet struct {
	program  string
	dir      string // holds the sockets of links and sidecars
	redis    *servers.Redis
	links    []*link
	sidecars []*sidecar

	// ground is where the primary comes from, nil if that is the fleet's own.
	ground *Ground

	mu      sync.Mutex
	primary *servers.Postgres
	retired []*servers.Postgres // former primaries
}

// postgresSettings make what a crash loses certain: nothing writes the log out
// but commits that wait for it.
var postgresSettings = map[string]string{
	"wal_writer_delay":       "10s",
	"wal_writer_flush_after": "128MB",
	"max_connections":        "300",
	"wal_keep_size":          "256MB",
	"deadlock_timeout":       "200ms",
}

// launchFleet starts everything. died is told of a sidecar that ends by itself.
func launchFleet(ctx context.Context, o Options, died func(error)) (*fleet, error) {
	f := &fleet{program: o.Program}
	if err := f.launch(ctx, o, died); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *fleet) launch(ctx context.Context, o Options, died func(error)) (err error) {
	if f.program, err = filepath.Abs(o.Program); err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	if f.dir, err = os.MkdirTemp("", "fc"); err != nil {
		return fmt.Errorf("create a directory for sockets: %w", err)
	}
	if f.redis, err = servers.LaunchRedis(ctx, servers.RedisOptions{}); err != nil {
		return err
	}
	if err := f.launchPrimary(ctx, o); err != nil {
		return err
	}
	for i := range o.Sidecars {
		if err := f.launchSidecar(i, o, died); err != nil {
			return err
		}
	}
	return nil
}

// launchPrimary gets a server with the database, in which Freshet is installed.
func (f *fleet) launchPrimary(ctx context.Context, o Options) (err error) {
	if o.ground != nil {
		if f.primary, err = o.ground.take(ctx, f.program); err == nil {
			f.ground = o.ground
		}
		return err
	}
	if f.primary, err = servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: postgresSettings}); err != nil {
		return err
	}
	return fill(ctx, f.primary, database, f.program, o.Environment)
}

// fill creates a database with the tables that are checked, and has a program install.
func fill(ctx context.Context, p *servers.Postgres, name, program string, environment []string) error {
	if err := execute(ctx, p.DSN("postgres"), "CREATE DATABASE "+name); err != nil {
		return err
	}
	if err := execute(ctx, p.DSN(name), schema); err != nil {
		return err
	}
	return install(ctx, p.DSN(name), program, environment)
}

// execute runs statements on a connection of their own.
func execute(ctx context.Context, dsn, statements string) error {
	ctx, cancel := context.WithTimeout(ctx, installWaitMax)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statements); err != nil {
		return fmt.Errorf("run statements on PostgreSQL: %w", err)
	}
	return nil
}

// install puts the triggers in place, as an operator does.
func install(ctx context.Context, dsn, program string, environment []string) error {
	ctx, cancel := context.WithTimeout(ctx, installWaitMax)
	defer cancel()
	command := exec.CommandContext(ctx, program, "install", "--upstream", dsn, "--watch", "public.*", "--follower-role", servers.Follower)
	command.Env = append(os.Environ(), environment...)
	text, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run freshet install: %w; it said:\n%s", err, text)
	}
	return nil
}

// launchSidecar starts one with its link to PostgreSQL.
func (f *fleet) launchSidecar(number int, o Options, died func(error)) error {
	up, door := f.linkDir(number), f.doorDir(number)
	for _, dir := range []string{up, door} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("create a directory for a socket: %w", err)
		}
	}
	l, err := newLink(up, f.primarySocket())
	if err != nil {
		return err
	}
	f.links = append(f.links, l)
	s := &sidecar{number: number, program: f.program, environment: o.Environment, died: died, arguments: []string{
		"serve",
		"--upstream", fmt.Sprintf("host=%s port=%d user=%s dbname=%s", up, upstreamPort, servers.Follower, database),
		"--socket-dir", door, "--port", strconv.Itoa(sidecarPort), "--redis", f.redis.URL(), "--admin", "off",
		"--staleness", o.Bound.String(), "--poll", o.poll().String(),
	}}
	if number%2 == 0 && !o.cold { // what has ended is loaded for nobody there, however little that takes
		s.arguments = append(s.arguments, "--warm", "1ns")
	}
	if o.restAfter != 0 {
		s.arguments = append(s.arguments, "--rest-after", o.restAfter.String())
	}
	f.sidecars = append(f.sidecars, s)
	return s.start()
}

func (f *fleet) linkDir(number int) string { return filepath.Join(f.dir, "up"+strconv.Itoa(number)) }

func (f *fleet) doorDir(number int) string { return filepath.Join(f.dir, strconv.Itoa(number)) }

// door is the connection string of a sidecar, or of PostgreSQL itself.
func (f *fleet) door(number int) string {
	if number == direct {
		return f.dsn()
	}
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", f.doorDir(number), sidecarPort, database)
}

// dsn is the connection string of the present primary.
func (f *fleet) dsn() string { return f.postgres().DSN(database) }

// postgres is the present primary.
func (f *fleet) postgres() *servers.Postgres {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.primary
}

func (f *fleet) primarySocket() string {
	p := f.postgres()
	return socketPath(p.SocketDir(), p.Port())
}

// succeed makes another server the primary and turns the links to it.
func (f *fleet) succeed(next *servers.Postgres) {
	f.mu.Lock()
	f.retired = append(f.retired, f.primary)
	f.primary = next
	f.mu.Unlock()
	for _, l := range f.links {
		l.turn(f.primarySocket())
	}
}

// retire removes the servers that were primaries.
func (f *fleet) retire() error {
	f.mu.Lock()
	retired := f.retired
	f.retired = nil
	f.mu.Unlock()
	var err error
	for _, p := range retired {
		err = errors.Join(err, p.Close())
	}
	return err
}

// close ends everything that was started.
func (f *fleet) close() error {
	for _, s := range f.sidecars {
		s.kill()
	}
	for _, l := range f.links {
		l.close()
	}
	err := f.retire()
	if f.redis != nil {
		err = errors.Join(err, f.redis.Close())
	}
	if f.ground != nil {
		f.ground.give(f.postgres())
	} else if p := f.postgres(); p != nil {
		err = errors.Join(err, p.Close())
	}
	if f.dir != "" {
		err = errors.Join(err, os.RemoveAll(f.dir))
	}
	return err
}
