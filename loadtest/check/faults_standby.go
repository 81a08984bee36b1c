package check

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// promoteStandby kills the primary and promotes a standby that lacks its last
// commits.
func promoteStandby(ctx context.Context, w *world, random *rand.Rand) error {
	err := w.failOver(ctx, random, func() error {
		w.fleet.postgres().Kill()
		return nil
	})
	return errors.Join(err, w.fleet.retire())
}

// splitBrain promotes a standby that lacks the last commits while the primary
// lives on for a while, with the followers still connected to it.
func splitBrain(ctx context.Context, w *world, random *rand.Rand) error {
	err := w.failOver(ctx, random, func() error {
		for _, l := range w.fleet.links {
			l.cut(clientClass, 1, nil)
		}
		w.clients.cut(1, nil)
		return nil
	})
	// One sidecar finds the new primary, which nobody has named before; for the
	// others everything is as it was.
	w.fleet.links[random.IntN(len(w.fleet.links))].cut(followerClass, 1, nil)
	pause(ctx, 2*w.options.Bound+between(random, 0, 700*time.Millisecond))
	return errors.Join(err, w.fleet.retire())
}

// streamingSQL is 1 if a standby has received everything up to now.
const streamingSQL = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_lsn() - 65536"

// failOver makes a standby, lets it fall behind, parts everybody from the
// primary, and goes on with the standby.
func (w *world) failOver(ctx context.Context, random *rand.Rand, part func() error) error {
	standby, err := servers.LaunchStandby(ctx, w.fleet.postgres(), servers.PostgresOptions{Settings: postgresSettings})
	if err != nil {
		return err
	}
	promoted := false
	defer func() {
		if !promoted {
			standby.Close()
		}
	}()
	dsn := standby.DSN(database)
	err = until(ctx, "the standby to stream", func() bool {
		n, err := number(ctx, w.fleet.dsn(), streamingSQL)
		return err == nil && n == 1
	})
	if err != nil {
		return err
	}
	for _, statement := range []string{"ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"} {
		if err := execute(ctx, dsn, statement); err != nil {
			return err
		}
	}
	err = until(ctx, "the standby to stop streaming", func() bool {
		n, err := number(ctx, dsn, "SELECT count(*) FROM pg_stat_wal_receiver WHERE pid IS NOT NULL")
		return err == nil && n == 0
	})
	if err != nil {
		return err
	}
	pause(ctx, between(random, 200*time.Millisecond, 600*time.Millisecond))
	return w.loseIn(context.WithoutCancel(ctx), func() error {
		if err := part(); err != nil {
			return err
		}
		if err := execute(context.WithoutCancel(ctx), dsn, "SELECT pg_promote()"); err != nil {
			return err
		}
		promoted = true
		w.fleet.succeed(standby)
		return awaitPrimary(context.WithoutCancel(ctx), dsn)
	})
}
