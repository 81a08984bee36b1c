package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// check finds all that can be found wrong without a connection: what validate finds,
// and what is wrong with the files and addresses that the options name.
func (c *config) check() error {
	_, keys := readKeyFile(c.RedisKeyFile)
	_, token := readToken(c.AdminTokenFile)
	_, users := c.AllowUids.numbers()
	return errors.Join(c.validate(), users, c.checkDSNs(), c.checkRedis(), keys, token, c.checkPasswordFile(), transport.CheckGroup(c.SocketGroup), analysis.CheckFunctions(c.Function), c.checkDatabases())
}

// checkDSNs reads all DSNs.
func (c *config) checkDSNs() error {
	var problems []error
	for _, to := range c.dsns() {
		problems = append(problems, c.checkDSN(to.flag, to.text))
	}
	return errors.Join(problems...)
}

// checkDatabases finds databases that make no sense together.
func (c *config) checkDatabases() error {
	if len(c.Databases) == 0 {
		return nil
	}
	o, err := c.options()
	if err != nil {
		return nil // others say so
	}
	return o.CheckDatabases()
}

// checkDSN reads a DSN, and whether it would send clients in circles.
func (c *config) checkDSN(flag, dsn string) error {
	parsed, err := parseDSN(flag, dsn)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.SocketDir)
	if err != nil || c.SocketDir == "" {
		return nil // validate says so
	}
	if filepath.Clean(parsed.Host) == dir && int(parsed.Port) == c.Port {
		return usage("%s leads to the sidecar's own socket %s: name Postgres itself, and unset PGHOST and PGPORT if they point here", flag, transport.SocketPath(dir, c.Port))
	}
	return nil
}

// checkRedis reads the URL; validate has said so if its scheme is not known.
func (c *config) checkRedis() error {
	if c.Redis == "" || !hasScheme(c.Redis, redis.Schemes...) {
		return nil
	}
	if err := redis.CheckURL(c.Redis); err != nil {
		return fmt.Errorf("read --redis: %w", err)
	}
	return nil
}

func (c *config) checkPasswordFile() error {
	if c.PasswordFile == "" {
		return nil
	}
	_, err := readForPassword(c.PasswordFile)
	return err
}

// tryConnections connects to Postgres and Redis.
func (c *config) tryConnections(ctx context.Context) error {
	redis.SilenceClient() // its error is returned
	var problems []error
	for _, to := range c.dsns() {
		problems = append(problems, c.tryPostgres(ctx, to.flag, to.text))
	}
	if c.Redis != "" {
		_, err := redis.Inspect(ctx, c.Redis)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (c *config) tryPostgres(ctx context.Context, flag, dsn string) error {
	conn, err := c.connectTo(ctx, flag, dsn)
	if err != nil {
		return err
	}
	closeConnection(conn)
	return nil
}
