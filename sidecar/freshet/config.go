package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation/connection"
	"github.com/freshet/freshet/sidecar/internal/accesslog"
	"github.com/freshet/freshet/sidecar/internal/otlp"
	"github.com/freshet/freshet/sidecar/internal/transport"
	"github.com/freshet/freshet/sidecar/run"
	"github.com/freshet/freshet/sidecar/wire"
)

// config says what one sidecar does. Each field is a flag, a key of the
// configuration file and, in capitals behind FRESHET_, an environment variable;
// its help text says what it means, its unit and its special values.
type config struct {
	upstreamFlag
	SocketDir    string            `placeholder:"DIR" help:"Directory for the Unix socket that clients connect to; it is created if it is not there. Required."`
	Port         int               `default:"6432" placeholder:"N" help:"Port number: part of the socket's name, as for Postgres (DIR/.s.PGSQL.N)."`
	SocketMode   socketMode        `default:"0660" placeholder:"MODE" help:"Permissions of the socket, in octal digits: who may connect to it at all."`
	SocketGroup  string            `placeholder:"GROUP" help:"Group that owns the socket, by name or number. Default: the one that the process runs as."`
	TakeOver     bool              `help:"Take the place of the sidecar that listens on the socket, if one does: it hands its sockets over, so that nobody who connects is refused, and ends when its clients have left, after --drain at the latest."`
	Drain        time.Duration     `default:"30s" placeholder:"DURATION" help:"How long clients may finish what they are doing when the sidecar ends. What takes longer is cancelled in Postgres."`
	DrainDelay   time.Duration     `default:"0s" placeholder:"DURATION" help:"How long clients can still connect when the sidecar is told to end, while /readyz says 503 already: for a balancer or a probe that has to notice first. Then --drain begins."`
	Passwordless wire.Passwordless `default:"own" enum:"own,any" placeholder:"WHO" help:"Which role a client may be where Postgres asks it for nothing (peer, ident, trust): own, the role with the name of the client's operating system user; or any."`
	AllowUids    userList          `placeholder:"USER" help:"Users of the operating system that may connect to the socket, by name or number, whatever its permissions say; others are refused with 28000. Default: whoever the permissions let."`
	ListenTCP    string            `name:"listen-tcp" placeholder:"HOST:PORT" help:"Listen on TCP too, for drivers that cannot use Unix sockets. Unencrypted, unless there is a certificate: use a loopback address. Default: no TCP."`
	TLSCertFile  string            `name:"tls-cert-file" placeholder:"FILE" help:"Certificate in PEM, with which clients on TCP that ask for it are served encrypted. It is read again when it has changed. Default: none, encryption is refused."`
	TLSKeyFile   string            `name:"tls-key-file" placeholder:"FILE" help:"Key of that certificate, in PEM."`
	TLSSelf      bool              `name:"tls-self-signed" help:"Make a certificate at start instead: for URLs that demand encryption (sslmode=require) and verify nothing."`
	Primary      string            `placeholder:"DSN" help:"The primary, if --upstream is a hot standby: what changes is followed there. Sessions with freshet.consistency = 'bounded' are served then, others pass through. --upstream must lead to one standby, not to a balancer before several. Default: --upstream is the primary."`
	Follow       string            `placeholder:"DSN" help:"Postgres itself, if --upstream leads to it through a pooler: changes are followed and statements analysed there. Clients are passed through while the pooler is in transaction mode. Default: --upstream."`
	Databases    databaseList      `placeholder:"NAME: DSN" help:"Further databases that clients may ask for by name, each followed and cached for itself: {crm: host=db2 dbname=crm}, or with upstream, primary, follow, watch and memory below the name. Best in the file. Default: none, and clients of databases other than that of --upstream pass through to its server."`
	Redis        string            `placeholder:"URL" help:"Redis that sidecars share: redis://host:port/db, unix:///path/redis.sock, redis-sentinel://host1,host2/master?db=n or redis-cluster://host1,host2; with rediss instead of redis through TLS. Default: none, one tier."`

	RedisPolicy   engine.RemotePolicy `default:"auto" enum:"auto,always,never" placeholder:"WHEN" help:"Which reads ask Redis before Postgres: auto, those of a kind that is expected to be answered sooner so (measured, with a sample that goes on measuring); always, which spares Postgres at any price; or never."`
	RedisCompress bool                `help:"Compress what is put into Redis, where that makes it shorter."`
	RedisKeyFile  string              `placeholder:"FILE" help:"Encrypt and authenticate what is put into Redis, and use nothing else from it: a file with one key a line, 64 hexadecimal digits each (openssl rand -hex 32). The first encrypts, all decrypt. Default: whoever can write to Redis is trusted."`

	Watch          watchList     `placeholder:"PATTERN" help:"Tables to watch, such as public.* or shop.orders; what is missing in the database is installed at start. Default: what is installed already."`
	LearnColumns   bool          `default:"true" negatable:"" help:"Watch further columns of the tables of --watch whose pattern names none, up to twelve, when statements often look rows up by them."`
	Function       functionList  `placeholder:"FUNCTION" help:"Functions of the database that statements may call and be cached, with what they read: shop.slug(text)=pure, shop.total(int)=shop.orders+shop.items, auth.uid()=setting:request.jwt.claims. They must change nothing, and depend on nothing else but their arguments, the role and the usual settings. Default: none."`
	SteadyRoles    bool          `help:"Nobody gives a role BYPASSRLS, superuser or a membership and takes it away again within seconds: then what policies filter is cached where the upstream's role may not read pg_authid, too, as on managed services. Default: such reads pass through."`
	Tables         tableRules    `placeholder:"RULE" help:"Rules for the statements that read a table: {match: shop.sessions, cache: no}, or staleness, ttl, max-entry, stricter than those of the sidecar; or out-of-date, where nothing could be fresh. Best in the file. Default: none."`
	Shapes         shapeRules    `placeholder:"RULE" help:"Rules for statements, by their text ({match: SELECT … FROM orders WHERE …, ttl: 30s}) or by the id that freshet top shows. Default: none."`
	Admin          string        `default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Address of the live page, its API, metrics and health. Port 0 takes a free one; off turns it off."`
	AdminTokenFile string        `placeholder:"FILE" help:"File with the token that whoever asks the admin address has to give, as a bearer token or as a password of any user; /livez and /readyz need none. Default: none, which only an address that nobody else reaches may do."`
	AdminInsecure  bool          `help:"Serve the admin address to others without a token. Default: that is refused."`
	AdminReadonly  bool          `help:"Nothing can be changed on the admin address, also by who has the token: no purge, reload, bypass, mark or explain. Default: off."`
	Metrics        string        `placeholder:"HOST:PORT" help:"A further address for /livez, /readyz and /metrics alone, which asks for no token: for probes and Prometheus where the page is not to be reached. Default: none, they are on the admin address only."`
	Pprof          bool          `help:"Serve profiles of the program on the admin address, /debug/pprof/. Default: off."`
	OTLP           string        `name:"otlp" placeholder:"URL" help:"Push metrics to a collector of OpenTelemetry's by OTLP over HTTP, such as http://127.0.0.1:4318, every 15 s; OTEL_EXPORTER_OTLP_HEADERS and OTEL_RESOURCE_ATTRIBUTES of the environment say what it wants besides. Default: none."`
	MaxClients     int           `default:"0" placeholder:"N" help:"Most clients that may be connected; others are refused with 53300, as Postgres does. 0: as many as Postgres lets."`
	MaxUpstream    int           `default:"0" placeholder:"N" help:"Most connections to Postgres: each client takes one, and the sidecar itself six for each database at most; clients beyond are refused with 53300. 0: as many as Postgres lets."`
	Verify         float64       `default:"0.001" placeholder:"SHARE" help:"Share of the answers from the cache that are compared with what Postgres says, after they were served and on a connection of the sidecar's own. 0 turns it off."`
	VerifyRate     float64       `default:"2" placeholder:"N" help:"Most answers that are compared in a second."`
	VerifyOnStale  string        `default:"log" enum:"log,bypass" placeholder:"WHAT" help:"What to do where such an answer is proven stale, besides ending what depends on its tables: log, say so; or bypass, have statements of its shape pass through until somebody purges one of its tables."`
	AccessLog      string        `placeholder:"FILE" help:"Write a line of JSON for each statement: role, database, shape, tables, how it was answered, how old the answer was; no values. - is standard output. A reload opens the file anew. Default: none."`
	Memory         byteSize      `default:"64MiB" placeholder:"SIZE" help:"Most that entries in this process may take; several databases divide it."`
	MaxEntry       byteSize      `default:"1MiB" placeholder:"SIZE" help:"Largest answer that is kept; larger ones come from Postgres every time."`
	Staleness      time.Duration `default:"1s" placeholder:"DURATION" help:"Promise: a read lacks no commit that was acknowledged longer ago. When that cannot be proven, it goes to Postgres."`
	Poll           time.Duration `default:"100ms" placeholder:"DURATION" help:"Longest time between two looks for changes when no notification comes."`
	Warm           time.Duration `default:"0s" placeholder:"DURATION" help:"Load again what a change has ended before it is asked for, on the connection of a client that is idle, if it was read twice since it was loaded and that took Postgres at least this long: 5ms, say. 0: nothing is loaded that no client asks for."`
	RestAfter      time.Duration `default:"1m" placeholder:"DURATION" help:"Time without reads after which looks for changes stop, and all connections to Postgres are closed but two; the first read afterwards waits for a look. 0: they never stop."`
	TTL            time.Duration `name:"ttl" default:"1h" placeholder:"DURATION" help:"Longest life of an entry. Changes end it sooner; this bounds the harm of those that no trigger sees."`
	LogFormat      string        `default:"text" enum:"text,json" placeholder:"FORMAT" help:"How lines of the log are written: text or json."`
	LogLevel       logLevel      `default:"info" placeholder:"LEVEL" help:"What is logged on standard error: debug, info, warn or error."`
}

