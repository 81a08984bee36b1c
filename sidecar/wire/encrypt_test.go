package wire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// tlsBed is a sidecar that listens on TCP too and has a certificate for it.
type tlsBed struct {
	*testbed
	side *side
	// certificate is the file of the certificate that clients are shown, files names it and its key.
	certificate string
	files       transport.CertificateFiles
	log         *lockedBuffer
}

// lockedBuffer takes a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newTLSBed makes a tlsBed; its sidecar leads to upstream, unless nil, in place of Postgres.
func newTLSBed(t *testing.T, upstream *pgconn.Config) *tlsBed {
	t.Helper()
	b := &tlsBed{testbed: newTestbed(t, itemSchema), log: &lockedBuffer{}}
	certificate, key := certificateFor(t, t.TempDir(), []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	b.certificate, b.files = certificate, transport.CertificateFiles{Certificate: certificate, Key: key}
	b.testbed.log = slog.New(slog.NewTextHandler(b.log, nil))
	config, err := transport.TLSFromFiles(b.files, b.testbed.log)
	if err != nil {
		t.Fatal(err)
	}
	b.passwordless, b.listenTCP, b.tls = PasswordlessAny, "127.0.0.1:0", config
	b.upstream = upstream
	b.side = b.sidecar()
	return b
}

// dsnOf leads through the sidecar by TCP, with more parameters.
func (b *tlsBed) dsnOf(parameters string) string {
	at := b.side.Server.TCPAddress().(*net.TCPAddr)
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=%s %s", at.Port, b.database, parameters)
}

// dial connects to the sidecar by TCP and sends nothing.
func (b *tlsBed) dial() net.Conn {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.side.Server.TCPAddress().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(rawWait))
	return conn
}

var sslRequest = uint32s(8, protocol.SSLCode)

// libpq and pgx work with connection strings that demand encryption, with and without verification
// of the certificate, and read the same rows as without encryption, from Postgres and from memory.
// On the Unix socket a client's request for TLS is declined.
func TestClientsOnTCPAreServedEncrypted(t *testing.T) {
	t.Parallel()
	b := newTLSBed(t, nil)
	verified := "sslmode=verify-full sslrootcert=" + b.certificate
	t.Run("libpq", func(t *testing.T) {
		tool, err := b.postgres.Tool("psql")
		if err != nil {
			t.Fatal(err)
		}
		for parameters, encrypted := range map[string]bool{"sslmode=disable": false, "sslmode=prefer": true, "sslmode=require": true, verified: true} {
			command := exec.CommandContext(t.Context(), tool, "-Xq", "-c", `\conninfo`, "-Atc", "SELECT name FROM item WHERE id = 3", b.dsnOf(parameters))
			out, err := command.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "item 3") || strings.Contains(string(out), "SSL") != encrypted {
				t.Errorf("%s: psql ends with %v and prints %s; want item 3, and encrypted: %v", parameters, err, out, encrypted)
			}
		}
	})
	t.Run("pgx", func(t *testing.T) {
		for _, parameters := range []string{"sslmode=require", verified} {
			conn := b.connect(b.dsnOf(parameters))
			hits := b.side.count(HitL1)
			for range 3 {
				var name string
				if err := conn.QueryRow(t.Context(), "SELECT name FROM item WHERE id = $1", 4).Scan(&name); err != nil || name != "item 4" {
					t.Fatalf("read %q, %v; want item 4", name, err)
				}
			}
			// More than a TLS record, and more than a buffer, holds.
			var long string
			if err := conn.QueryRow(t.Context(), "SELECT repeat('long ', 200000)").Scan(&long); err != nil || long != strings.Repeat("long ", 200000) {
				t.Errorf("a long value has %d bytes, %v; want the 1000000 that were sent", len(long), err)
			}
			if b.side.count(HitL1) == hits {
				t.Errorf("%s: no read was a hit, want some", parameters)
			}
			if _, err := conn.Exec(t.Context(), "UPDATE item SET version = version + 1 WHERE id = 4"); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a certificate that cannot be verified", func(t *testing.T) {
		other, _ := certificateFor(t, t.TempDir(), []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
		config, err := pgx.ParseConfig(b.dsnOf("sslmode=verify-full sslrootcert=" + other))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pgx.ConnectConfig(t.Context(), config); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("connecting gives %v, want an error about the certificate", err)
		}
	})
	t.Run("no TLS on the Unix socket", func(t *testing.T) {
		c := &rawClient{t: t, conn: dialOnly(t, b.side.dsn())}
		c.send(sslRequest)
		if answer := make([]byte, 1); readFull(t, c.conn, answer) && answer[0] != 'N' {
			t.Errorf("an SSLRequest on the socket is answered with %q, want N", answer)
		}
	})
}

// readFull fills into from a connection, and reports whether it could.
func readFull(t *testing.T, conn net.Conn, into []byte) bool {
	t.Helper()
	if _, err := io.ReadFull(conn, into); err != nil {
		t.Error(err)
		return false
	}
	return true
}

