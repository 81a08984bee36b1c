package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/demo/shop"
	"github.com/freshet/freshet/loadtest/demo/view"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/run"
)

const (
	demoDatabase  = "shop"
	demoPort      = 6432
	demoStaleness = time.Second
	demoSeed      = 1
	// demoStartMax bounds each step before the shop opens.
	demoStartMax = 2 * time.Minute
	// demoConnectionsMax is PostgreSQL's limit: every client of the demo has a
	// connection of its own, those of the crowd included.
	demoConnectionsMax = "300"
	// Load for each processor, and how many processors are loaded at most: two
	// connections a reader, so that 300 are enough.
	demoReadersEach   = 10
	demoReadsEach     = 1500
	demoProcessorsMax = 6
	// demoTick is how often it is looked whether the time is over or the view due.
	demoTick = 100 * time.Millisecond
)

// demoNames tell the sidecars apart.
var demoNames = []string{"A", "B"}

// demoOptions configure the demo.
type demoOptions struct {
	// Duration is how long the shop is open; starting takes a few seconds more.
	Duration time.Duration
	// Out takes what the demo shows.
	Out io.Writer
}

// demo is what the demo starts. The zero value has started nothing.
type demo struct {
	options  demoOptions
	postgres *servers.Postgres
	redis    *servers.Redis
	data     shop.DataSet
	pages    []net.Listener // one for each sidecar
	sidecars []*run.Sidecar
}

// runDemo shows Freshet at work on servers of its own. It ends after the duration
// or, earlier, with ctx; it returns an error when something could not be started,
// and when a read was stale or a statement failed.
func runDemo(ctx context.Context, o demoOptions) error {
	if o.Duration <= 0 {
		return fmt.Errorf("%w: --duration %s is too short: give some seconds, such as 30s", errUsage, o.Duration)
	}
	redis.SilenceClient()
	d := &demo{options: o, data: shop.Standard()}
	err := errors.Join(d.run(ctx), d.closeServers())
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // it was asked to end while it was starting
	}
	return err
}

func (d *demo) run(ctx context.Context) error {
	if err := d.choosePages(); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) (detail string, err error)
	}{
		{"PostgreSQL and Redis", d.startServers},
		{"A shop", d.fill},
		{"Freshet's triggers", d.install},
		{"Two sidecars", d.makeSidecars},
	} {
		if err := d.step(ctx, step.name, step.do); err != nil {
			return err
		}
	}
	// The sidecars end after their clients.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	for _, s := range d.sidecars {
		group.Go(func() error { return s.Run(serving) })
	}
	visiting, leave := context.WithCancel(ctx)
	defer leave()
	defer context.AfterFunc(serving, leave)()
	report, err := d.visit(visiting)
	stop()
	if failure := group.Wait(); failure != nil {
		return fmt.Errorf("run demo: a sidecar failed: %w", failure) // what else went wrong followed from it
	}
	if err != nil {
		return err
	}
	return judge(report)
}

// choosePages listens where the sidecars' pages will be, and says so before anything else:
// whoever opens one now sees the story from its beginning.
func (d *demo) choosePages() error {
	d.print("Watch each sidecar:\n")
	for _, name := range demoNames {
		page, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("run demo: %w", err)
		}
		d.pages = append(d.pages, page)
		d.print("  %s  http://%s/\n", name, page.Addr())
	}
	d.print("\n")
	return nil
}

// step does one thing and says so.
func (d *demo) step(ctx context.Context, name string, do func(context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, demoStartMax)
	defer cancel()
	d.print("%-22s", name)
	began := time.Now()
	detail, err := do(ctx)
	if err != nil {
		d.print("\n")
		return err
	}
	d.print("%s, %.1f s\n", detail, time.Since(began).Seconds())
	return nil
}

// print ignores errors: who cannot be shown anything still gets the exit code.
func (d *demo) print(format string, args ...any) { _, _ = fmt.Fprintf(d.options.Out, format, args...) }

func (d *demo) startServers(ctx context.Context) (detail string, err error) {
	d.postgres, err = servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: map[string]string{
		"max_connections":          demoConnectionsMax,
		"shared_preload_libraries": "pg_stat_statements",
	}})
	if err != nil {
		return "", fmt.Errorf("run demo: %w", explainStart(err))
	}
	if d.redis, err = servers.LaunchRedis(ctx, servers.RedisOptions{}); err != nil {
		return "", fmt.Errorf("run demo: %w", err)
	}
	conn, err := pgx.Connect(ctx, d.postgres.DSN("postgres"))
	if err != nil {
		return "", fmt.Errorf("run demo: connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+demoDatabase); err != nil {
		return "", fmt.Errorf("run demo: create database: %w", err)
	}
	version, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return "throwaway, in " + filepath.Dir(d.postgres.SocketDir()) + "; PostgreSQL " + version, nil
}

