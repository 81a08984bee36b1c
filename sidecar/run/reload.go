package run

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/invalidation/connection"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/verify"
)

// purgeWaitMax is how long a purge waits until it is known to have reached this sidecar.
const purgeWaitMax = 10 * time.Second

// Changeable are the Options that can change while a sidecar runs.
type Changeable struct {
	Staleness time.Duration
	TTL       time.Duration
	EntryMax  int
	Functions []analysis.Function
	Rules     []rules.Rule
	// ClientsMax counts for who connects from then on.
	ClientsMax int
	// AllowedUIDs count for who connects from then on.
	AllowedUIDs []uint32
	// Verify says how many hits are verified.
	Verify verify.Rate
	// VerifyBypass is Options.VerifyBypass.
	VerifyBypass bool
	// Drain and DrainDelay count for a sidecar that has yet to be told to end.
	Drain, DrainDelay time.Duration
	// AdminToken counts for requests that begin from then on.
	AdminToken string
	// Credentials are BeforeConnect of all databases, in the order of Options.everyDatabase.
	// They count for connections that begin from then on.
	Credentials []func(context.Context, *pgx.ConnConfig) error
}

// Changeable are those of o.
func (o *Options) Changeable() Changeable {
	var credentials []func(context.Context, *pgx.ConnConfig) error
	for _, d := range o.everyDatabase() {
		credentials = append(credentials, d.BeforeConnect)
	}
	return Changeable{
		Credentials: credentials,
		Staleness:   o.Staleness, TTL: o.TTL, EntryMax: o.EntryMax, Functions: o.Functions, Rules: o.Rules, ClientsMax: o.clientsMax(),
		AllowedUIDs: o.AllowedUIDs,
		Verify:      verify.Rate{Share: o.VerifyShare, PerSecondMax: o.VerifyMax}, VerifyBypass: o.VerifyBypass,
		Drain: o.Drain, DrainDelay: o.DrainDelay, AdminToken: o.AdminToken,
	}
}

func (c *Changeable) limits() engine.Limits {
	return engine.Limits{Staleness: c.Staleness, EntryMax: c.EntryMax, TTL: c.TTL}
}

// retention is how long events are kept: an entry must not outlive those that could
// end it.
func (c *Changeable) retention() time.Duration { return max(c.TTL, time.Hour) }

// definitions is how often they are compared where no event reports them: reads are
// fresh for this much less, and a rule may want some fresher than others.
func (c *Changeable) definitions() time.Duration {
	if strictest := rules.NewSet(c.Rules).Staleness(); strictest > 0 {
		return min(c.Staleness, strictest) / 2
	}
	return c.Staleness / 2
}

// proof is how often the follower looks at least, whatever other sidecars say: the
// strictest staleness must have room for a look that is slow.
func (c *Changeable) proof() time.Duration { return c.definitions() * 2 / 3 }

// ReopenAccessLog opens anew what the access log is written to, if there is one.
func (s *Sidecar) ReopenAccessLog() error {
	if s.options.Access == nil {
		return nil
	}
	return s.options.Access.Reopen()
}

// reloads are what became of the configuration since the start.
type reloads struct {
	// changing is held while another configuration is put in force, which may wait for
	// Postgres.
	changing sync.Mutex
	inForce  Changeable
	// mixed is set if databases have different functions, because one could not be told of
	// new ones, and another not of those before; reset once all are told of the same.
	mixed bool

	mu     sync.Mutex
	counts dashboard.Config
}

// OnReload says how the configuration is read again when the admin address is asked to:
// read returns the names of the options that changed.
func (s *Sidecar) OnReload(read func(context.Context) (changed []string, err error)) {
	s.reload.Store(&read)
}

// reloadAsked reads the configuration again.
func (s *Sidecar) reloadAsked(ctx context.Context) (r dashboard.Reloaded, err error) {
	read := s.reload.Load()
	if read == nil {
		return r, fmt.Errorf("%w: this sidecar has no configuration to read again", dashboard.ErrWrongRequest)
	}
	changed, err := (*read)(ctx)
	return dashboard.Reloaded{Changed: append([]string{}, changed...)}, err
}

// note counts a reload.
func (r *reloads) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.counts.Failures++
		r.counts.Problem = strings.Join(strings.Fields(err.Error()), " ")
		return
	}
	r.counts.Reloads++
	r.counts.Problem = ""
}

func (r *reloads) report() dashboard.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// Reload puts what read returns in force, as a whole or not at all; read is given what is in
// force. What is wrong, an error of read included, is part of the reports until a Reload
// succeeds.
func (s *Sidecar) Reload(ctx context.Context, read func(before Changeable) (Changeable, error)) error {
	s.reloads.changing.Lock()
	defer s.reloads.changing.Unlock()
	err := s.changeTo(ctx, read)
	s.reloads.note(err)
	return err
}

