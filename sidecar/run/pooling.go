package run

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/freshet/freshet/invalidation/connection"
)

// Where changes are followed past the pooler that clients go through (Options.Follow), the
// follower does not notice a pooler that gives the statements of one session to several
// servers. Nothing of a session's state holds there: settings, locks, statements. So whether
// there is one is asked for the way that clients go, and nothing is answered from the cache
// while there is, or while it is not known.

const (
	// poolingEvery is how often that is asked once it is known: a pooler can be given
	// another mode while it runs.
	poolingEvery = 30 * time.Second
	// poolingAgain is how soon it is asked again if it could not be told.
	poolingAgain = time.Second
	// poolingMax bounds one answer.
	poolingMax = 15 * time.Second
)

// What is said of the way that clients go, while nothing is answered from the cache.
const (
	poolingUnknown = "it is not known yet whether clients reach Postgres through a pooler in transaction mode"
	poolingShared  = "clients reach Postgres through a pooler in transaction mode, which gives the statements of one session to several servers: " +
		"every statement passes through; let --upstream name a pooler in session mode, or Postgres itself"
)

// watchPooling asks by and by, until ctx ends.
func (s *stack) watchPooling(ctx context.Context) {
	for ctx.Err() == nil {
		wait := poolingEvery
		switch err := s.askPooling(ctx); {
		case errors.Is(err, connection.ErrPooled):
			s.notePooling(poolingShared)
		case err == nil:
			s.notePooling("")
		default: // what was known goes on to hold
			s.logger.Debug("cannot tell whether a pooler shares its servers", "error", err)
			wait = poolingAgain
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// askPooling returns connection.ErrPooled if clients go through a pooler in transaction mode.
func (s *stack) askPooling(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, poolingMax)
	defer cancel()
	conn, err := s.options.Upstream.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return connection.RefusePooling(ctx, conn)
}

// notePooling takes in what was found.
func (s *stack) notePooling(problem string) {
	before := s.pooling.Swap(&problem)
	s.server.ShareServers(s.poolingProblem() != "")
	if *before == problem {
		return
	}
	if problem != "" {
		s.logger.Warn(problem)
	} else {
		s.logger.Info("each client has a connection to Postgres for itself")
	}
}

// poolingProblem is why nothing is answered from the cache, empty if each client has a
// server for itself, and the database one name, as far as is known.
func (s *stack) poolingProblem() string { return cmp.Or(*s.twin.Load(), *s.pooling.Load()) }

// noteTwin takes in that another name leads to the same database, or that none does.
func (s *stack) noteTwin(problem string) {
	before := s.twin.Swap(&problem)
	s.server.ShareServers(s.poolingProblem() != "")
	if problem != "" && *before != problem {
		s.logger.Error(problem)
	}
}
