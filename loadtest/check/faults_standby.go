package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// standbyWaitMax bounds copying the primary.
const standbyWaitMax = 60 * time.Second

// launchStandby copies the primary and starts the copy as an asynchronous
// standby that streams from it.
func (f *fleet) launchStandby(ctx context.Context) (*servers.Postgres, error) {
	primary := f.postgres()
	standby, err := servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: postgresSettings})
	if err != nil {
		return nil, err
	}
	if err := makeStandby(ctx, standby, primary); err != nil {
		return nil, errors.Join(fmt.Errorf("make a standby: %w", err), standby.Close())
	}
	return standby, nil
}

// makeStandby replaces the data of a server by a copy of the primary's, and
// keeps its settings.
func makeStandby(ctx context.Context, standby, primary *servers.Postgres) error {
	if err := standby.Stop(servers.Immediate); err != nil {
		return err
	}
	settings, err := os.ReadFile(filepath.Join(standby.DataDir(), "postgresql.conf"))
	if err != nil {
		return err
	}
	info, err := os.Stat(standby.DataDir())
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the owner of the data directory is unknown")
	}
	if err := os.RemoveAll(standby.DataDir()); err != nil {
		return err
	}
	if err := copyPrimary(ctx, standby, primary); err != nil {
		return err
	}
	conninfo := fmt.Sprintf("\nprimary_conninfo = 'host=%s port=%d user=postgres'\n", primary.SocketDir(), primary.Port())
	for name, text := range map[string]string{
		"postgresql.conf": string(settings) + conninfo, "postgresql.auto.conf": "", "standby.signal": "",
	} {
		if err := os.WriteFile(filepath.Join(standby.DataDir(), name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := give(standby.DataDir(), int(owner.Uid), int(owner.Gid)); err != nil {
		return err
	}
	return standby.Start()
}

func copyPrimary(ctx context.Context, standby, primary *servers.Postgres) error {
	tool, err := primary.Tool("pg_basebackup")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, standbyWaitMax)
	defer cancel()
	text, err := exec.CommandContext(ctx, tool, "--pgdata", standby.DataDir(), "--host", primary.SocketDir(),
		"--port", fmt.Sprint(primary.Port()), "--username", "postgres", "--checkpoint", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("run pg_basebackup: %w; it said:\n%s", err, text)
	}
	return nil
}

// give makes a tree somebody's, where that is not so already.
func give(tree string, uid, gid int) error {
	if os.Geteuid() == uid {
		return nil
	}
	return filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

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
	standby, err := w.fleet.launchStandby(ctx)
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
