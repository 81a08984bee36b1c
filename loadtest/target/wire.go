package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/workload"
)

// server is what has to be closed, and works meanwhile.
type server interface {
	ProcessorTime() time.Duration
	Close() error
}

// named is a server and what its process is called.
type named struct {
	name   string
	server server
}

// wire is a target that speaks Postgres' protocol.
type wire struct {
	name, about string
	promise     Promise
	host        string
	port        int
	database    string
	servers     []named
	// apart are distances before servers; they have no process of their own.
	apart []*servers.Distance
	// counts asks a session of this target for its counters; nil where it has none.
	counts func(context.Context, *pgconn.PgConn) (Counts, error)
}

func (w *wire) Name() string     { return w.name }
func (w *wire) About() string    { return w.about }
func (w *wire) Promise() Promise { return w.promise }

func (w *wire) Connect(ctx context.Context, protocol Protocol) (Session, error) {
	return dial(ctx, w.host, w.port, w.database, protocol)
}

func (w *wire) Place() (at Place, ok bool) {
	return Place{w.host, w.port, workload.Role, w.database}, true
}

func (w *wire) Processes() []Process {
	var all []Process
	for _, s := range w.servers {
		all = append(all, Process{s.name, s.server.ProcessorTime})
	}
	return all
}

func (w *wire) Counts(ctx context.Context) (Counts, bool, error) {
	if w.counts == nil {
		return Counts{}, false, nil
	}
	session, err := dial(ctx, w.host, w.port, w.database, Simple)
	if err != nil {
		return Counts{}, false, err
	}
	defer session.conn.Close(ctx)
	counts, err := w.counts(ctx, session.conn)
	if err != nil {
		return Counts{}, false, fmt.Errorf("read the counters of %s: %w", w.name, err)
	}
	return counts, true, nil
}

func (w *wire) Close() error {
	var err error
	for _, s := range w.servers {
		err = errors.Join(err, s.server.Close())
	}
	for _, d := range w.apart {
		err = errors.Join(err, d.Close())
	}
	return err
}

func launchDirect(ctx context.Context, on *Ground, _ Options) (Target, error) {
	database, err := on.database(ctx, "direct")
	host, port := on.place()
	return &wire{name: "direct", about: "Postgres itself", promise: fresh("every commit"), host: host, port: port, database: database}, err
}

func launchFreshet(ctx context.Context, on *Ground, o Options) (Target, error) {
	return sidecar(ctx, "freshet", on, o)
}

// warmFrom is below what the expensive reads take, and above the others.
const warmFrom = "2ms"

func launchFreshetWarm(ctx context.Context, on *Ground, o Options) (Target, error) {
	o.Flags = append([]string{"--warm", warmFrom}, o.Flags...)
	return sidecar(ctx, "freshet+warm", on, o)
}

