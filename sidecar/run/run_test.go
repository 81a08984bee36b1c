package run_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/testkit"
	"github.com/freshet/freshet/sidecar/run"
)

// When a sidecar is told to end, nobody connects any more and who does nothing is let go;
// who waits for an answer gets it.
func TestClientsGetTheirAnswerBeforeTheEnd(t *testing.T) {
	t.Parallel()
	dsn := installed(t)
	o := optionsFor(t, dsn)
	o.Drain = time.Minute
	s, end, ended := running(t, o)
	idle, busy := connectTo(t, s.ClientConfig()), connectTo(t, s.ClientConfig())

	gate := connect(t, dsn)
	if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_lock(77)"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		var name string
		err := busy.QueryRow(context.Background(), "SELECT name FROM fruit, pg_advisory_xact_lock(77)").Scan(&name)
		if err == nil && name != "apple" {
			err = errors.New("the answer is " + name)
		}
		answered <- err
	}()
	servers.Eventually(t, "a statement that waits", func() bool {
		var waits bool
		err := gate.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE datname = current_database() AND locktype = 'advisory' AND objid = 77 AND NOT granted").Scan(&waits)
		return err == nil && waits
	})

	end()
	servers.Eventually(t, "the end of who does nothing", func() bool { return idle.Ping(t.Context()) != nil })
	if conn, err := pgx.ConnectConfig(t.Context(), s.ClientConfig()); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a client connects to what ends")
	}
	if s.Report().Listening {
		t.Error("what ends says that it listens")
	}
	select {
	case err := <-ended:
		t.Fatalf("it has not waited for its client: %v", err)
	case err := <-answered:
		t.Fatalf("this test shows nothing: %v", err)
	default:
	}
	if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_unlock(77)"); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A part that fails for good ends all others, and Run says why.
func TestRunEndsWithAPartThatFails(t *testing.T) {
	t.Parallel()
	o := optionsFor(t, installed(t))
	page, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	given := o
	given.Listeners = map[string]net.Listener{run.AdminListener: page}
	s, _, ended := running(t, given)
	client := connectTo(t, s.ClientConfig())
	_ = page.Close()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "admin") {
		t.Errorf("Run: %v", err)
	}
	if client.Ping(t.Context()) == nil {
		t.Error("a client is served by what has ended")
	}
	// A program that another test starts may hold the lock until it runs.
	servers.Eventually(t, "the next one has the socket", func() bool {
		next, err := run.New(o)
		if err != nil {
			return false
		}
		next.Close()
		return true
	})
}

// Who waits for a sidecar that ends first does not wait for long.
func TestReadyWhenRunEndsBefore(t *testing.T) {
	t.Parallel()
	s, err := run.New(optionsFor(t, nowhere))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	<-s.Ready()
	if s.Report().Listening {
		t.Error("what has ended says that it listens")
	}
}