func (s *Sidecar) changeTo(ctx context.Context, read func(before Changeable) (Changeable, error)) error {
	before := s.reloads.inForce
	wanted, err := read(before)
	if err != nil {
		return err
	}
	if s.admin != nil {
		if err := s.admin.CheckToken(wanted.AdminToken); err != nil {
			return err
		}
	}
	if s.reloads.mixed || !reflect.DeepEqual(wanted.Functions, before.Functions) {
		if err := s.declareAll(ctx, wanted.Functions, before.Functions); err != nil {
			return err
		}
	}
	for _, of := range s.all() {
		of.change(wanted)
	}
	for i, before := range wanted.Credentials {
		s.credentials[i].set(before)
	}
	s.server.SetClientsMax(wanted.ClientsMax)
	s.server.SetAllowed(wanted.AllowedUIDs)
	s.server.SetDrain(wanted.Drain)
	s.drainDelay.Store(int64(wanted.DrainDelay))
	if s.admin != nil {
		s.admin.SetToken(wanted.AdminToken)
	}
	s.reloads.inForce = wanted
	return nil
}

// change puts in force what needs no word of Postgres.
func (s *stack) change(wanted Changeable) {
	s.follower.SetRetention(wanted.retention())
	s.follower.SetDefinitions(wanted.definitions())
	s.follower.SetProof(wanted.proof())
	s.cache.SetLimits(wanted.limits())
	s.distrusted.configure(wanted.Rules, wanted.VerifyBypass)
	s.verifier.SetRate(wanted.Verify)
}

// declareAll declares functions in each database, or in none: where one cannot be told, the
// others take back what they were told.
func (s *Sidecar) declareAll(ctx context.Context, functions, before []analysis.Function) error {
	for i, of := range s.all() {
		err := of.declare(ctx, functions, before)
		if err == nil {
			continue
		}
		for _, told := range s.all()[:i] {
			if again := told.declare(ctx, before, functions); again != nil {
				s.reloads.mixed = true
				err = errors.Join(err, fmt.Errorf("database %s has the new functions: %w", told.name, again))
			}
		}
		return err
	}
	s.reloads.mixed = false
	return nil
}

// declare takes other declarations of functions for true, and ends all that was
// answered under the old ones, here, elsewhere and in Redis. Verdicts are made anew
// before the head with that event is published.
func (s *stack) declare(ctx context.Context, functions, before []analysis.Function) error {
	if err := s.analyzer.SetFunctions(functions); err != nil {
		return err
	}
	if err := s.purgeAll(ctx); err != nil {
		// What was taken once is taken again; and verdicts that were made anew in
		// between have to be once more.
		_ = s.analyzer.SetFunctions(before)
		s.server.SchemaChanged()
		return fmt.Errorf("end what rests on the functions declared before; nothing was changed: %w", err)
	}
	return nil
}

// purgeAll ends everything that was answered before.
func (s *stack) purgeAll(ctx context.Context) error {
	return s.purge(ctx, invalidation.PurgeAll)
}

// purgeTables ends everything that was answered before and depends on one of the tables,
// by the OIDs of their roots.
func (s *stack) purgeTables(ctx context.Context, roots []uint32) error {
	return s.purge(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return invalidation.PurgeTables(ctx, conn, roots)
	})
}

// endTables is purgeTables of what nobody asked to purge.
func (s *stack) endTables(ctx context.Context, roots []uint32) error {
	return s.purge(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return invalidation.EndTables(ctx, conn, roots)
	})
}

// purge has events written that end answers, and waits until they have reached this
// sidecar.
func (s *stack) purge(ctx context.Context, write func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, purgeWaitMax)
	defer cancel()
	if err := s.write(ctx, write); err != nil {
		return err
	}
	return s.follower.Confirm(ctx, fence.Now())
}

// write has something written in a session of its own, where changes are followed.
func (s *stack) write(ctx context.Context, write func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, purgeWaitMax)
	defer cancel()
	conn, err := s.options.followed().connect(ctx)
	if err != nil {
		return err
	}
	defer endConnection(ctx, conn)
	return write(ctx, conn)
}

// endConnection says good-bye, also if ctx is over.
func endConnection(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // what was asked for is done
}

// connect opens a connection. The caller closes it.
func (d Database) connect(ctx context.Context) (*pgx.Conn, error) {
	c := d.Config.Copy()
	if d.BeforeConnect != nil {
		if err := d.BeforeConnect(ctx, c); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", connection.OneLine(err))
	}
	return conn, nil
}
