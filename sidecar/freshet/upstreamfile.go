package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// upstreamFileMax bounds a DSN, in bytes. Tokens are long.
const upstreamFileMax = 64 << 10

// readUpstreamFile reads a DSN from a file. No error shows it.
func readUpstreamFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read --upstream-file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, upstreamFileMax))
	if err != nil {
		return "", fmt.Errorf("read --upstream-file: %w", err)
	}
	if dsn := strings.TrimSpace(string(text)); dsn != "" {
		return dsn, nil
	}
	return "", usage("read --upstream-file: %s is empty: it takes a DSN, such as postgres://app@db/shop", path)
}

// credentials returns what sets user and password of a connection to the upstream that is
// about to be opened. They may be others than before where they stand in a file, and lead
// nowhere else: another server's would be sent to this one.
func (u upstreamFlag) credentials() func(context.Context, *pgx.ConnConfig) error {
	if u.UpstreamFile == "" {
		return u.readPassword(u.Upstream)
	}
	return func(ctx context.Context, c *pgx.ConnConfig) error {
		dsn, err := readUpstreamFile(u.UpstreamFile)
		if err != nil {
			return err
		}
		if withoutUser(dsn) != withoutUser(u.fromFile) {
			return fmt.Errorf("--upstream-file %s says more than another user and password: that takes a restart", u.UpstreamFile)
		}
		again, err := parseDSN("--upstream-file", dsn)
		if err != nil {
			return err
		}
		c.User = again.User
		return u.readPassword(dsn)(ctx, c)
	}
}

// Credentials behind keywords, with the blanks before them.
var (
	passwordKeywords = regexp.MustCompile(`(?i)(^|\s)\s*password\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`)
	userKeywords     = regexp.MustCompile(`(?i)(^|\s)\s*user\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`)
)

// withoutPassword is a DSN as it would be without a password in it.
func withoutPassword(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return strings.TrimSpace(passwordKeywords.ReplaceAllString(dsn, ""))
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	return withoutParameter(u, "password")
}

// withoutUser is a DSN as it would be without a user and a password in it.
func withoutUser(dsn string) string {
	u, err := url.Parse(withoutPassword(dsn))
	if err != nil || u.Scheme == "" {
		return strings.TrimSpace(userKeywords.ReplaceAllString(withoutPassword(dsn), ""))
	}
	u.User = nil
	return withoutParameter(u, "user")
}

func withoutParameter(u *url.URL, name string) string {
	query := u.Query()
	query.Del(name)
	u.RawQuery = query.Encode()
	return u.String()
}
