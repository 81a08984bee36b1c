package run_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/testkit"
	"github.com/freshet/freshet/sidecar/run"
)

// A sidecar that cannot be made leaves nothing behind, whichever part it was that could
// not: the next one has the socket, the lock and the addresses.
func TestNewUndoesWhatItBegan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, o *run.Options)
		misuse bool
	}{
		"no database":        {func(_ *testing.T, o *run.Options) { o.Upstream.Config = nil }, true},
		"a follower":         {func(_ *testing.T, o *run.Options) { o.Poll = -1 }, true},
		"a standby":          {func(t *testing.T, o *run.Options) { o.Primary, o.Upstream.Config = o.Upstream, several(t) }, true},
		"Redis":              {func(_ *testing.T, o *run.Options) { o.RedisURL = "elsewhere" }, true},
		"a cache":            {func(_ *testing.T, o *run.Options) { o.EntryMax = -1 }, true},
		"the page":           {func(t *testing.T, o *run.Options) { o.Admin = taken(t) }, false},
		"a page for anybody": {func(_ *testing.T, o *run.Options) { o.Admin = "0.0.0.0:0" }, false},
		"a certificate":      {func(_ *testing.T, o *run.Options) { o.Certificate.Certificate = "/nowhere" }, false},
		"who may be whom":    {func(_ *testing.T, o *run.Options) { o.Passwordless = "everybody" }, true},
		"a directory":        {func(t *testing.T, o *run.Options) { o.SocketDir = file(t) }, false},
		"a port":             {func(_ *testing.T, o *run.Options) { o.Port = 0 }, false},
		"a further address":  {func(t *testing.T, o *run.Options) { o.ListenTCP = taken(t) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := optionsFor(t, nowhere)
			good.Admin, good.ListenTCP = testkit.FreeAddress(t), testkit.FreeAddress(t)
			bad := good
			c.spoil(t, &bad)
			if s, err := run.New(bad); err == nil {
				s.Close()
				t.Fatal("it is made")
			} else if isMisuse(err) != c.misuse {
				t.Errorf("%v: a misuse: %v", err, isMisuse(err))
			}
			s, err := run.New(good)
			if err != nil {
				t.Fatalf("the next one: %v", err)
			}
			s.Close()
		})
	}
}

// Listeners that were handed over are closed by a sidecar that is not made: nobody else
// would.
func TestNewThatFailsClosesWhatItWasGiven(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(o *run.Options){
		"at the options":    func(o *run.Options) { o.Upstream.Config = nil },
		"at the first part": func(o *run.Options) { o.Poll = -1 },
		"at the last part":  func(o *run.Options) { o.Certificate.Certificate = "/nowhere" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := optionsFor(t, nowhere)
			o.Listeners = map[string]net.Listener{}
			for _, given := range []string{run.ClientListener, run.TCPListener, run.AdminListener, run.MetricsListener} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close() })
				o.Listeners[given] = l
			}
			spoil(&o)
			if s, err := run.New(o); err == nil {
				s.Close()
				t.Fatal("it is made")
			}
			for given, l := range o.Listeners {
				if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
					conn.Close()
					t.Errorf("%s is still listened on", given)
				}
			}
		})
	}
}

// A sidecar that never runs gives back what it has taken.
func TestCloseWithoutRun(t *testing.T) {
	t.Parallel()
	o := optionsFor(t, nowhere)
	o.Admin, o.ListenTCP = testkit.FreeAddress(t), testkit.FreeAddress(t)
	for range 2 {
		s, err := run.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if s.Report().Listening {
			t.Error("it says that it serves, and it does not run")
		}
		s.Close()
		for network, address := range map[string]string{"unix": filepath.Join(o.SocketDir, ".s.PGSQL.6432"), "tcp": o.ListenTCP} {
			if conn, err := net.Dial(network, address); err == nil {
				conn.Close()
				t.Errorf("%s is still listened on", address)
			}
		}
	}
}

// several names a database by several hosts.
func several(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	c, err := pgx.ParseConfig("host=/nowhere,/elsewhere user=u dbname=d")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// taken is an address that somebody listens on until the test ends.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// file is the path of a file that is no directory.
func file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
