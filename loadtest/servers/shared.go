package servers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"sync"
)

// Needs says which servers the tests of a package share, and how they differ
// from the usual ones.
type Needs struct {
	Postgres        bool
	PostgresOptions PostgresOptions
	// UnsteadyRoles is for packages whose tests rely on nothing that a sidecar or a library keeps.
	// Main fails for all others where tests have changed roles anywhere but on
	// SharedPostgresOfRoles.
	UnsteadyRoles bool
	Redis         bool
	RedisOptions  RedisOptions
	// AtOnce is how many tests that call t.Parallel run at once at least: more than there are
	// processors, where tests wait more than they work. 0 leaves that to go test; -parallel
	// wins.
	AtOnce int
}

// M is what Main needs of testing.M; goleak takes it too.
type M interface {
	Run() int
}

// shared holds what the tests of this binary share. It is global because
// TestMain and the tests have nothing else in common.
var shared struct {
	mu       sync.Mutex
	run      *runDir // nil outside Main
	postgres sharedServer[*Postgres]
	// ofRoles is as postgres; see SharedPostgresOfRoles.
	ofRoles sharedServer[*Postgres]
	// preparing is postgres where transactions can be prepared; see SharedPostgresOfPrepared.
	preparing sharedServer[*Postgres]
	redis     sharedServer[*Redis]
}

// sharedServer is started by the first test that asks for it. An error is kept:
// what failed for one test fails for all.
type sharedServer[S server] struct {
	launch func() (S, error) // nil unless needed
	// ended is asked for what tests did to the server before it is closed; nil: nothing is of interest.
	ended  func(S) error
	once   sync.Once
	server S
	err    error
	up     bool
}

// Main runs the tests of a package with shared servers and returns the exit
// code. A server is started when the first test asks for it, so that running a
// test that needs none costs nothing, and stopped at the end.
func Main(m M, needs Needs) int {
	if err := share(needs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := unshare(); err != nil {
		fmt.Fprintf(os.Stderr, "close shared servers: %v\n", err)
		return max(code, 1)
	}
	return code
}

// Shared is Main in the form that goleak.VerifyTestMain takes: it looks for
// leaks after the servers were stopped.
//
//	func TestMain(m *testing.M) {
//		goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Postgres: true}))
//	}
func Shared(m M, needs Needs) M {
	return sharedMain{m: m, needs: needs}
}

type sharedMain struct {
	m     M
	needs Needs
}

func (s sharedMain) Run() int { return Main(s.m, s.needs) }

// share prepares the servers. The run directory is held for the whole run, so
// that servers which tests start for themselves find initdb's work done.
func share(needs Needs) error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.run != nil {
		return errors.New("share servers: Main is already running in this process")
	}
	if err := runAtOnce(needs.AtOnce); err != nil {
		return err
	}
	shared.postgres, shared.ofRoles, shared.preparing = sharedServer[*Postgres]{}, sharedServer[*Postgres]{}, sharedServer[*Postgres]{}
	shared.redis = sharedServer[*Redis]{}
	if needs.Postgres {
		options := needs.PostgresOptions
		options.undisturbed = true
		shareWith(&shared.ofRoles, options, false)
		shareWith(&shared.postgres, options, !needs.UnsteadyRoles)
		preparing := options
		preparing.Settings = map[string]string{}
		maps.Copy(preparing.Settings, options.Settings)
		preparing.Settings["max_prepared_transactions"] = preparedMax
		shareWith(&shared.preparing, preparing, !needs.UnsteadyRoles)
	}
	if needs.Redis {
		shared.redis.launch = func() (*Redis, error) {
			return LaunchRedis(context.Background(), needs.RedisOptions)
		}
	}
	run, err := acquireRunDir()
	if err != nil {
		return err
	}
	run.template.keeps = true
	shared.run = run
	return nil
}

// runAtOnce does what Needs.AtOnce says.
func runAtOnce(tests int) error {
	if tests <= runtime.GOMAXPROCS(0) {
		return nil
	}
	// The command line is read later, and wins.
	if err := flag.Set("test.parallel", strconv.Itoa(tests)); err != nil {
		return fmt.Errorf("run %d tests at once: %w", tests, err)
	}
	return nil
}

func unshare() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	err := errors.Join(shared.postgres.close(), shared.ofRoles.close(), shared.preparing.close(), shared.redis.close(), shared.run.release())
	shared.run = nil
	return err
}

// SharedPostgres returns the server that all tests of the package share. A test
// uses a database of its own (CreateDatabase), leaves roles alone unless the package has
// UnsteadyRoles, and leaves the server running; to stop or to kill one, start one
// (StartPostgres).
func SharedPostgres(t TB) *Postgres {
	t.Helper()
	return shared.postgres.get(t, "Postgres")
}

// SharedPostgresOfRoles is SharedPostgres for tests that make, change or drop roles. Those are
// the whole server's: every sidecar before it answers nothing that it kept before the change,
// and a test that counts hits would miss some by chance.
func SharedPostgresOfRoles(t TB) *Postgres {
	t.Helper()
	return shared.ofRoles.get(t, "Postgres")
}

// preparedMax is how many transactions tests may have prepared at once.
const preparedMax = "20"

// SharedPostgresOfPrepared is SharedPostgres with transactions that can be prepared, whose
// names (GID) are the whole server's: a test uses names of its own, and ends what it has
// prepared. Nothing can be notified in such a transaction, so Freshet's triggers ring no bell
// there.
func SharedPostgresOfPrepared(t TB) *Postgres {
	t.Helper()
	return shared.preparing.get(t, "Postgres")
}

// SharedRedis returns the server that all tests of the package share. A test uses
// keys of its own and does not flush, stop or pause it; for that, start one
// (StartRedis).
func SharedRedis(t TB) *Redis {
	t.Helper()
	return shared.redis.get(t, "Redis")
}

func (s *sharedServer[S]) get(t TB, field string) S {
	t.Helper()
	if s.launch == nil {
		t.Fatalf("shared server: TestMain must call servers.Main with servers.Needs{%s: true}", field)
	}
	s.once.Do(func() {
		s.server, s.err = s.launch()
		s.up = s.err == nil
	})
	if s.err != nil {
		t.Fatalf("%v", s.err)
	}
	return s.server
}

func (s *sharedServer[S]) close() error {
	if !s.up {
		return nil
	}
	var err error
	if s.ended != nil {
		err = s.ended(s.server)
	}
	return errors.Join(err, s.server.Close())
}
