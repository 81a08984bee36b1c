package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// standbySignal is the file that makes a server start as a standby.
const standbySignal = "standby.signal"

// LaunchStandby copies a running server with pg_basebackup and starts the copy
// as a hot standby that streams from it, with the settings of options on top of
// the usual ones. It returns when the standby accepts connections; it may be
// behind then. ctx bounds the start only. The caller must Close it, before the
// primary or after it.
func LaunchStandby(ctx context.Context, primary *Postgres, options PostgresOptions) (*Postgres, error) {
	p, err := newPostgres(options, primary.binDir)
	if err != nil {
		return nil, err
	}
	if err := p.launchStandby(ctx, primary); err != nil {
		return nil, errors.Join(fmt.Errorf("launch a standby: %w", err), p.Close())
	}
	return p, nil
}

// StartStandby is LaunchStandby for a test, as StartPostgres is LaunchPostgres.
func StartStandby(t TB, primary *Postgres, options PostgresOptions) *Postgres {
	t.Helper()
	p, err := LaunchStandby(context.Background(), primary, options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtCleanup(t, "the standby", p)
	return p
}

func (p *Postgres) launchStandby(ctx context.Context, primary *Postgres) error {
	tool, err := primary.Tool("pg_basebackup")
	if err != nil {
		return err
	}
	// A slot keeps the log for a standby that lags; it is the primary's to the end.
	slot := "standby_" + filepath.Base(p.dir)
	err = command{
		path: tool,
		args: []string{"--pgdata", p.DataDir(), "--host", primary.SocketDir(), "--port", strconv.Itoa(primary.Port()),
			"--username", superuser, "--checkpoint", "fast", "--no-sync", "--create-slot", "--slot", slot},
		dir:     p.dir,
		logPath: filepath.Join(p.dir, "pg_basebackup.log"),
		account: p.run.account,
	}.run(ctx)
	if err != nil {
		return err
	}
	conninfo := fmt.Sprintf("primary_conninfo = 'host=%s port=%d user=%s application_name=%s'\nprimary_slot_name = '%s'\n",
		primary.SocketDir(), primary.Port(), superuser, slot, slot)
	for name, text := range map[string]string{"postgresql.auto.conf": conninfo, standbySignal: ""} {
		if err := p.writeDataFile(name, text); err != nil {
			return err
		}
	}
	return p.startFirst(ctx)
}

// PauseReplay stops a standby from showing more of what it receives. It returns
// when that is so.
func (p *Postgres) PauseReplay() error {
	return p.execute(`DO $$ BEGIN
		PERFORM pg_wal_replay_pause();
		WHILE pg_get_wal_replay_pause_state() <> 'paused' LOOP PERFORM pg_sleep(0.002); END LOOP;
	END $$`)
}

// ResumeReplay lets a standby go on.
func (p *Postgres) ResumeReplay() error { return p.execute("SELECT pg_wal_replay_resume()") }

// Promote makes a standby a primary of a new timeline, and returns when it is.
func (p *Postgres) Promote() error {
	if err := p.execute("SELECT pg_promote()"); err != nil {
		return fmt.Errorf("promote the standby: %w", err)
	}
	if _, err := os.Stat(filepath.Join(p.DataDir(), standbySignal)); err == nil {
		return errors.New("promote the standby: it did not become a primary in time")
	}
	return nil
}
