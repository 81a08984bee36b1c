// Package doctor examines what a sidecar needs before one runs, or beside one that does:
// Postgres, what is installed there, Redis, the socket and the machine. Each finding says
// what is and what to do about it.
//
// It changes nothing that others see, asks for no row of a user's, and shows no
// password. It keeps no state; Examine may be called concurrently.
package doctor

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
)

// Level says how bad a finding is.
type Level int

// The levels.
const (
	OK   Level = iota
	Warn       // it works, and not as well as it could
	Fail       // nothing is cached, or clients are not served
)

// String is the word that stands before a finding.
func (l Level) String() string { return [...]string{"ok", "warn", "FAIL"}[l] }

// MarshalJSON writes the word.
func (l Level) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// Finding is what one check found.
type Finding struct {
	Level Level  `json:"level"`
	Check string `json:"check"`
	Text  string `json:"finding"`
	// Remedy says what to do. Empty if nothing is to be done.
	Remedy string `json:"remedy,omitempty"`
	// Database is the one that it is about, if several are examined.
	Database string `json:"database,omitempty"`
}

// Options say what to examine.
type Options struct {
	// Upstream and Primary are where clients' statements go and changes are followed.
	// Primary is nil if that is the same. The functions read the password.
	Upstream, Primary *pgx.ConnConfig
	BeforeUpstream    func(context.Context, *pgx.ConnConfig) error
	BeforePrimary     func(context.Context, *pgx.ConnConfig) error
	// Follow is where changes are followed past a pooler that Upstream leads through, nil if
	// there is none.
	Follow       *pgx.ConnConfig
	BeforeFollow func(context.Context, *pgx.ConnConfig) error
	// RedisURL is empty if there is none.
	RedisURL string
	// SocketDir is empty if it is not to be examined.
	SocketDir string
	Port      int
	// AllowedUIDs are the users that may connect to the socket, empty if the configuration names
	// none.
	AllowedUIDs []uint32
	// MaxClients is the most that may be connected to the sidecar, MaxUpstream the most
	// connections that it opens to Postgres, its own included. 0: as many as Postgres lets.
	MaxClients, MaxUpstream int
	// MemoryBytes, Staleness and Retention are what a sidecar would be given: its
	// memory, its promise and how long events are kept.
	MemoryBytes int64
	Staleness   time.Duration
	Retention   time.Duration
	// AllTables has every table named that is not watched or has no primary key.
	AllTables bool
	// Verifies says that answers are compared with Postgres after they were served.
	Verifies bool
	// Settings are what is wrong with the configuration, each a sentence.
	Settings []string
	// DatabaseOnly leaves out what is not the database's: the configuration, Redis, the
	// socket and the machine.
	DatabaseOnly bool
	// Machine tells what this machine allows. nil means ThisMachine.
	Machine func() Machine
}

// followed is where changes are followed.
func (o *Options) followed() (*pgx.ConnConfig, func(context.Context, *pgx.ConnConfig) error) {
	if o.Primary != nil {
		return o.Primary, o.BeforePrimary
	}
	if o.Follow != nil {
		return o.Follow, o.BeforeFollow
	}
	return o.Upstream, o.BeforeUpstream
}

// examination is under way.
type examination struct {
	Options
	conn         *pgx.Conn // to where changes are followed; nil if there is none
	installation invalidation.Installation
	machine      Machine
	findings     []Finding
}

func (e *examination) add(level Level, check, text, remedy string) {
	e.findings = append(e.findings, Finding{Level: level, Check: check, Text: text, Remedy: remedy})
}

// database are the checks that need a connection to Postgres, in their order.
var database = []func(*examination, context.Context) error{
	(*examination).version, (*examination).role, (*examination).installed, (*examination).tables, (*examination).publications,
	(*examination).outbox, (*examination).pooler, (*examination).latency, (*examination).connections,
}

// surroundings are those that do not.
var surroundings = []func(*examination, context.Context){
	(*examination).limits, (*examination).redis, (*examination).socket, (*examination).clock, (*examination).settings,
}

// checkMax bounds one check.
const checkMax = 15 * time.Second

// Examine makes all checks, those that need Postgres only if it can be reached, and
// returns what they found, in an order that does not change.
func Examine(ctx context.Context, o Options) []Finding {
	e := &examination{Options: o}
	if o.Machine == nil {
		o.Machine = ThisMachine
	}
	e.machine = o.Machine()
	if e.connect(ctx) {
		defer e.disconnect()
		for _, check := range database {
			within(ctx, func(ctx context.Context) {
				if err := check(e, ctx); err != nil {
					e.add(Fail, "connect", err.Error(), "")
				}
			})
		}
	}
	if !o.DatabaseOnly {
		for _, check := range surroundings {
			within(ctx, func(ctx context.Context) { check(e, ctx) })
		}
	}
	return e.findings
}

func within(ctx context.Context, check func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, checkMax)
	defer cancel()
	check(ctx)
}

// Worst is the highest level among findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}