// awaitOffer waits until the process that serves offers its place, however long that takes: who takes
// the place waits for five seconds.
func awaitOffer(t *testing.T, o run.Options) {
	t.Helper()
	servers.Eventually(t, "an offer to take over", func() bool {
		conn, err := net.Dial("unix", filepath.Join(o.SocketDir, ".s.PGSQL.6432.next"))
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// A process that cannot take the place of another one leaves it alone, and holds nothing
// that the other has given it.
func TestTakingOverFails(t *testing.T) {
	t.Parallel()
	o := optionsFor(t, installed(t))
	o.Admin, o.ListenTCP = testkit.FreeAddress(t), testkit.FreeAddress(t)
	s, end, ended := running(t, o)
	for name, spoil := range map[string]func(o *run.Options){
		"at the first part": func(o *run.Options) { o.Poll = -1 },
		"at the last part":  func(o *run.Options) { o.Certificate.Certificate = "/nowhere" },
	} {
		awaitOffer(t, o) // the second time, that of a process which serves its clients again
		bad := o
		bad.TakeOver = true
		spoil(&bad)
		if next, err := run.New(bad); err == nil {
			next.Close()
			t.Fatalf("%s: it is made", name)
		}
	}
	connectTo(t, s.ClientConfig())
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	for network, address := range map[string]string{"page": o.Admin, "tcp": o.ListenTCP} {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still listened on", network)
		}
	}
}

// The interleaving of package transport: the process whose place is taken is told to end
// before the new one serves. Clients find the new one where the old one was, and so does who
// takes its place.
func TestOldProcessEndsBeforeTheNewServes(t *testing.T) {
	t.Parallel()
	o := optionsFor(t, installed(t))
	_, end, ended := running(t, o)
	awaitOffer(t, o)
	o.TakeOver = true
	next, err := run.New(o) // 2.
	if err != nil {
		t.Fatal(err)
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	over := make(chan error, 1)
	go func() { over <- next.Run(context.WithoutCancel(t.Context())) }()
	<-next.Ready() // 3.
	_ = connectTo(t, next.ClientConfig()).Close(t.Context())
	awaitOffer(t, o)
	third, _, _ := running(t, o)
	if err := <-over; err != nil {
		t.Errorf("Run: %v", err)
	}
	connectTo(t, third.ClientConfig())
}

// Another configuration comes into force as a whole or not at all, and the reports tell.
func TestReloadIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	s, err := run.New(optionsFor(t, nowhere))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wanted := run.Changeable{Staleness: 5 * time.Second, TTL: time.Hour, EntryMax: 1 << 10}
	declared := wanted
	declared.Functions = []analysis.Function{{Signature: "public.pure()"}}
	for _, c := range []struct {
		name              string
		read              func(run.Changeable) (run.Changeable, error)
		inForce           time.Duration
		reloads, failures uint64
		problem           string
	}{
		{name: "cannot be read", read: func(run.Changeable) (run.Changeable, error) { return wanted, errors.New("line 3: no such option") }, inForce: time.Second, failures: 1, problem: "line 3"},
		{name: "needs Postgres, which is away", read: func(run.Changeable) (run.Changeable, error) { return declared, nil }, inForce: time.Second, failures: 2, problem: "nothing was changed"},
		{name: "is fine", read: func(run.Changeable) (run.Changeable, error) { return wanted, nil }, inForce: 5 * time.Second, reloads: 1, failures: 2},
	} {
		err := s.Reload(t.Context(), c.read)
		r := s.Report()
		if (err == nil) != (c.problem == "") || r.StalenessSeconds != c.inForce.Seconds() {
			t.Errorf("what %s: error %v; reads may be %v s old", c.name, err, r.StalenessSeconds)
		}
		if r.Config.Reloads != c.reloads || r.Config.Failures != c.failures || !strings.Contains(r.Config.Problem, c.problem) || c.problem == "" && r.Config.Problem != "" {
			t.Errorf("what %s is reported as %+v", c.name, r.Config)
		}
	}
}

// What is told to end is not ready at once, and serves as before for the time of the delay;
// a successor that takes its place ends that.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	o := optionsFor(t, installed(t))
	o.DrainDelay, o.Drain = time.Hour, time.Minute
	o.Metrics = "127.0.0.1:0"
	s, end, ended := running(t, o)
	end()
	servers.Eventually(t, "it says that it ends", func() bool { return s.Report().Ending })
	if status, says := readyz(t, s); status != http.StatusServiceUnavailable || !strings.Contains(says, "told to end") {
		t.Errorf("readyz: %d %s", status, says)
	}
	client := connectTo(t, s.ClientConfig())
	hit := func() bool {
		var name string
		if err := client.QueryRow(t.Context(), "SELECT name FROM fruit WHERE id = 1").Scan(&name); err != nil {
			t.Fatal(err)
		}
		return s.Report().Queries["hit_l1"] > 0
	}
	servers.Eventually(t, "a client that came in the delay has hits", hit)
	if !s.Report().Listening {
		t.Error("it does not listen in the delay")
	}
	o.TakeOver, o.DrainDelay = true, 0
	next, _, _ := running(t, o)
	_ = client.Close(t.Context())
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if next.MetricsAddress() != s.MetricsAddress() || next.AdminAddress() != s.AdminAddress() {
		t.Errorf("the addresses were %s and %s, and are %s and %s", s.MetricsAddress(), s.AdminAddress(), next.MetricsAddress(), next.AdminAddress())
	}
	servers.Eventually(t, "the successor is ready", func() bool {
		status, _ := readyz(t, next)
		return status == http.StatusOK
	})
}

// The delay is over by itself.
func TestDrainDelayIsOver(t *testing.T) {
	t.Parallel()
	o := optionsFor(t, installed(t))
	o.DrainDelay = 10 * time.Millisecond
	_, end, ended := running(t, o)
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