// upstreamFlag holds the options that every command with a database has.
type upstreamFlag struct {
	Upstream     string `placeholder:"DSN" help:"Postgres, as a URL (postgres://…) or keywords (host=… dbname=…). What it leaves out comes from PGHOST, PGPORT and their kin. Default: that environment alone."`
	UpstreamFile string `placeholder:"FILE" help:"File with the DSN, in the place of --upstream. User and password are read again for each connection, so that they can be rotated; what else changes in it takes a restart. Default: none."`
	passwordFlags

	// fromFile is the DSN of UpstreamFile, which AfterApply has read.
	fromFile string `kong:"-"`
}

// AfterApply reads the file with the DSN, if there is one.
func (u *upstreamFlag) AfterApply() (err error) {
	switch {
	case u.UpstreamFile == "":
		return nil
	case u.Upstream != "":
		return usage("--upstream and --upstream-file both say where Postgres is: leave one out")
	}
	u.fromFile, err = readUpstreamFile(u.UpstreamFile)
	return err
}

// dsn is where Postgres is.
func (u upstreamFlag) dsn() string {
	if u.UpstreamFile != "" {
		return u.fromFile
	}
	return u.Upstream
}

// connConfig reads the DSN. Errors do not show passwords.
func (u upstreamFlag) connConfig() (*pgx.ConnConfig, error) {
	return parseDSN("--upstream", u.dsn())
}

