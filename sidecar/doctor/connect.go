package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/invalidation/connection"
)

// connect opens the connection that other checks use. It reports whether there is one.
func (e *examination) connect(ctx context.Context) bool {
	config, before := e.followed()
	if e.Primary != nil {
		// That clients can be served is another question than that changes are followed.
		if conn, ok := e.open(ctx, "--upstream", e.Upstream, e.BeforeUpstream); ok {
			closeQuietly(conn)
		}
	}
	flag := "--upstream"
	switch {
	case e.Primary != nil:
		flag = "--primary"
	case e.Follow != nil:
		flag = "--follow"
	}
	conn, ok := e.open(ctx, flag, config, before)
	e.conn = conn
	return ok
}

func (e *examination) disconnect() { closeQuietly(e.conn) }

func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // what was asked is answered
}

// open connects as a flag says, and finds how that went.
func (e *examination) open(ctx context.Context, flag string, config *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error) (*pgx.Conn, bool) {
	ctx, cancel := context.WithTimeout(ctx, checkMax)
	defer cancel()
	config = config.Copy()
	if before != nil {
		if err := before(ctx, config); err != nil {
			e.add(Fail, "connect", err.Error(), "")
			return nil, false
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		e.add(Fail, "connect", flag+": "+connection.OneLine(err).Error(), connectRemedy(err, config))
		return nil, false
	}
	trip, err := roundTrip(ctx, conn, 3)
	if err != nil {
		closeQuietly(conn)
		e.add(Fail, "connect", flag+": "+err.Error(), "")
		return nil, false
	}
	level, way, remedy := wayOf(conn)
	e.add(level, "connect", fmt.Sprintf("%s: PostgreSQL %s, %s, %s", flag, conn.PgConn().ParameterStatus("server_version"), short(trip), way), remedy)
	return conn, true
}

// wayOf says how a connection leads to Postgres.
func wayOf(conn *pgx.Conn) (level Level, way, remedy string) {
	switch c := conn.PgConn().Conn().(type) {
	case *tls.Conn:
		return OK, tls.VersionName(c.ConnectionState().Version), ""
	case *net.UnixConn:
		return OK, "Unix socket", ""
	case *net.TCPConn:
		if address, ok := c.RemoteAddr().(*net.TCPAddr); ok && !address.IP.IsLoopback() {
			return Warn, "TCP without encryption", "add sslmode=verify-full to the DSN, unless the network is yours alone"
		}
	}
	return OK, "TCP on this machine", ""
}

// connectRemedy says what to do about a failure to connect.
func connectRemedy(err error, config *pgx.ConnConfig) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch answer.Code {
		case "28P01":
			return fmt.Sprintf("give the password of %s in --password-file, --password-command or ~/.pgpass", config.User)
		case "28000":
			if strings.Contains(answer.Message, "pg_hba.conf") {
				return fmt.Sprintf("add a line for %s to pg_hba.conf", config.User)
			}
			if strings.HasSuffix(answer.Message, "is not permitted to log in") {
				return fmt.Sprintf("ALTER ROLE %s LOGIN, or name another role", pgx.Identifier{config.User}.Sanitize())
			}
			return fmt.Sprintf("CREATE ROLE %s LOGIN, or name another role", pgx.Identifier{config.User}.Sanitize())
		case "3D000":
			return "name a database that is there (dbname=…)"
		case "53300":
			return "close connections, or raise max_connections"
		case "57P03":
			return "wait until the server has started"
		case "42501":
			return fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", pgx.Identifier{config.Database}.Sanitize(), pgx.Identifier{config.User}.Sanitize())
		}
		return ""
	}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return "start Postgres, or name the host and port where it listens"
	case errors.Is(err, syscall.EACCES):
		return "run as a user who may reach the socket's directory"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name " + dns.Name + " is not known: mend the host in the DSN"
	}
	return "see that host, port and sslmode in the DSN are right and that no firewall is between"
}

// roundTrip is the median time of a few questions of nothing.
func roundTrip(ctx context.Context, conn *pgx.Conn, times int) (time.Duration, error) {
	return median(times, func() error {
		_, err := conn.PgConn().Exec(ctx, "SELECT 1").ReadAll()
		return err
	})
}
