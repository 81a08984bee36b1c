package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// These tests set environment variables, so they are not parallel.

func TestMissingServerSaysWhatToInstall(t *testing.T) {
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	t.Setenv(EnvPostgresBin, "")
	t.Setenv(EnvRedisServer, "")
	_, errPostgres := findPostgres([]string{empty})
	_, errRedis := findRedis([]string{empty})
	for variable, err := range map[string]error{EnvPostgresBin: errPostgres, EnvRedisServer: errRedis} {
		if !errors.Is(err, ErrNotInstalled) {
			t.Fatalf("error is %v, want ErrNotInstalled", err)
		}
		for _, want := range []string{
			"apt-get install postgresql redis-server",
			"dnf install postgresql-server postgresql-contrib redis",
			"brew install postgresql redis",
			variable, empty,
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error does not say %q:\n%v", want, err)
			}
		}
	}
}

func TestEnvironmentNamesAnotherPostgres(t *testing.T) {
	usual, err := FindPostgres()
	if err != nil {
		t.Fatal(err)
	}
	// A wrapper that leaves a mark, in a directory that the servers' user may read.
	other, err := os.MkdirTemp("/tmp", "pgbin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(other) })
	if err := os.Chmod(other, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"postgres", "initdb"} {
		script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", filepath.Join(usual, program))
		if program == "postgres" {
			// --single has to come first.
			script = fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --single ] && exec %[1]s \"$@\"\nexec %[1]s -c cluster_name=other \"$@\"\n", filepath.Join(usual, program))
		}
		if err := os.WriteFile(filepath.Join(other, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(EnvPostgresBin, other)
	// Nobody needs a cluster of these programs again.
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	pg := StartPostgres(t, PostgresOptions{})
	if pg.BinDir() != other {
		t.Errorf("programs are in %s, want %s", pg.BinDir(), other)
	}
	if got := ask(t, pg.DSN("postgres"), "SELECT current_setting('cluster_name')"); got != "other" {
		t.Errorf("the server started is %q, want the one named", got)
	}
}

func TestEnvironmentNamesNothingUsable(t *testing.T) {
	t.Setenv(EnvPostgresBin, t.TempDir())
	t.Setenv(EnvRedisServer, filepath.Join(t.TempDir(), "redis-server"))
	if pg, err := LaunchPostgres(context.Background(), PostgresOptions{}); err == nil {
		pg.Close()
		t.Errorf("started in spite of an empty %s", EnvPostgresBin)
	} else if !strings.Contains(err.Error(), EnvPostgresBin) {
		t.Errorf("error %q does not name the variable", err)
	}
	if rd, err := LaunchRedis(context.Background(), RedisOptions{}); err == nil {
		rd.Close()
		t.Errorf("started in spite of an unusable %s", EnvRedisServer)
	} else if !strings.Contains(err.Error(), EnvRedisServer) {
		t.Errorf("error %q does not name the variable", err)
	}
}

func TestProgramOutOfReachNamesTheUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis-server")
	// Only the group may run it, and the servers' user is not served as group.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o010); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvRedisServer, path)
	rd, err := LaunchRedis(context.Background(), RedisOptions{})
	if err == nil {
		rd.Close()
		t.Fatal("a program that may not be run was started")
	}
	if want := fmt.Sprintf("user %d", mustAccount(t).user()); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not name the servers' %s", err, want)
	}
}

func TestEnvironmentNamesAnotherRedis(t *testing.T) {
	usual, err := FindRedis()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "another")
	if err := os.Symlink(usual, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvRedisServer, link)
	if got, err := FindRedis(); err != nil || got != link {
		t.Errorf("found %s, %v, want %s", got, err, link)
	}
}

func TestNewestPostgresFirst(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, version := range []string{"9.6", "15", "18"} {
		if err := os.MkdirAll(filepath.Join(base, version, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := expand([]string{filepath.Join(base, "*", "bin")})
	want := []string{filepath.Join(base, "18", "bin"), filepath.Join(base, "15", "bin"), filepath.Join(base, "9.6", "bin")}
	if !slices.Equal(got, want) {
		t.Errorf("order is %v, want %v", got, want)
	}
}
