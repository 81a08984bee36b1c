package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

const (
	// askMax bounds a question to a sidecar.
	askMax = 15 * time.Second
	// answerMax bounds its answer, in bytes.
	answerMax = 16 << 20
)

// adminFlags say where a running sidecar is asked.
type adminFlags struct {
	Admin          string     `default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Address of the sidecar's live page."`
	AdminTokenFile string     `placeholder:"FILE" help:"File with the token of that address. Default: none."`
	Config         configFile `placeholder:"FILE" help:"YAML file as for serve; admin and admin-token-file are taken from it. Default: none."`
}

// ask gets a path of the admin address.
func (a adminFlags) ask(ctx context.Context, path string) (status int, body []byte, err error) {
	return a.request(ctx, http.MethodGet, path, "", nil)
}

// act asks the page below a path to do something, with the token that only who has read its
// snapshot knows.
func (a adminFlags) act(ctx context.Context, below, path string, what any) (status int, body []byte, err error) {
	status, raw, err := a.ask(ctx, below+"/api/v1/snapshot")
	if err != nil || status != http.StatusOK {
		return status, raw, err
	}
	var page struct{ Token string }
	if err := json.Unmarshal(raw, &page); err != nil {
		return 0, nil, fmt.Errorf("ask the sidecar: %s gives no token: is it another program?", a.Admin)
	}
	sent, err := json.Marshal(what)
	if err != nil {
		return 0, nil, err
	}
	return a.request(ctx, http.MethodPost, below+path, page.Token, sent)
}

// request sends one request, with a token of the page unless that is empty. That the
// address wants its own token is an error.
func (a adminFlags) request(ctx context.Context, method, path, pageToken string, sent []byte) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+a.Admin+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, usage("ask the sidecar: --admin %s is no address: %w", a.Admin, err)
	}
	if pageToken != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(dashboard.TokenHeader, pageToken)
	}
	token, err := readToken(a.AdminTokenFile)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the sidecar: %w", err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(response.Body, answerMax)); err != nil {
		return 0, nil, fmt.Errorf("ask the sidecar: %w", err)
	}
	if response.StatusCode == http.StatusUnauthorized {
		return 0, nil, fmt.Errorf("ask the sidecar: %s wants its token: name the file with --admin-token-file", a.Admin)
	}
	return response.StatusCode, body, nil
}

// stats asks for the statistics of a database by the name that clients ask for; empty is the
// plain upstream's.
func (a adminFlags) stats(ctx context.Context, database string) (s dashboard.Stats, raw []byte, err error) {
	below, err := a.below(ctx, database)
	if err != nil {
		return s, nil, err
	}
	return a.statsAt(ctx, below)
}

// below is where the page of a database begins, by the name that clients ask for; empty is the
// plain upstream's.
func (a adminFlags) below(ctx context.Context, database string) (path string, err error) {
	if database == "" {
		return "", nil
	}
	first, _, err := a.statsAt(ctx, "")
	switch {
	case err != nil || first.Database == database:
		return "", err
	case !slices.ContainsFunc(first.Databases, func(d dashboard.DatabaseState) bool { return d.Name == database }):
		return "", usage("--database %s: the sidecar at %s has no database of this name; it has %s", database, a.Admin, strings.Join(databaseNames(&first), ", "))
	}
	return "/databases/" + url.PathEscape(database), nil
}

// databaseNames are the databases of a sidecar.
func databaseNames(s *dashboard.Stats) []string {
	names := []string{s.Database}
	for _, d := range s.Databases {
		if d.Name != s.Database {
			names = append(names, d.Name)
		}
	}
	return names
}

// statsAt asks for the statistics below a path.
func (a adminFlags) statsAt(ctx context.Context, path string) (s dashboard.Stats, raw []byte, err error) {
	status, raw, err := a.ask(ctx, path+"/api/v1/stats")
	if err != nil {
		return s, nil, err
	}
	if status != http.StatusOK {
		return s, nil, fmt.Errorf("ask the sidecar: %s answers %d to a question for statistics: is it another program?", a.Admin, status)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, nil, fmt.Errorf("read the sidecar's statistics: %w", err)
	}
	return s, raw, nil
}

// healthcheckCommand is for containers, which may have no other program.
type healthcheckCommand struct {
	adminFlags
	Database  string `placeholder:"NAME" help:"Ask for one of several databases alone, by the name that clients ask for. Default: whether any of them is ready."`
	Ready     bool   `xor:"what" help:"Ask whether clients should be sent to it, which is the default."`
	Live      bool   `xor:"what" help:"Ask only whether the process runs."`
	Socket    string `placeholder:"PATH" help:"Ask over the sidecar's socket, as its clients do, where there is no page: the socket, its directory (port 6432), or a DSN; role and database come from PGUSER and PGDATABASE. With --live nobody has to be let in. Default: the page is asked."`
	SocketDir string `placeholder:"DIR" help:"Where there is no live page (--admin off): whether somebody listens on the socket."`
	Port      int    `default:"6432" placeholder:"N" help:"Port number of the socket."`
}

// Run asks. The exit code is 0 or 1, and one line says why.
func (c *healthcheckCommand) Run(ctx context.Context, out *output) error {
	text, err := c.answer(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.stdout, text)
	return err
}

func (c *healthcheckCommand) answer(ctx context.Context) (string, error) {
	switch {
	case c.Socket != "":
		return c.overSocket(ctx)
	case c.Admin == "off" || c.Admin == "":
		return c.listens(ctx, c.SocketDir, c.Port)
	}
	path := "/readyz"
	switch {
	case c.Live:
		path = "/livez"
	case c.Database != "":
		path += "?database=" + url.QueryEscape(c.Database)
	}
	status, body, err := c.ask(ctx, path)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", errors.New(oneLine(string(body)))
	}
	return oneLine(string(body)), nil
}

// overSocket asks as a client, or, whether the process runs, as somebody who comes to the door.
func (c *healthcheckCommand) overSocket(ctx context.Context) (string, error) {
	if c.Live {
		config, err := parseDSN("--socket", socketDSN(c.Socket))
		if err != nil {
			return "", err
		}
		return c.listens(ctx, config.Host, int(config.Port))
	}
	conn, err := connectOverSocket(ctx, c.Socket, c.Database, "freshet healthcheck")
	if err != nil {
		return "", err
	}
	defer closeConnection(conn)
	s, _, err := reportOver(ctx, conn)
	if err != nil {
		return "", err
	}
	if !s.Ready {
		return "", errors.New("not ready: " + oneLine(s.NotReadyReason))
	}
	return "ready", nil
}

// sslRequest asks whoever speaks Postgres' protocol for TLS. It is answered with one byte, and
// before anybody has to say who they are.
var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

// listens asks whether somebody answers who connects to a socket.
func (c *healthcheckCommand) listens(ctx context.Context, dir string, port int) (string, error) {
	if dir == "" {
		return "", usage("there is no live page to ask: name the socket with --socket or --socket-dir")
	}
	path := transport.SocketPath(dir, port)
	dialer := net.Dialer{Timeout: askMax}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return "", fmt.Errorf("ask the sidecar: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(askMax)) // a socket that cannot is already closed
	if _, err = conn.Write(sslRequest); err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	if err != nil {
		return "", fmt.Errorf("ask the sidecar: nobody answers on %s: %w", path, err)
	}
	return "listening", nil
}
