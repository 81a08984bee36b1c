package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// passwordMax bounds a password, in bytes. Tokens are long.
const passwordMax = 64 << 10

// passwordFlags say where the password of our own sessions is. Clients have theirs.
type passwordFlags struct {
	PasswordFile    string `placeholder:"FILE" help:"File with the password, read again for each connection. Default: the password of the DSN, PGPASSWORD, or the password file of libpq, which is read again too."`
	PasswordCommand string `placeholder:"COMMAND" help:"Shell command that prints the password, such as a token that expires; run for each connection."`
}

// readPassword returns what sets the password of a connection that is about to be
// opened: it may be another one than before. dsn is the connection's.
func (p passwordFlags) readPassword(dsn string) func(context.Context, *pgx.ConnConfig) error {
	return func(ctx context.Context, c *pgx.ConnConfig) (err error) {
		switch {
		case p.PasswordCommand != "":
			c.Password, err = runForPassword(ctx, p.PasswordCommand)
		case p.PasswordFile != "":
			c.Password, err = readForPassword(p.PasswordFile)
		default:
			var again *pgx.ConnConfig
			if again, err = pgx.ParseConfig(dsn); err == nil {
				c.Password = again.Password
			}
		}
		return err
	}
}

// runForPassword runs a command. Its output is in no error.
func runForPassword(ctx context.Context, command string) (string, error) {
	out, err := exec.CommandContext(ctx, "sh", "-c", command).Output()
	if err != nil {
		if ended, ok := errors.AsType[*exec.ExitError](err); ok && len(ended.Stderr) > 0 {
			return "", fmt.Errorf("run --password-command: %w: %s", err, oneLine(string(ended.Stderr)))
		}
		return "", fmt.Errorf("run --password-command: %w", err)
	}
	return strings.TrimRight(string(out), "\r\n"), nil
}

func readForPassword(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read --password-file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, passwordMax))
	if err != nil {
		return "", fmt.Errorf("read --password-file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

var passwordKeyword = regexp.MustCompile(`(^|\s)password\s*=`)

// warnOfPassword says that a password can be read by everybody on the machine, in
// the list of processes.
func warnOfPassword(logger *slog.Logger, arguments []string, dsn string) {
	if dsn == "" || !slices.ContainsFunc(arguments, func(a string) bool { return strings.Contains(a, dsn) }) {
		return
	}
	inURL := false
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		_, inURL = u.User.Password()
	}
	if inURL || passwordKeyword.MatchString(dsn) || strings.Contains(dsn, "?password=") || strings.Contains(dsn, "&password=") {
		logger.Warn("a password on the command line stands in the list of processes, for all users of this machine: use --password-file, --password-command or PGPASSFILE")
	}
}