// TLS begins behind an SSLRequest, or at once for the protocol postgresql, and in no other way;
// nothing that was sent unencrypted is taken for a part of it.
func TestTLSBeginsOnlyAsInPostgres(t *testing.T) {
	t.Parallel()
	b := newTLSBed(t, nil)
	roots := x509.NewCertPool()
	text, err := os.ReadFile(b.certificate)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	client := func(protocols ...string) *tls.Config {
		return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: protocols}
	}
	// serves starts a session on a connection and requires that a read is answered.
	serves := func(t *testing.T, conn net.Conn) *rawClient {
		t.Helper()
		c := &rawClient{t: t, conn: conn}
		c.send(startupMessage(b.database))
		c.readGreeting()
		c.send(msgQuery(readItem3))
		if got := c.until("Z"); !bytes.Contains(got, []byte("item 3")) {
			t.Errorf("a read gets\n%s\nwant item 3", show(got))
		}
		return c
	}
	// requested is a connection of which an SSLRequest was granted.
	requested := func(t *testing.T) net.Conn {
		t.Helper()
		conn := b.dial()
		if _, err := conn.Write(sslRequest); err != nil {
			t.Fatal(err)
		}
		if answer := make([]byte, 1); readFull(t, conn, answer) && answer[0] != 'S' {
			t.Fatalf("an SSLRequest is answered with %q, want S", answer)
		}
		return tls.Client(conn, client())
	}
	t.Run("behind an SSLRequest", func(t *testing.T) { serves(t, requested(t)) })
	t.Run("at once", func(t *testing.T) { serves(t, tls.Client(b.dial(), client("postgresql"))) })
	t.Run("no TLS behind a declined GSSENCRequest", func(t *testing.T) {
		conn := b.dial()
		if _, err := conn.Write(uint32s(8, protocol.GSSCode)); err != nil {
			t.Fatal(err)
		}
		if answer := make([]byte, 1); readFull(t, conn, answer) && answer[0] != 'N' {
			t.Fatalf("a GSSENCRequest is answered with %q, want N", answer)
		}
		serves(t, conn)
	})
	t.Run("refused at once for another protocol", func(t *testing.T) {
		for _, protocols := range [][]string{nil, {"h2"}} {
			conn := tls.Client(b.dial(), client(protocols...))
			_, _ = conn.Write(startupMessage(b.database)) // fails if the sidecar has closed already
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("TLS at once for the protocols %q is served, want the connection closed", protocols)
			}
		}
	})
	t.Run("no second SSLRequest within TLS", func(t *testing.T) {
		conn := requested(t)
		if _, err := conn.Write(sslRequest); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(conn); !bytes.Contains(got, []byte("unsupported frontend protocol 1234.5679")) {
			t.Errorf("a second SSLRequest within TLS gets\n%s\nwant it refused as an unsupported protocol", show(got))
		}
	})
	t.Run("no unencrypted bytes behind an SSLRequest", func(t *testing.T) {
		conn := b.dial()
		if _, err := conn.Write(join(sslRequest, startupMessage(b.database))); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(conn); !bytes.Contains(got, []byte("received unencrypted data after SSL request")) {
			t.Errorf("unencrypted bytes behind the SSLRequest get\n%s\nwant them refused", show(got))
		}
	})
	t.Run("no session without TLS behind an SSLRequest", func(t *testing.T) {
		conn := b.dial()
		if _, err := conn.Write(sslRequest); err != nil {
			t.Fatal(err)
		}
		if answer := make([]byte, 1); readFull(t, conn, answer) {
			_, _ = conn.Write(startupMessage(b.database))
			got, _ := io.ReadAll(conn)
			if bytes.Contains(got, []byte("item")) || bytes.Contains(got, []byte{'R', 0, 0, 0}) {
				t.Errorf("a start-up without TLS behind the SSLRequest is served:\n%s", show(got))
			}
		}
	})
	t.Run("a cancel request within TLS", func(t *testing.T) {
		c := serves(t, requested(t))
		c.send(msgQuery("SELECT pg_sleep(60)"))
		c.reaches(b.testbed, "wait_event = 'PgSleep'")
		other := requested(t)
		if _, err := other.Write(join(uint32s(uint32(12+len(c.key)-4), protocol.CancelCode), c.key)); err != nil {
			t.Fatal(err)
		}
		if got := c.until("Z"); !bytes.Contains(got, []byte("57014")) {
			t.Errorf("the cancelled query ends with\n%s\nwant the error 57014", show(got))
		}
	})
}

// The next client is shown a renewed certificate. If the renewed file cannot be read, the next
// client is still served, with the certificate that was read last, and the log says so.
func TestRenewedCertificateIsShown(t *testing.T) {
	t.Parallel()
	b := newTLSBed(t, nil)
	shown := func() string {
		conn := tls.Client(b.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return string(conn.ConnectionState().PeerCertificates[0].Raw)
	}
	first := shown()
	dir := t.TempDir()
	certificate, key := certificateFor(t, dir, []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"a.longer.name.example"})
	for from, to := range map[string]string{certificate: b.files.Certificate, key: b.files.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	second := shown()
	if second == first {
		t.Error("the certificate from before the renewal is shown, want the renewed one")
	}
	if err := os.WriteFile(b.files.Certificate, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if shown() != second {
		t.Error("behind a file that cannot be read another certificate is shown, want the last one")
	}
	if !strings.Contains(b.log.String(), "cannot read the renewed certificate") {
		t.Errorf("the log does not say that the renewed certificate cannot be read:\n%s", b.log)
	}
}

// A client that requires channel binding ends its connection by itself, with an error of libpq's.
// The sidecar's log says which parameter is the reason, and what to set it to.
func TestRequiredChannelBindingIsExplainedInTheLog(t *testing.T) {
	t.Parallel()
	offer := protocol.AppendMessage(nil, 'R', uint32s(protocol.AuthenticationSASL), []byte("SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"))
	b := newTLSBed(t, scriptedServer(t, offer))
	tool, err := b.postgres.Tool("psql")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), tool, "-Xc", "SELECT 1", b.dsnOf("sslmode=require channel_binding=require"))
	command.Env = append(os.Environ(), "PGPASSWORD=secret")
	if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "channel binding") {
		t.Errorf("psql ends with %v and prints %s; want an error about channel binding", err, out)
	}
	servers.Eventually(t, "the log to name channel_binding=prefer", func() bool { return strings.Contains(b.log.String(), "channel_binding=prefer") })
}
