package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/accesslog"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/transport"
	"github.com/freshet/freshet/sidecar/wire"
)

// CertificateFiles name a certificate and its key.
type CertificateFiles = transport.CertificateFiles

// Options say what one sidecar does. The command has a flag for each, with the same
// meaning; sizes are in bytes. Zero values are defaults only where a field says so.
type Options struct {
	Upstream Database
	// Primary is where changes are followed and statements analysed if Upstream is a
	// hot standby. Without a Config it is Upstream.
	Primary Database
	// Follow is where changes are followed and statements analysed if Upstream leads through
	// a pooler: straight to the same server. Without a Config it is Upstream.
	Follow Database

	// Databases are others that clients may ask for, each with a follower and a cache of its
	// own. Who asks for none of them is led to Upstream. Default: none.
	Databases []NamedDatabase

	// SocketDir is the directory of the socket that clients connect to. It is created
	// if it is not there.
	SocketDir string
	// Port is part of the socket's name, as for Postgres.
	Port int
	// SocketMode are the socket's permissions. Default: those of the wire.
	SocketMode fs.FileMode
	// SocketGroup owns the socket. Default: the group that the process runs as.
	SocketGroup string
	// ListenTCP is a further address to listen on. Default: none.
	ListenTCP string
	// Certificate names the files of the certificate with which clients on TCP are served
	// encrypted, if they ask for it; SelfSigned makes one instead. Default: neither, and
	// they are not.
	Certificate CertificateFiles
	SelfSigned  bool
	// Listeners are those that a service manager has opened, by name (ClientListener and
	// others); none is opened in their place. They are the sidecar's from then on: New closes
	// them if it fails. Default: none.
	Listeners map[string]net.Listener
	// TakeOver has the sidecar take the place of the process that listens on the socket,
	// if one does, without a moment in which nobody listens.
	TakeOver bool
	// Drain is how long clients may go on when the sidecar ends. Default: that of the wire.
	Drain time.Duration
	// DrainDelay is how long clients can still connect when the sidecar is told to end, while
	// it says already that it is not ready. Then Drain begins.
	DrainDelay time.Duration
	// Passwordless says which role a client may be where Postgres asks it for nothing.
	Passwordless wire.Passwordless

	// AllowedUIDs are the operating system users that may connect. Default: whoever reaches
	// the socket.
	AllowedUIDs []uint32

	// RedisURL names the Redis that sidecars share. Default: none, one tier.
	RedisURL string
	// RedisPolicy says for which statements Redis is asked. Default: where it pays.
	RedisPolicy engine.RemotePolicy
	// RedisCompress shortens what is put into Redis.
	RedisCompress bool
	// RedisKeys seal what is put into Redis: the first encrypts, all decrypt. Default:
	// whoever can write to Redis is trusted.
	RedisKeys [][]byte

	// Watch are patterns of tables to watch. Default: what is installed already.
	Watch []string
	// LearnColumns watches columns by which statements often look rows up.
	LearnColumns bool
	// Rules are what holds for single tables and shapes of statements.
	Rules []rules.Rule
	// Functions of the database that statements may call and be cached.
	Functions []analysis.Function
	// SteadyRoles says that nobody gives a role anything for a moment: see
	// analysis.Options.
	SteadyRoles bool

	// Admin is the address of the live page. Default: no page.
	Admin string
	// AdminToken, AdminInsecure, AdminReadOnly and Profile are the dashboard's Token,
	// Insecure, ReadOnly and Profile.
	AdminToken    string
	AdminInsecure bool
	AdminReadOnly bool
	Profile       bool
	// OTLP is the URL of a collector that metrics are pushed to. Default: none.
	OTLP string
	// Metrics is an address of its own for /livez, /readyz and /metrics, without a token.
	// Default: none.
	Metrics string
	// Access, unless nil, is told of each statement. It runs with the sidecar.
	Access *accesslog.Log
	// ClientsMax is how many clients may be connected. Default: as many as Postgres lets.
	ClientsMax int
	// UpstreamMax bounds the connections to Postgres: one for each client, and
	// OwnConnectionsMax for each database. Default: as many as Postgres lets.
	UpstreamMax int

	// VerifyShare is the share of hits that are compared with Postgres, VerifyMax the most
	// in a second. Default: none.
	VerifyShare float64
	VerifyMax   float64
	// VerifyBypass has statements of a shape pass through, of which an answer was found stale,
	// until somebody purges. Default: it is logged, and what depends on the tables is ended.
	VerifyBypass bool

	MemoryBytes int64         // most that entries in this process may take, of all databases
	EntryMax    int           // largest answer that is kept
	Staleness   time.Duration // a read lacks no commit that was acknowledged longer ago
	Poll        time.Duration // longest time between two looks for changes
	RestAfter   time.Duration // time without reads after which looks stop; 0: never
	TTL         time.Duration // longest life of an entry
	// WarmFrom is how long the load of an answer must have taken that is loaded again when a
	// change has ended it. 0: none is.
	WarmFrom time.Duration

	// Version is what reports call this program.
	Version string
	// Revision is the commit that it was built from, empty if that is not known.
	Revision string
	// Logger takes what concerns an operator. Default: silence.
	Logger *slog.Logger
}