func parseDSN(flag, dsn string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, usage("read %s: it takes a URL such as postgres://user@host:5432/db or keywords such as 'host=/run/postgresql dbname=db': %w", flag, err)
	}
	return c, nil
}

// sidecar checks the configuration and makes what it describes. The caller must run it.
func (c *config) sidecar(logger *slog.Logger) (*run.Sidecar, error) {
	return c.sidecarOn(nil, logger)
}

// sidecarOn is sidecar with listeners that somebody else has opened.
func (c *config) sidecarOn(listeners map[string]net.Listener, logger *slog.Logger) (*run.Sidecar, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := c.checkDSNs(); err != nil {
		return nil, err
	}
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	options.Logger, options.Listeners = logger, listeners
	if c.AccessLog != "" {
		if options.Access, err = accesslog.New(accesslog.File(c.AccessLog), logger); err != nil {
			return nil, err
		}
	}
	s, err := run.New(options)
	if misuse, ok := errors.AsType[*run.MisuseError](err); ok {
		return nil, codedError{misuse, exitUsage}
	}
	return s, err
}

// options are a valid configuration, with files read and DSNs understood.
func (c *config) options() (o run.Options, err error) {
	o = run.Options{
		SocketDir:     c.SocketDir,
		Port:          c.Port,
		SocketMode:    fs.FileMode(c.SocketMode),
		SocketGroup:   c.SocketGroup,
		ListenTCP:     c.ListenTCP,
		Certificate:   run.CertificateFiles{Certificate: c.TLSCertFile, Key: c.TLSKeyFile},
		SelfSigned:    c.TLSSelf,
		Passwordless:  c.Passwordless,
		TakeOver:      c.TakeOver,
		Drain:         c.Drain,
		DrainDelay:    c.DrainDelay,
		ClientsMax:    c.MaxClients,
		UpstreamMax:   c.MaxUpstream,
		RedisURL:      c.Redis,
		RedisPolicy:   c.RedisPolicy,
		RedisCompress: c.RedisCompress,
		Watch:         c.Watch,
		LearnColumns:  c.LearnColumns,
		VerifyShare:   c.Verify,
		VerifyMax:     c.VerifyRate,
		VerifyBypass:  c.VerifyOnStale == "bypass",
		Functions:     c.Function,
		SteadyRoles:   c.SteadyRoles,
		Rules:         c.rules(),
		MemoryBytes:   int64(c.Memory),
		EntryMax:      int(c.MaxEntry),
		Staleness:     c.Staleness,
		Poll:          c.Poll,
		RestAfter:     c.RestAfter,
		WarmFrom:      c.Warm,
		TTL:           c.TTL,
		Metrics:       c.Metrics,
		Version:       programVersion(),
		Revision:      programRevision(),
		OTLP:          c.OTLP,
	}
	if c.adminOn() {
		o.Admin, o.AdminInsecure, o.AdminReadOnly, o.Profile = c.Admin, c.AdminInsecure, c.AdminReadonly, c.Pprof
		if o.AdminToken, err = readToken(c.AdminTokenFile); err != nil {
			return o, err
		}
	}
	if o.AllowedUIDs, err = c.AllowUids.numbers(); err != nil {
		return o, err
	}
	if o.Upstream, err = c.plainDatabase(); err != nil {
		return o, err
	}
	if c.Primary != "" {
		if o.Primary, err = c.database("--primary", c.Primary); err != nil {
			return o, err
		}
	}
	if c.Follow != "" {
		if o.Follow, err = c.database("--follow", c.Follow); err != nil {
			return o, err
		}
	}
	if o.Databases, err = c.namedDatabases(); err != nil {
		return o, err
	}
	o.RedisKeys, err = readKeyFile(c.RedisKeyFile)
	return o, err
}

