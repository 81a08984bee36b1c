package application

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/stale"
)

// requestMax is the longest that a client waits for an answer.
const requestMax = 2 * time.Minute

// Client is one user of an application, with cookies and connections of its own. It belongs
// to one goroutine.
type Client struct {
	http *http.Client
	// header is sent with each request.
	header http.Header
	random *rand.Rand
	// other is a connection to the side's database past application and caches, to write like
	// another program; nil unless the application is Judged. reading and judgement are of such
	// a one, and judgement is reset by each turn.
	other     *pgx.Conn
	reading   stale.Reading
	judgement judgement
}

func newClient(at Address, seed uint64) *Client {
	jar, _ := cookiejar.New(nil) // without options it does not fail
	dialer := net.Dialer{}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, at.Network, at.At)
	}}
	return &Client{
		http: &http.Client{
			Transport: transport, Jar: jar, Timeout: requestMax,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		header: http.Header{}, random: rand.New(rand.NewPCG(seed, 0)),
	}
}

// Send sends a request and returns the body of its answer. An answer that is no success nor
// leads elsewhere is an error.
func (c *Client) Send(ctx context.Context, r Request) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, "http://application"+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	if r.Type != "" {
		request.Header.Set("Content-Type", r.Type)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %.200s", r.Method, r.Path, response.Status, body)
	}
	return body, err
}

// draw draws the next request: a write in a share of cases.
func (c *Client) draw(a Application, writes float64) Request {
	if c.random.Float64() < writes {
		return a.Write(c.random)
	}
	return a.Read(c.random)
}

func (c *Client) close() {
	c.http.CloseIdleConnections()
	if c.other != nil {
		_ = c.other.Close(context.Background()) // the server ends
	}
}