// Database is one Postgres server, and how to get in.
type Database struct {
	Config *pgx.ConnConfig
	// BeforeConnect sets the password of a connection that is about to be opened.
	// Default: that of Config.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
}

// NamedDatabase is a database beside the plain upstream's.
type NamedDatabase struct {
	// Name is what clients ask for; what Postgres calls it stands in Upstream.
	Name string
	// Upstream, Primary, Follow and Watch are for it what those of Options are for the plain
	// upstream's.
	Upstream, Primary, Follow Database
	Watch                     []string
	// MemoryBytes is its part of Options.MemoryBytes. Default: as much as others without.
	MemoryBytes int64
}

// MisuseError says that Options make no sense, whatever the state of the machine.
type MisuseError struct{ err error }

// Error says what makes no sense, and what to do instead.
func (e *MisuseError) Error() string { return e.err.Error() }

// Unwrap returns what is wrong.
func (e *MisuseError) Unwrap() error { return e.err }

func misuse(format string, arguments ...any) error {
	return &MisuseError{fmt.Errorf(format, arguments...)}
}

// check completes the options.
func (o *Options) check() (err error) {
	if o.Upstream.Config == nil {
		return &MisuseError{errors.New("run: Options.Upstream names no database")}
	}
	if o.Follow.Config != nil && o.replica() {
		return misuse("--follow is for a pooler before the primary, and --primary leads to that already: leave one out")
	}
	if err := o.CheckDatabases(); err != nil {
		return err
	}
	// libpq takes a host for a directory only if it begins with a slash.
	if o.SocketDir, err = filepath.Abs(o.SocketDir); err != nil {
		return misuse("find --socket-dir: %w", err)
	}
	switch o.Passwordless {
	case "", wire.PasswordlessOwn, wire.PasswordlessAny:
	default:
		return misuse("Options.Passwordless is %q: it is %q or %q", o.Passwordless, wire.PasswordlessOwn, wire.PasswordlessAny)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// OwnConnectionsMax is how many connections to Postgres a sidecar has at most for one database,
// beside those of its clients: three to follow, two to analyse, one to verify.
const OwnConnectionsMax = 6

// clientsMax is how many clients may be connected, 0 if as many as Postgres lets.
func (o *Options) clientsMax() int {
	if o.UpstreamMax == 0 {
		return o.ClientsMax
	}
	rest := o.UpstreamMax - OwnConnectionsMax*(1+len(o.Databases))
	if o.ClientsMax == 0 {
		return max(rest, 1)
	}
	return max(min(rest, o.ClientsMax), 1)
}

func (o *Options) socket() string { return transport.SocketPath(o.SocketDir, o.Port) }

// replica reports whether clients are served from a standby of where changes are
// followed.
func (o *Options) replica() bool { return o.Primary.Config != nil }

// followed is where changes are followed and statements analysed.
func (o *Options) followed() Database {
	switch {
	case o.replica():
		return o.Primary
	case o.Follow.Config != nil:
		return o.Follow
	default:
		return o.Upstream
	}
}
