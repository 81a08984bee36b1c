// Package servers starts throwaway PostgreSQL and Redis servers for tests, the
// demo and the load test.
//
// It guarantees: every server has a directory of its own under one short
// temporary directory per process, and talks over a Unix socket in it unless
// TCP is asked for; several may run at once; run as root, the servers run as an
// unprivileged user. Close stops a server and removes its files. If this
// process dies without closing, SIGKILL included, the servers are killed by the
// kernel (on Linux) and the next process that uses this package removes what
// the dead one left. A binary that is not installed is an error that names the
// packages to install, never a silent skip.
//
// It does not secure the servers: everyone who can open the socket is a
// superuser. The directory is closed to other users; a TCP port is not.
// Durability is off by default (see PostgresOptions.Settings).
//
// Everything here may be called from several goroutines. Calls that start and
// stop one server wait for each other.
//
// Packages with many tests share one server and give each test a database:
//
//	func TestMain(m *testing.M) {
//		os.Exit(servers.Main(m, servers.Needs{Postgres: true, Redis: true}))
//	}
//
//	func TestSomething(t *testing.T) {
//		pg := servers.SharedPostgres(t)
//		dsn := pg.DSN(pg.CreateDatabase(t))
//		...
//	}
package servers

import "time"

const (
	// startWaitMax bounds the wait for a server to accept connections. A loaded
	// machine needs seconds; crash recovery counts too.
	startWaitMax = 60 * time.Second
	// stopWaitMax bounds the wait for a server to end after it was told to.
	stopWaitMax = 30 * time.Second
	// closeWaitMax bounds the polite part of Close, after which it kills.
	closeWaitMax = 5 * time.Second
	// pollInterval is how often a state without a signal is looked at.
	pollInterval = 5 * time.Millisecond
	// logTailBytesMax bounds how much of a server's log is read back.
	logTailBytesMax = 64 << 10
)
