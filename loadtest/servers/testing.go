package servers

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// databaseWaitMax bounds the creation or removal of a database.
const databaseWaitMax = 60 * time.Second

// TB is the part of testing.TB that the harness needs. It stands here so that
// programs other than tests do not link package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// StartPostgres is LaunchPostgres for a test, which fails if it cannot be
// started. It is closed when the test ends; the end of its log is shown if the
// test failed. Autovacuum leaves it alone, unless options say how often it comes.
func StartPostgres(t TB, options PostgresOptions) *Postgres {
	t.Helper()
	options.undisturbed = true
	p, err := LaunchPostgres(context.Background(), options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtCleanup(t, "PostgreSQL", p)
	return p
}

// StartRedis is LaunchRedis for a test, as StartPostgres is LaunchPostgres.
func StartRedis(t TB, options RedisOptions) *Redis {
	t.Helper()
	r, err := LaunchRedis(context.Background(), options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtCleanup(t, "Redis", r)
	return r
}

// StartPgBouncer is LaunchPgBouncer for a test, as StartPostgres is
// LaunchPostgres.
func StartPgBouncer(t TB, before *Postgres, options PgBouncerOptions) *PgBouncer {
	t.Helper()
	p, err := LaunchPgBouncer(context.Background(), before, options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtCleanup(t, "PgBouncer", p)
	return p
}

type server interface {
	LogTail(n int) string
	Close() error
}

func closeAtCleanup(t TB, name string, s server) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, s.LogTail(20))
		}
		if err := s.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
}

// CreateDatabase creates an empty database for a test and returns its name,
// which needs no quoting. It is dropped when the test ends, together with the
// sessions still in it, if the server still runs.
func (p *Postgres) CreateDatabase(t TB) string {
	t.Helper()
	// template0 has no sessions, so that tests can create databases at once.
	return p.createFrom(t, "template0")
}

// createFrom is CreateDatabase for a copy of another database.
func (p *Postgres) createFrom(t TB, template string) string {
	t.Helper()
	name := databaseName()
	if err := p.createDatabase(name, template); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if !p.Running() {
			return
		}
		if err := p.execute("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Logf("drop database %s: %v", name, err)
		}
	})
	return name
}

func databaseName() string { return "test_" + strings.ToLower(rand.Text()[:12]) }

func (p *Postgres) createDatabase(name, template string) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseWaitMax)
	defer cancel()
	return p.CopyDatabase(ctx, name, template)
}

// CopyDatabase creates a database that holds what another one holds, in which nobody is. Names
// need no quoting.
func (p *Postgres) CopyDatabase(ctx context.Context, name, from string) error {
	if err := p.Execute(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+from+p.copyingFiles()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// copyingFiles has a database copied as files, which takes a fifth of what logging its
// pages does. Before version 15 there was no other way, and no word for it.
func (p *Postgres) copyingFiles() string {
	version, err := os.ReadFile(filepath.Join(p.DataDir(), "PG_VERSION"))
	if err != nil || strings.TrimSpace(string(version)) == "14" {
		return ""
	}
	return " STRATEGY file_copy"
}

// execute runs one statement in the database postgres.
func (p *Postgres) execute(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseWaitMax)
	defer cancel()
	return p.Execute(ctx, "postgres", statement)
}