func launchFreshetWithRedis(ctx context.Context, on *Ground, o Options) (Target, error) {
	redis, socket, apart, err := on.redis(ctx)
	if err != nil {
		return nil, err
	}
	o.Flags = append([]string{"--redis", "unix://" + socket}, o.Flags...)
	w, err := sidecar(ctx, "freshet+redis", on, o)
	if w == nil {
		w = &wire{}
	}
	w.servers = append(w.servers, named{"redis", redis})
	if apart != nil {
		w.apart = append(w.apart, apart)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func sidecar(ctx context.Context, name string, on *Ground, o Options) (*wire, error) {
	database, err := on.database(ctx, name)
	if err != nil {
		return nil, err
	}
	host, port := on.place()
	f, err := servers.LaunchFreshet(ctx, servers.FreshetOptions{
		Program:  o.Program,
		Owner:    on.postgres.DSN(database),
		Upstream: fmt.Sprintf("host=%s port=%d user=%s dbname=%s", host, port, servers.Follower, database),
		Flags:    append([]string{"--staleness", o.Staleness.String()}, o.Flags...),
	})
	if err != nil {
		return nil, err
	}
	w := &wire{name: name, host: f.SocketDir(), port: f.Port(), database: database, servers: []named{{"freshet", f}}, counts: reportOfFreshet}
	w.promise = fresh("every commit acknowledged through this sidecar")
	if o.Beside {
		w.promise = Promise{o.Staleness, "commits acknowledged more than " + o.Staleness.String() + " before"}
	}
	w.about = "freshet serve " + strings.Join(append([]string{"--staleness", o.Staleness.String()}, o.Flags...), " ")
	return w, nil
}

// reportOfFreshet reads SHOW freshet.stats.
func reportOfFreshet(ctx context.Context, conn *pgconn.PgConn) (Counts, error) {
	text, err := oneText(ctx, conn, "SHOW freshet.stats")
	if err != nil {
		return Counts{}, err
	}
	var stats struct {
		Queries  map[string]uint64 `json:"queries"`
		Bypasses map[string]uint64 `json:"bypasses"`
	}
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		return Counts{}, fmt.Errorf("read SHOW freshet.stats: %w", err)
	}
	c := Counts{Hits: stats.Queries["hit_l1"] + stats.Queries["hit_l2"] + stats.Queries["coalesced"], Bypasses: stats.Bypasses}
	c.Lookups = c.Hits + stats.Queries["miss"] + stats.Queries["bypass"]
	return c, nil
}

func oneText(ctx context.Context, conn *pgconn.PgConn, sql string) (string, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return "", fmt.Errorf("%s has no rows", sql)
	}
	return string(results[0].Rows[0][0]), nil
}

func launchPgBouncer(ctx context.Context, on *Ground, o Options) (Target, error) {
	database, err := on.database(ctx, "pgbouncer")
	if err != nil {
		return nil, err
	}
	host, port := on.place()
	p, err := servers.LaunchPgBouncer(ctx, on.postgres, servers.PgBouncerOptions{Upstream: host, UpstreamPort: port, ClientsMax: o.Clients + spareSessions})
	if err != nil {
		return nil, err
	}
	return &wire{name: "pgbouncer", about: "PgBouncer, pool_mode = session", promise: fresh("every commit"),
		host: p.SocketDir(), port: p.Port(), database: database, servers: []named{{"pgbouncer", p}}}, nil
}

func launchPgpool(ctx context.Context, on *Ground, o Options) (Target, error) {
	database, err := on.database(ctx, "pgpool")
	if err != nil {
		return nil, err
	}
	host, port := on.place()
	expire := time.Duration(0)
	promise := fresh("every commit through it")
	if o.Beside {
		expire = max(time.Second, o.TTL.Round(time.Second))
		promise = Promise{expire, "what it keeps lives for " + expire.String()}
	}
	p, err := servers.LaunchPgpool(ctx, servers.PgpoolOptions{Upstream: host, Port: port, ClientsMax: o.Clients + spareSessions, Expire: expire})
	if err != nil {
		return nil, err
	}
	return &wire{name: "pgpool", about: fmt.Sprintf("Pgpool-II, memory_cache_enabled = on, memqcache_expire = %d", int(expire.Seconds())),
		promise: promise, host: p.SocketDir(), port: p.Port(), database: database, servers: []named{{"pgpool", p}}, counts: reportOfPgpool}, nil
}

// spareSessions are those of whoever reads counters and compares.
const spareSessions = 8

// reportOfPgpool reads SHOW POOL_CACHE: hits and SELECTs that were looked up.
func reportOfPgpool(ctx context.Context, conn *pgconn.PgConn) (Counts, error) {
	results, err := conn.Exec(ctx, "SHOW POOL_CACHE").ReadAll()
	if err != nil {
		return Counts{}, err
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return Counts{}, errors.New("SHOW POOL_CACHE has no rows")
	}
	values := map[string]uint64{}
	for i, field := range results[0].FieldDescriptions {
		values[field.Name], _ = strconv.ParseUint(string(results[0].Rows[0][i]), 10, 64) // the ratio is no whole number
	}
	hits := values["num_cache_hits"]
	return Counts{Hits: hits, Lookups: hits + values["num_selects"]}, nil
}
