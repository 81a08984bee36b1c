package servers

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// EnvPostgresBin names the directory of another PostgreSQL's programs.
	EnvPostgresBin = "FRESHET_PG_BIN"
	// EnvRedisServer names another redis-server program.
	EnvRedisServer = "FRESHET_REDIS_SERVER"
)

// ErrNotInstalled is wrapped by the error for a server that cannot be found.
var ErrNotInstalled = errors.New("not installed")

// postgresPlaces are where distributions put PostgreSQL's programs, beside PATH.
var postgresPlaces = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // PostgreSQL's own packages for Fedora and its kin
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
	"/usr/libexec/postgresql*",          // Alpine
	"/usr/local/pgsql/bin",              // built from source
}

var redisPlaces = []string{
	"/usr/bin",
	"/usr/sbin",
	"/usr/local/bin",
	"/opt/homebrew/bin",
}

// redisNames are programs that speak the protocol and take the same settings.
var redisNames = []string{"redis-server", "valkey-server"}

// FindPostgres returns the directory that holds postgres and initdb: the one
// EnvPostgresBin names, else the first of PATH, the distributions' places with
// the newest version first, and what pg_config says.
func FindPostgres() (string, error) {
	return findPostgres(postgresPlaces)
}

func findPostgres(places []string) (string, error) {
	if dir := os.Getenv(EnvPostgresBin); dir != "" {
		if found, ok := postgresBin(dir); ok {
			return found, nil
		}
		return "", fmt.Errorf("find PostgreSQL: %s=%s: the directory does not hold the programs postgres and initdb; set it to one that does, or unset it", EnvPostgresBin, dir)
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), expand(places)...) {
		if found, ok := postgresBin(dir); ok {
			return found, nil
		}
	}
	if output, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		if found, ok := postgresBin(strings.TrimSpace(string(output))); ok {
			return found, nil
		}
	}
	return "", fmt.Errorf("find PostgreSQL: %w: no directory with postgres and initdb in PATH or %s.\n%s\nOr set %s to the directory that holds postgres and initdb",
		ErrNotInstalled, strings.Join(places, ", "), installHint, EnvPostgresBin)
}

// installHint is shown when either server is missing: tests need both.
const installHint = `Install it:
  Debian, Ubuntu: apt-get install postgresql redis-server
  Fedora:         dnf install postgresql-server postgresql-contrib redis   (from Fedora 41 on: valkey in place of redis)
  macOS:          brew install postgresql redis`

// postgresBin follows a link such as /usr/local/bin/postgres to the directory
// that holds the other programs too.
func postgresBin(dir string) (string, bool) {
	if !executable(filepath.Join(dir, "postgres")) {
		return "", false
	}
	if real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil &&
		executable(filepath.Join(filepath.Dir(real), "initdb")) {
		return filepath.Dir(real), true
	}
	if !executable(filepath.Join(dir, "initdb")) {
		return "", false
	}
	absolute, err := filepath.Abs(dir)
	return absolute, err == nil
}

// FindRedis returns the path of redis-server (or valkey-server, which serves the
// same protocol): the one EnvRedisServer names, else from PATH and the usual
// places.
func FindRedis() (string, error) {
	return findRedis(redisPlaces)
}

func findRedis(places []string) (string, error) {
	if path := os.Getenv(EnvRedisServer); path != "" {
		if !executable(path) {
			return "", fmt.Errorf("find Redis: %s=%s is not a program; set it to the path of redis-server, or unset it", EnvRedisServer, path)
		}
		return filepath.Abs(path)
	}
	for _, name := range redisNames {
		for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), places...) {
			if path := filepath.Join(dir, name); executable(path) {
				return filepath.Abs(path)
			}
		}
	}
	return "", fmt.Errorf("find Redis: %w: no redis-server in PATH or %s.\n%s\nOr set %s to the path of redis-server",
		ErrNotInstalled, strings.Join(places, ", "), installHint, EnvRedisServer)
}

// expand resolves each pattern, the highest version number first.
func expand(patterns []string) []string {
	var dirs []string
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // the patterns are valid
		slices.SortFunc(found, func(a, b string) int {
			return cmp.Compare(versionIn(b), versionIn(a))
		})
		dirs = append(dirs, found...)
	}
	return dirs
}

// versionIn returns the last number in a path; 0 if there is none.
func versionIn(path string) float64 {
	end := strings.LastIndexAny(path, "0123456789") + 1
	start := strings.LastIndexFunc(path[:end], func(r rune) bool {
		return r != '.' && (r < '0' || r > '9')
	}) + 1
	version, err := strconv.ParseFloat(path[start:end], 64)
	if err != nil {
		return 0
	}
	return version
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// findProgram returns the path of a server's program: in PATH, or where Debian puts those
// that are not for everybody. packages says what it is called to be installed.
func findProgram(server, program, packages string) (string, error) {
	for _, place := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(place); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w: %s", server, ErrNotInstalled, packages)
}