// explainStart adds what to install where PostgreSQL lacks its contrib modules.
func explainStart(err error) error {
	if !strings.Contains(err.Error(), "pg_stat_statements") {
		return err
	}
	return fmt.Errorf("%w\nThe demo reads PostgreSQL's own count of statements, which is one of its contrib modules: "+
		"install the package postgresql-contrib (Debian's and Homebrew's PostgreSQL include it)", err)
}

func (d *demo) fill(ctx context.Context) (string, error) {
	rows, err := shop.Fill(ctx, d.postgres.DSN(demoDatabase), d.data, demoSeed)
	if err != nil {
		return "", fmt.Errorf("run demo: %w", err)
	}
	return fmt.Sprintf("%d customers, %d products, %d orders, %d rows in all", d.data.Customers, d.data.Products, d.data.Orders, rows), nil
}

func (d *demo) install(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, d.postgres.DSN(demoDatabase))
	if err != nil {
		return "", fmt.Errorf("run demo: connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	report, err := invalidation.Install(ctx, conn, invalidation.Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}})
	if err != nil {
		return "", fmt.Errorf("run demo: %w", err)
	}
	if len(report.Skipped) > 0 {
		return "", fmt.Errorf("run demo: table %s is not watched: %s", report.Skipped[0].Name, report.Skipped[0].Reason)
	}
	// So that the sidecars can verify answers of these.
	if _, err := conn.Exec(ctx, "GRANT "+strings.Join(shop.Verifiable, ", ")+" TO "+servers.Follower); err != nil {
		return "", fmt.Errorf("run demo: let sidecars verify: %w", err)
	}
	return fmt.Sprintf("on %d tables", len(report.Watched)), nil
}

// makeSidecars puts their sockets below the server's directory, which is removed
// even if this process is killed.
func (d *demo) makeSidecars(context.Context) (string, error) {
	upstream, err := pgx.ParseConfig(d.postgres.FollowerDSN(demoDatabase))
	if err != nil {
		return "", fmt.Errorf("run demo: %w", err)
	}
	for i, name := range demoNames {
		s, err := run.New(run.Options{
			Version:     "demo",
			Upstream:    run.Database{Config: upstream},
			SocketDir:   filepath.Join(d.postgres.SocketDir(), name),
			Port:        demoPort,
			RedisURL:    d.redis.URL(),
			Admin:       d.pages[i].Addr().String(),
			Listeners:   map[string]net.Listener{run.AdminListener: d.pages[i]},
			MemoryBytes: 64 << 20,
			EntryMax:    1 << 20,
			Staleness:   demoStaleness,
			Poll:        100 * time.Millisecond,
			TTL:         time.Hour,
			VerifyShare: 0.001, // as serve does by default
			VerifyMax:   2,
		})
		if err != nil {
			for _, made := range d.sidecars {
				made.Close()
			}
			return "", fmt.Errorf("run demo: make sidecar: %w", err)
		}
		d.sidecars = append(d.sidecars, s)
	}
	return "sharing Redis, promising " + demoStaleness.String(), nil
}

// visit opens the shop, shows what happens until the duration is over or ctx is
// done, and sums it up.
func (d *demo) visit(ctx context.Context) (shop.Report, error) {
	for _, s := range d.sidecars {
		select {
		case <-s.Ready():
		case <-ctx.Done():
			return shop.Report{}, ctx.Err()
		}
	}
	d.invite()
	workload, err := shop.New(d.shopOptions())
	if err != nil {
		return shop.Report{}, fmt.Errorf("run demo: %w", err)
	}
	open, shut := context.WithCancel(ctx)
	defer shut()
	ended := make(chan error, 1)
	go func() { ended <- workload.Run(open) }()
	told := make(chan error, 1)
	go func() { told <- d.tell(open, workload) }()

	screen := view.New(d.options.Out, os.Getenv)
	defer screen.Close()
	ticker := time.NewTicker(demoTick)
	defer ticker.Stop()
	var shown time.Duration
	for {
		select {
		case <-ticker.C:
			switch elapsed := workload.Elapsed(); {
			case elapsed >= d.options.Duration:
				shut()
			case elapsed-shown >= screen.Interval():
				screen.Show(d.frame(workload.Report()))
				shown = elapsed
			}
		case err := <-ended:
			report := workload.Report()
			if report.Elapsed > 0 {
				screen.Sum(d.frame(report))
			}
			shut()
			return report, errors.Join(err, <-told)
		}
	}
}

func (d *demo) shopOptions() shop.Options {
	o := shop.Options{
		Direct:      shop.Door{Name: "PostgreSQL", Dir: d.postgres.SocketDir(), Port: d.postgres.Port(), Database: demoDatabase},
		CountersDSN: d.postgres.DSN(demoDatabase),
		DataSet:     d.data,
		Seed:        demoSeed,
		Bound:       demoStaleness,
		Duration:    d.options.Duration,
		OnStampede:  d.stampeded,
		// More processors serve more readers, up to what the connections allow.
		Readers:        demoReadersEach * min(runtime.NumCPU(), demoProcessorsMax),
		ReadsPerSecond: demoReadsEach * min(runtime.NumCPU(), demoProcessorsMax),
	}
	for i, s := range d.sidecars {
		c := s.ClientConfig()
		o.Doors = append(o.Doors, shop.Door{Name: "sidecar " + demoNames[i], Dir: c.Host, Port: int(c.Port), Database: demoDatabase})
	}
	return o
}

// invite says how to join in.
func (d *demo) invite() {
	d.print("\nTry it by hand while it runs, as psql would talk to Postgres:\n")
	for i, s := range d.sidecars {
		c := s.ClientConfig()
		d.print("  %s  psql -h %s -p %d -U %s -d %s\n", demoNames[i], c.Host, c.Port, shop.Visitor, demoDatabase)
	}
	d.print("     =>  SELECT name, price_cents, version FROM products WHERE id = 42;\n")
	d.print("\nReaders, writers, sidecars, Redis and Postgres share this machine's %d processors, under a fixed load of\n"+
		"%d reads/s. Times are what readers saw, from the call to the last row: the driver and the wait for a\n"+
		"processor included.\n\n", runtime.NumCPU(), d.shopOptions().ReadsPerSecond)
}

// frame adds what the sidecars say of themselves.
func (d *demo) frame(report shop.Report) view.Frame {
	f := view.Frame{Length: d.options.Duration, Shop: report}
	for i, s := range d.sidecars {
		f.Sidecars = append(f.Sidecars, describe(demoNames[i], s.Report()))
	}
	return f
}

// describe picks what the view shows of one sidecar. Its reads are all statements
// but those that could not be one.
func describe(name string, stats dashboard.Stats) view.Sidecar {
	s := view.Sidecar{Name: name, Problem: stats.FollowerProblem, Events: stats.InvalidationEvents, FollowerAge: -1,
		Reasons: map[string]uint64{}}
	if age := stats.FollowerAgeSeconds; age != nil {
		s.FollowerAge = time.Duration(*age * float64(time.Second))
	}
	for reason, n := range stats.Bypasses {
		if !slices.Contains(noReads, reason) {
			s.Reasons[reason] = n
			s.Passed += n
		}
	}
	q := stats.Queries
	s.Memory, s.Redis, s.Joined, s.Missed, s.Failed = q["hit_l1"], q["hit_l2"], q["coalesced"], q["miss"], q["error"]
	return s
}

// noReads are the reasons of writes, and of what belongs to them.
var noReads = []string{"not_select", "in_transaction", "failed_transaction"}

// judge is the demo's verdict as an error.
func judge(r shop.Report) error {
	c := r.Checks
	switch {
	case c.Violations() > 0:
		return fmt.Errorf("the demo found broken promises: %d stale reads, %d own writes missing, %d reads back in time, %d wrong totals",
			c.Stale, c.OwnLost, c.WentBack, c.TotalsWrong)
	case r.NeverVisible > 0:
		return fmt.Errorf("the demo found %d writes that did not show within %v", r.NeverVisible, 2*demoStaleness)
	case r.Errors > 0:
		return fmt.Errorf("the demo found %d errors of statements that Postgres would have answered", r.Errors)
	}
	return nil
}

// closeServers removes the servers with all their files.
func (d *demo) closeServers() error {
	var err error
	for _, page := range d.pages {
		_ = page.Close() // a sidecar has closed it, unless none was made
	}
	if d.redis != nil {
		err = d.redis.Close()
	}
	if d.postgres != nil {
		err = errors.Join(err, d.postgres.Close())
	}
	if err != nil {
		return fmt.Errorf("end demo: %w", err)
	}
	return nil
}
