package wire

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// accountNumber is the user id of an account of the operating system. The test ends if the account
// was not found.
func accountNumber(t *testing.T, account *user.User, err error) uint32 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(number)
}

// Where Postgres lets the sidecar in without a password, that says nothing of the sidecar's client.
// Such a client is let in as any role if it runs as the sidecar's own user, and otherwise only as
// the role of its own name, unless PasswordlessAny is chosen.
func TestClientIsLetInWithoutAPasswordOnlyAsItself(t *testing.T) {
	t.Parallel()
	own, err := user.Current()
	accountNumber(t, own, err)
	stranger, err := user.Lookup("nobody")
	strangerNumber := accountNumber(t, stranger, err)
	pg := servers.StartPostgres(t, servers.PostgresOptions{HBA: []string{
		"local all asked password", `local all "` + own.Username + `" peer`,
	}})
	bed := newTestbedOn(t, pg, itemSchema)
	for _, role := range []string{own.Username, stranger.Username, "asked"} {
		if role != "postgres" {
			bed.exec(`CREATE ROLE ` + pgx.Identifier{role}.Sanitize() + ` LOGIN PASSWORD 'known'`)
		}
	}
	var peer atomic.Pointer[peerFunc]
	bed.peer = func(client net.Conn) (uint32, error) { return (*peer.Load())(client) }
	strict := bed.sidecar()
	bed.passwordless = PasswordlessAny
	open := bed.sidecar()
	number := func(n uint32) peerFunc { return func(net.Conn) (uint32, error) { return n, nil } }
	unknown := func(net.Conn) (uint32, error) { return 0, transport.ErrPeerUnknown }
	for _, test := range []struct {
		name    string
		peer    peerFunc
		role    string
		through *side
		refusal string
	}{
		{"the sidecar's own user", transport.PeerOf, "postgres", strict, ""},
		{"the sidecar's own user, by peer", transport.PeerOf, own.Username, strict, ""},
		{"a stranger as a superuser", number(strangerNumber), "postgres", strict, `the client runs as the user "nobody"`},
		{"a stranger as the sidecar's user, by peer", number(strangerNumber), own.Username, strict, `the client runs as the user "nobody"`},
		{"a stranger as itself", number(strangerNumber), stranger.Username, strict, ""},
		{"a stranger with a password", number(strangerNumber), "asked", strict, ""},
		{"a user without a name", number(4_000_000_001), "postgres", strict, "who has no name here"},
		{"by TCP", unknown, "postgres", strict, "only a Unix socket tells who connects"},
		{"by TCP with a password", unknown, "asked", strict, ""},
		{"a stranger where anybody may be anybody", number(strangerNumber), "postgres", open, ""},
		{"by TCP where anybody may be anybody", unknown, "postgres", open, ""},
	} {
		peer.Store(&test.peer)
		refused := test.through.Report().SessionsRefused
		err := loginAs(test.through, test.role)
		if test.refusal == "" {
			if err != nil {
				t.Errorf("%s: refused with %v, want the client let in", test.name, err)
			}
			continue
		}
		failure, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || failure.Code != "28000" || !strings.Contains(failure.Message, test.refusal) || !strings.Contains(failure.Hint, "--passwordless any") {
			t.Errorf("%s: %v, want 28000 with %q and a hint of --passwordless any", test.name, err, test.refusal)
		}
		if test.through.Report().SessionsRefused != refused+1 {
			t.Errorf("%s: %d sessions are counted as refused, want %d", test.name, test.through.Report().SessionsRefused, refused+1)
		}
	}
}

// loginAs connects through the sidecar with a password that is known, and reads.
func loginAs(s *side, role string) error {
	config, err := pgx.ParseConfig(s.dsn())
	if err != nil {
		return err
	}
	config.User, config.Password = role, "known"
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	return conn.Ping(context.Background())
}

// The kernel tells whose process a client is, and a process of another user is refused. Only root
// can start one: if the tests run as another user, the client is a process of that user, and is let
// in.
func TestKernelTellsWhoConnects(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	found := make(chan uint32, 1)
	bed.peer = func(client net.Conn) (uint32, error) {
		uid, err := transport.PeerOf(client)
		found <- uid
		return uid, err
	}
	s := bed.sidecar()
	wanted := uint32(os.Geteuid())
	var credential *syscall.Credential
	if wanted == 0 {
		stranger, err := user.Lookup("nobody")
		wanted = accountNumber(t, stranger, err)
		credential = &syscall.Credential{Uid: wanted, Gid: wanted}
		if err := errors.Join(os.Chmod(s.dir, 0o755), os.Chmod(s.SocketPath(), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	psql, err := bed.postgres.Tool("psql")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(psql, "-XAtw", "-h", s.dir, "-p", strconv.Itoa(testPort), "-U", "postgres", "-d", bed.database, "-c", "SELECT 'let in'")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	command.Dir = "/"
	out, err := command.CombinedOutput()
	if uid := <-found; uid != wanted {
		t.Errorf("the client is user %d, want %d", uid, wanted)
	}
	if refused := err != nil && strings.Contains(string(out), "not for this client"); refused != (credential != nil) {
		t.Errorf("psql ends with %v, want it refused: %v; it prints\n%s", err, credential != nil, out)
	}
}
