// Package target is what can be put under load: Postgres itself, and what people put before
// it. Each is started from the machine's packages in a throwaway directory, with a database
// of its own on one Postgres, so that nobody pays for another's triggers or misses another's
// writes.
//
// A Ground and its targets may be used by several goroutines; a Session belongs to one.
package target

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/workload"
)

// Promise is what a target says of the age of its answers.
type Promise struct {
	// Bound is how long after the acknowledgement of a write, at most, reads may lack it;
	// negative where nothing is promised.
	Bound time.Duration
	Text  string
}

// Breaks reports whether an answer that lacks what was acknowledged so long before breaks
// the promise.
func (p Promise) Breaks(behind time.Duration) bool { return p.Bound >= 0 && behind > p.Bound }

// Counts are what a target has counted since it began.
type Counts struct {
	// Hits are reads that were answered without Postgres, Lookups all that it decided about.
	Hits, Lookups uint64
	// Bypasses are statements that it passed through, by its reasons.
	Bypasses map[string]uint64
}

// HitRatio is which share of the reads between two counts was answered without Postgres; -1
// where nothing was decided.
func HitRatio(before, after Counts) float64 {
	lookups := after.Lookups - before.Lookups
	if lookups == 0 {
		return -1
	}
	return float64(after.Hits-before.Hits) / float64(lookups)
}

// Place is where programs on libpq find a database.
type Place struct {
	// Host is the directory of a Unix socket.
	Host           string
	Port           int
	User, Database string
}

// DSN is the place as a connection string.
func (p Place) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", p.Host, p.Port, p.User, p.Database)
}

// Flags are the place as flags of Postgres' own programs.
func (p Place) Flags() []string {
	return []string{"-h", p.Host, "-p", strconv.Itoa(p.Port), "-U", p.User, "-d", p.Database}
}

// ProcessorTimes are those of a target's processes and of Postgres', by their names.
func ProcessorTimes(t Target, on *Ground) map[string]time.Duration {
	times := map[string]time.Duration{}
	for _, process := range append(t.Processes(), on.Process()) {
		times[process.Name] += process.Time()
	}
	return times
}

// Process is a process that works for a target.
type Process struct {
	Name string
	// Time is what it has computed for so far.
	Time func() time.Duration
}

// Target is one of those that are compared.
type Target interface {
	Name() string
	// About says what it consists of, and how it is set up.
	About() string
	Promise() Promise
	// Connect opens a client's session.
	Connect(ctx context.Context, protocol Protocol) (Session, error)
	// Counts reads its counters; ok is false where it has none.
	Counts(ctx context.Context) (counts Counts, ok bool, err error)
	// Processes are its own: Postgres' are the ground's.
	Processes() []Process
	// Place is where programs on libpq reach it, as the clients' role; ok is false where they
	// cannot, and only the database is told.
	Place() (at Place, ok bool)
	Close() error
}

// Session is one client's connection.
type Session interface {
	// Read asks for an operation's rows and gives each to each, which must not keep it.
	Read(o *workload.Operation, each func(row [][]byte)) error
	// Write writes. A write that is not acknowledged is an error.
	Write(o *workload.Operation) error
	// Close ends the session, also while an operation is under way.
	Close()
}

// Options say how targets are set up.
type Options struct {
	// Program is the built freshet.
	Program string
	// Staleness is the sidecar's, TTL the longest life of what the caches keep that cannot
	// know of writes.
	Staleness, TTL time.Duration
	// Clients is how many sessions there will be.
	Clients int
	// Beside is set where clients write past the targets, to Postgres.
	Beside bool
	// Flags are further flags of freshet serve.
	Flags []string
}

// launchers start targets by their names. Order is that of the documents.
var launchers = []struct {
	name, about string
	launch      func(context.Context, *Ground, Options) (Target, error)
}{
	{"direct", "Postgres itself", launchDirect},
	{"freshet", "a sidecar", launchFreshet},
	{"freshet+redis", "a sidecar with a Redis of its own", launchFreshetWithRedis},
	{"freshet+warm", "a sidecar that loads what has ended again before it is asked for", launchFreshetWarm},
	{"pgbouncer", "PgBouncer in session mode, which only relays", launchPgBouncer},
	{"pgpool", "Pgpool-II with its memory cache", launchPgpool},
	{"redis", "cache-aside in Redis: answers live for --ttl, and who writes a row deletes its answer", launchAside},
	{"redis-ttl", "cache-aside in Redis: answers live for --ttl, and nobody deletes them", launchAsideTTL},
}

// Names are the targets' names.
func Names() []string {
	var names []string
	for _, l := range launchers {
		names = append(names, l.name)
	}
	return names
}

// Launch starts a target. The caller must Close it, before the ground.
func Launch(ctx context.Context, name string, on *Ground, o Options) (Target, error) {
	for _, l := range launchers {
		if l.name == name {
			t, err := l.launch(ctx, on, o)
			if err != nil {
				return nil, fmt.Errorf("start target %s: %w", name, err)
			}
			return t, nil
		}
	}
	return nil, fmt.Errorf("find target %q: there are %s", name, strings.Join(Names(), ", "))
}

// fresh is the promise of what shows every write that was acknowledged before.
func fresh(text string) Promise { return Promise{Text: text} }