// plainDatabase is where --upstream leads.
func (c *config) plainDatabase() (run.Database, error) {
	config, err := c.connConfig()
	return run.Database{Config: config, BeforeConnect: c.credentials()}, err
}

// database is where a flag's DSN leads.
func (c *config) database(flag, dsn string) (run.Database, error) {
	config, err := parseDSN(flag, dsn)
	return run.Database{Config: config, BeforeConnect: c.readPassword(dsn)}, err
}

// connectMax bounds the wait for a connection of a command.
const connectMax = 10 * time.Second

// connect opens a connection for a command. The caller closes it.
func (u upstreamFlag) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := u.connConfig()
	if err != nil {
		return nil, err
	}
	return connectAs(ctx, "--upstream", config, u.credentials())
}

// connectTo opens a connection to what a flag names.
func (p passwordFlags) connectTo(ctx context.Context, flag, dsn string) (*pgx.Conn, error) {
	c, err := parseDSN(flag, dsn)
	if err != nil {
		return nil, err
	}
	return connectAs(ctx, flag, c, p.readPassword(dsn))
}

// connectAs opens a connection to what a flag's DSN was made into.
func connectAs(ctx context.Context, flag string, c *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectMax)
	defer cancel()
	if err := before(ctx, c); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres (%s): %w", flag, connection.OneLine(err))
	}
	return conn, nil
}

// Smallest values that make sense.
const (
	memoryMin    = 1 << 20
	maxEntryMin  = 1 << 10
	stalenessMin = time.Millisecond
	pollMin      = time.Millisecond
	drainMin     = 10 * time.Millisecond
	ttlMin       = time.Second
)

