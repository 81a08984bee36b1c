package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/sidecar/observe"
	"github.com/freshet/freshet/sidecar/wire"
)

// observeCommand relays, and finds out what the cache would bring.
type observeCommand struct {
	upstreamFlag
	SocketDir    string            `placeholder:"DIR" help:"Directory for the Unix socket that clients connect to, as for serve. Required."`
	Port         int               `default:"6432" placeholder:"N" help:"Port number, part of the socket's name, as for serve."`
	SocketMode   socketMode        `default:"0660" placeholder:"MODE" help:"Permissions of the socket, as for serve."`
	SocketGroup  string            `placeholder:"GROUP" help:"Group that owns the socket, as for serve. Default: the one that the process runs as."`
	ListenTCP    string            `name:"listen-tcp" placeholder:"HOST:PORT" help:"Listen on TCP too, as for serve. Default: no TCP."`
	Passwordless wire.Passwordless `default:"own" enum:"own,any" placeholder:"WHO" help:"Which role a client may be where Postgres asks it for nothing, as for serve."`
	Function     functionList      `placeholder:"FUNCTION" help:"Functions of the database to take as declared, as for serve. Default: none."`
	Every        time.Duration     `default:"10s" placeholder:"DURATION" help:"How often a line on standard error says how things stand. 0: never."`
	After        time.Duration     `placeholder:"DURATION" help:"Print the report after this time too, and go on. Default: only when interrupted."`
	JSON         bool              `name:"json" help:"Print the report as JSON. Default: for people."`
}

// Run relays until ctx ends, and prints the report.
func (c *observeCommand) Run(ctx context.Context, out *output) error {
	o, server, err := c.build(newLogger(out.stderr, slog.LevelWarn, "text"))
	if err != nil {
		return err
	}
	defer server.Close()
	if err := o.Start(ctx); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out.stderr, "freshet: observing on %s; nothing is cached; interrupt for the report\n", server.SocketPath())
	// Clients may finish what they are doing, and what they did then counts.
	observing, end := context.WithCancel(context.Background())
	defer end()
	var parts errgroup.Group
	parts.Go(func() error { return o.Run(observing) })
	parts.Go(func() error {
		defer end()
		return server.Run(ctx)
	})
	c.tell(ctx, o, out)
	err = parts.Wait()
	if err == nil {
		err = c.print(out, o)
	}
	return err
}

// build makes the observer and what relays.
func (c *observeCommand) build(logger *slog.Logger) (*observe.Observer, *wire.Server, error) {
	if c.SocketDir == "" {
		return nil, nil, usage("--socket-dir is missing: name the directory where clients find the socket, for example --socket-dir /run/freshet")
	}
	dir, err := filepath.Abs(c.SocketDir)
	if err != nil {
		return nil, nil, usage("find --socket-dir: %w", err)
	}
	connConfig, err := c.connConfig()
	if err != nil {
		return nil, nil, err
	}
	o, err := observe.New(observe.Options{ConnConfig: connConfig, BeforeConnect: c.credentials(), Functions: c.Function, Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	server, err := wire.New(wire.Options{
		Upstream: &connConfig.Config, SocketDir: dir, Port: c.Port, SocketMode: fs.FileMode(c.SocketMode), SocketGroup: c.SocketGroup,
		ListenTCP: c.ListenTCP, Passwordless: c.Passwordless, Logger: logger,
		Observe: func(startup []byte) wire.Observer { return o.Tap(startup) },
	})
	return o, server, err
}

// tell says how things stand until ctx ends.
func (c *observeCommand) tell(ctx context.Context, o *observe.Observer, out *output) {
	never := make(<-chan time.Time)
	every, after := never, never
	if c.Every > 0 {
		ticker := time.NewTicker(c.Every)
		defer ticker.Stop()
		every = ticker.C
	}
	if c.After > 0 {
		after = time.After(c.After)
	}
	for {
		select {
		case <-every:
			r := o.Report()
			_, _ = fmt.Fprintln(out.stderr, r.Line())
		case <-after:
			_ = c.print(out, o) // it is printed again at the end, which says what is wrong
		case <-ctx.Done():
			return
		}
	}
}

// print prints the report.
func (c *observeCommand) print(out *output, o *observe.Observer) error {
	r := o.Report()
	install := c.installCommands(&r)
	if !c.JSON {
		return r.Print(out.stdout, install)
	}
	encoder := json.NewEncoder(out.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		observe.Report
		Install []string `json:"install"`
	}{r, install})
}

// followerRole is the role that serve runs as, in the documents.
const followerRole = "freshet"

// installCommands are command lines for a shell that install what the report reckons with.
func (c *observeCommand) installCommands(r *observe.Report) []string {
	if len(r.Watch) == 0 {
		return nil
	}
	dsn := shellWord(dsnAs(c.dsn(), r.Installer.Role))
	var lines []string
	if !r.Installer.FollowerThere {
		lines = append(lines, fmt.Sprintf("psql %s -c 'CREATE ROLE %s LOGIN'", dsn, followerRole))
	}
	words := []string{shellWord(os.Args[0]), "install", "--upstream", dsn, "--follower-role", followerRole}
	for _, pattern := range r.Watch {
		words = append(words, "--watch", shellWord(pattern))
	}
	return append(lines, strings.Join(words, " "))
}

// keywordsOfRole are those of a DSN that say who connects.
var keywordsOfRole = regexp.MustCompile(`\b(user|password|passfile)\s*=\s*('(?:[^'\\]|\\.)*'|\S*)\s*`)

// dsnAs is a DSN for another role, without a password.
func dsnAs(dsn, role string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return strings.TrimSpace(keywordsOfRole.ReplaceAllString(dsn, "") + " user=" + quotedKeyword(role))
	}
	u.User = url.User(role)
	query := u.Query()
	query.Del("user")
	query.Del("password")
	u.RawQuery = query.Encode()
	return u.String()
}

// quotedKeyword is a value of a DSN, quoted where it has to be.
func quotedKeyword(value string) string {
	if value != "" && !strings.ContainsAny(value, ` '\`) {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}