// validate explains what contradicts itself, and what to write instead.
func (c *config) validate() error {
	var problems []error
	wrong := func(format string, arguments ...any) { problems = append(problems, fmt.Errorf(format, arguments...)) }

	c.checkListeners(wrong)
	c.checkTLS(wrong)
	c.checkRules(wrong)
	c.checkReporting(wrong)
	c.checkLimits(wrong)
	c.checkVerification(wrong)
	c.checkRedisUse(wrong)
	c.checkPasswordSource(wrong)
	c.checkMemory(wrong)
	c.checkTimes(wrong)
	if len(problems) > 0 {
		return codedError{errors.Join(problems...), exitUsage}
	}
	return nil
}

// checkListeners checks where clients find the sidecar, and who of them may connect.
func (c *config) checkListeners(wrong func(format string, values ...any)) {
	if c.SocketDir == "" {
		wrong("--socket-dir is missing: name the directory where clients find the socket, for example --socket-dir /run/freshet")
	} else if absolute, err := filepath.Abs(c.SocketDir); err != nil {
		wrong("--socket-dir %q has no absolute path: %w", c.SocketDir, err)
	} else if err := transport.CheckSocketPath(transport.SocketPath(absolute, c.Port)); err != nil {
		wrong("--socket-dir is too long: %w", err)
	}
	if c.Port < 1 || c.Port > 65535 {
		wrong("--port %d is out of range: it is between 1 and 65535, usually 6432", c.Port)
	}
	if c.ListenTCP != "" {
		if err := checkAddress(c.ListenTCP); err != nil {
			wrong("--listen-tcp %q is no address: write HOST:PORT, such as 127.0.0.1:6432: %w", c.ListenTCP, err)
		}
	}
	if len(c.AllowUids) > 0 && c.ListenTCP != "" {
		wrong("--allow-uids says who may connect, and nothing tells who does by --listen-tcp: leave one out")
	}
}

// checkTLS checks how clients on TCP are served encrypted.
func (c *config) checkTLS(wrong func(format string, values ...any)) {
	files := c.TLSCertFile != "" || c.TLSKeyFile != ""
	switch {
	case !files && !c.TLSSelf:
	case c.ListenTCP == "":
		wrong("--tls-cert-file, --tls-key-file and --tls-self-signed say how clients on TCP are served, and there are none: add --listen-tcp; on the socket nothing is encrypted")
	case files && c.TLSSelf:
		wrong("--tls-cert-file and --tls-self-signed both say which certificate clients are shown: leave one out")
	case files && (c.TLSCertFile == "" || c.TLSKeyFile == ""):
		wrong("--tls-cert-file and --tls-key-file belong together: give both")
	case files:
		if _, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile); err != nil {
			wrong("read --tls-cert-file and --tls-key-file: %w", err)
		}
	}
}

// checkReporting checks where the sidecar tells how it is.
func (c *config) checkReporting(wrong func(format string, values ...any)) {
	if c.adminOn() {
		if err := checkAddress(c.Admin); err != nil {
			wrong("--admin %q is no address: write HOST:PORT, such as 127.0.0.1:7070, or off: %w", c.Admin, err)
		}
	}
	if c.Metrics != "" {
		if err := checkAddress(c.Metrics); err != nil {
			wrong("--metrics %q is no address: write HOST:PORT, such as 127.0.0.1:7071: %w", c.Metrics, err)
		}
	}
	if !c.adminOn() && (c.AdminTokenFile != "" || c.AdminInsecure || c.AdminReadonly || c.Pprof) {
		wrong("--admin-token-file, --admin-insecure, --admin-readonly and --pprof say how the admin address is served, and it is off: leave them out")
	}
	if c.OTLP != "" {
		if _, err := otlp.CheckURL(c.OTLP); err != nil {
			wrong("--otlp %q: %w", c.OTLP, err)
		}
	}
}

// checkLimits checks how many may connect, here and to Postgres.
func (c *config) checkLimits(wrong func(format string, values ...any)) {
	if c.MaxClients < 0 {
		wrong("--max-clients %d is out of range: give a number of clients, or 0 for as many as Postgres lets", c.MaxClients)
	}
	if least := run.OwnConnectionsMax*(1+len(c.Databases)) + 1; c.MaxUpstream != 0 && c.MaxUpstream < least {
		wrong("--max-upstream %d is too little: the sidecar itself needs up to %d, so give at least %d, or 0 for as many as Postgres lets", c.MaxUpstream, least-1, least)
	}
}

// checkVerification checks how many hits are compared with Postgres.
func (c *config) checkVerification(wrong func(format string, values ...any)) {
	if !(c.Verify >= 0 && c.Verify <= 1) { // nor is NaN
		wrong("--verify %g is out of range: it is a share, between 0 and 1", c.Verify)
	}
	if !(c.VerifyRate >= 0) {
		wrong("--verify-rate %g is out of range: give a number of answers in a second, such as 2", c.VerifyRate)
	}
}

// checkRedisUse checks where Redis is, and that nothing says how it is used where there is none.
func (c *config) checkRedisUse(wrong func(format string, values ...any)) {
	if c.Redis != "" && !hasScheme(c.Redis, redis.Schemes...) {
		wrong("--redis does not begin with a known scheme: write %s", redis.URLForms)
	}
	if c.Redis == "" && (c.RedisKeyFile != "" || c.RedisCompress || c.RedisPolicy != "" && c.RedisPolicy != engine.RemoteWhereItPays) {
		wrong("--redis-policy, --redis-key-file and --redis-compress say how Redis is used, and there is none: add --redis, or leave them out")
	}
}

// checkPasswordSource checks that the password comes from one place.
func (c *config) checkPasswordSource(wrong func(format string, values ...any)) {
	if c.PasswordFile != "" && c.PasswordCommand != "" {
		wrong("--password-file and --password-command both say where the password is: leave one out")
	}
}

// checkMemory checks what entries may take of memory.
func (c *config) checkMemory(wrong func(format string, values ...any)) {
	if c.Memory < memoryMin {
		wrong("--memory %s is too little: give at least %s", c.Memory, byteSize(memoryMin))
	}
	if c.MaxEntry < maxEntryMin || c.MaxEntry > c.Memory {
		wrong("--max-entry %s is out of range: it is between %s and --memory (%s)", c.MaxEntry, byteSize(maxEntryMin), c.Memory)
	}
}

// checkTimes checks how long things may take: promises, looks, lives of entries, the end.
func (c *config) checkTimes(wrong func(format string, values ...any)) {
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{{"staleness", c.Staleness, stalenessMin}, {"poll", c.Poll, pollMin}, {"ttl", c.TTL, ttlMin}, {"drain", c.Drain, drainMin}} {
		if d.value < d.least {
			wrong("--%s %s is too short: give at least %s", d.name, d.value, d.least)
		}
	}
	if c.DrainDelay < 0 {
		wrong("--drain-delay %s is out of range: give a time, such as 10s, or 0 for none", c.DrainDelay)
	}
	if c.RestAfter < 0 {
		wrong("--rest-after %s is out of range: give a time, such as 1m, or 0 for never", c.RestAfter)
	}
	if c.Poll >= pollMin && c.Staleness >= stalenessMin && c.Poll > c.Staleness/2 {
		wrong("--poll %s is more than half of --staleness %s: freshness could not be proven between two looks; give for example --poll %s", c.Poll, c.Staleness, c.Staleness/4)
	}
}

// adminOn reports whether there is an admin address at all.
func (c *config) adminOn() bool { return c.Admin != "" && c.Admin != "off" }

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err
}

func hasScheme(url string, schemes ...string) bool {
	for _, s := range schemes {
		if strings.HasPrefix(url, s+"://") {
			return true
		}
	}
	return false
}

// socketMode are permissions, written in octal digits.
type socketMode fs.FileMode

// UnmarshalText reads the digits.
func (m *socketMode) UnmarshalText(text []byte) error {
	mode, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || mode == 0 || mode > 0o777 {
		return fmt.Errorf("%q are no permissions: write octal digits, such as 0660", text)
	}
	*m = socketMode(mode)
	return nil
}

// logLevel is a level by its name.
type logLevel slog.Level

// Level implements slog.Leveler.
func (l logLevel) Level() slog.Level { return slog.Level(l) }

// logLevels are the levels by their names.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// UnmarshalText reads the name of a level.
func (l *logLevel) UnmarshalText(text []byte) error {
	level, ok := logLevels[strings.ToLower(string(text))]
	if !ok {
		return fmt.Errorf("%q is no level: write debug, info, warn or error", text)
	}
	*l = logLevel(level)
	return nil
}
