package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// encryptedBed is a server that demands passwords, in several ways, and TLS, and a
// sidecar before it.
type encryptedBed struct {
	*testbed
	side *side
	// certificate is the file of the certificate that the server shows.
	certificate string
}

// certificateFor writes a certificate for addresses or names, signed by itself, and
// its key.
func certificateFor(t *testing.T, dir string, addresses []net.IP, names []string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "throwaway"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: addresses, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// password is the password of all users of the bed that have one.
const password = "correct horse"

// encryptionUsers are the users of the bed, each named for the way in which Postgres authenticates
// it.
var encryptionUsers = []string{"by_scram", "by_md5", "by_password", "by_trust", "by_reject"}

// newEncryptedBed makes an encryptedBed whose server shows a certificate for addresses or names.
func newEncryptedBed(t *testing.T, addresses []net.IP, names []string) *encryptedBed {
	t.Helper()
	pg := servers.StartPostgres(t, servers.PostgresOptions{TCP: true, HBA: []string{
		"hostssl all by_scram 127.0.0.1/32 scram-sha-256", "hostssl all by_md5 127.0.0.1/32 md5",
		"hostssl all by_password 127.0.0.1/32 password", "hostssl all by_trust 127.0.0.1/32 trust", "hostssl all by_reject 127.0.0.1/32 reject",
		"hostnossl all all 127.0.0.1/32 reject",
	}})
	b := &encryptedBed{testbed: newTestbedOn(t, pg, itemSchema+`
		SET password_encryption = 'scram-sha-256'; CREATE ROLE by_scram LOGIN PASSWORD '`+password+`';
		CREATE ROLE by_password LOGIN PASSWORD '`+password+`'; CREATE ROLE by_trust LOGIN; CREATE ROLE by_reject LOGIN;
		SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN PASSWORD '`+password+`';
		GRANT SELECT ON item TO PUBLIC`)}
	b.certificate = b.encrypt(addresses, names)
	b.side = b.sidecar()
	b.through("verify-full", b.certificate)
	return b
}

// encrypt makes the server offer TLS, and returns the certificate that it shows.
func (b *encryptedBed) encrypt(addresses []net.IP, names []string) string {
	b.t.Helper()
	certificate, key := certificateFor(b.t.(*testing.T), b.postgres.DataDir(), addresses, names)
	owner, err := os.Stat(b.postgres.DataDir())
	if err != nil {
		b.t.Fatal(err)
	}
	who := owner.Sys().(*syscall.Stat_t)
	if err := errors.Join(os.Chown(certificate, int(who.Uid), int(who.Gid)), os.Chown(key, int(who.Uid), int(who.Gid))); err != nil {
		b.t.Fatal(err)
	}
	b.exec("ALTER SYSTEM SET ssl = on")
	b.exec("SELECT pg_reload_conf()")
	servers.Eventually(b.t, "TLS to be on", func() bool {
		var ssl string
		return b.connect(b.postgres.DSN(b.database)).QueryRow(b.t.Context(), "SHOW ssl").Scan(&ssl) == nil && ssl == "on"
	})
	return certificate
}

// through has the sidecar reach the server by TCP, with this sslmode and the file of this root
// certificate, from the next client on.
func (b *encryptedBed) through(sslmode, rootCertificate string) {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.encryptedDSN("by_trust", sslmode, rootCertificate))
	if err != nil {
		b.t.Fatal(err)
	}
	b.side.Server.upstream = transport.NewUpstream(&config.Config)
}

// encryptedDSN leads to the server itself by TCP.
func (b *encryptedBed) encryptedDSN(user, sslmode, rootCertificate string) string {
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=%s", b.postgres.Port(), user, b.database, sslmode)
	if rootCertificate != "" {
		dsn += " sslrootcert=" + rootCertificate
	}
	return dsn
}

// sideDSN leads through the sidecar.
func (b *encryptedBed) sideDSN(user string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", b.side.dir, testPort, user, b.database)
}

// login connects with a password, reads an item and leaves. It returns the first error.
func (b *encryptedBed) login(dsn, password string) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	config.Password = password
	conn, err := pgx.ConnectConfig(b.t.Context(), config)
	if err != nil {
		return err
	}
	defer conn.Close(b.t.Context())
	var name string
	for range 2 {
		if err := conn.QueryRow(b.t.Context(), "SELECT name FROM item WHERE id = $1", 3).Scan(&name); err != nil || name != "item 3" {
			return fmt.Errorf("read %q: %w", name, err)
		}
	}
	return nil
}

// There is TLS between sidecar and Postgres, and none between client and sidecar. Channel binding
// ties the authentication to one TLS connection, so that it cannot work through the sidecar, and
// libpq ends a connection without TLS on which it is offered. So the sidecar takes channel binding
// out of Postgres' offer. Otherwise each user is let in or refused as by Postgres itself.
func TestCase44ChannelBindingIsNotOffered(t *testing.T) {
	t.Parallel()
	b := newEncryptedBed(t, []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	t.Run("offer", func(t *testing.T) {
		c := &rawClient{t: t, conn: dialOnly(t, b.side.dsn())}
		c.send(bytes.Replace(startupMessage(b.database), []byte("postgres"), []byte("by_scram"), 1))
		want := protocol.AppendMessage(nil, 'R', uint32s(protocol.AuthenticationSASL), []byte("SCRAM-SHA-256\x00\x00"))
		if offer := c.message(); !bytes.Equal(offer, want) {
			t.Errorf("the client is offered\n%s\nwant\n%s", show(offer), show(want))
		}
	})
	for _, user := range encryptionUsers {
		t.Run(user, func(t *testing.T) {
			for _, secret := range []string{password, "wrong", ""} {
				direct, through := b.login(b.encryptedDSN(user, "verify-full", b.certificate), secret), b.login(b.sideDSN(user), secret)
				if !sameEnd(direct, through) {
					t.Errorf("with the password %q the client gets\n%v\nfrom Postgres, and through the sidecar\n%v", secret, direct, through)
				}
				if secret == password && user != "by_reject" && through != nil {
					t.Errorf("the right password is refused: %v", through)
				}
			}
		})
	}
	t.Run("libpq", func(t *testing.T) {
		psql := func(dsn, secret string) (string, error) {
			tool, err := b.postgres.Tool("psql")
			if err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), tool, "-XqAt", "-c", "SELECT name FROM item WHERE id = 3", dsn)
			command.Env = append(os.Environ(), "PGPASSWORD="+secret)
			out, err := command.CombinedOutput()
			return strings.TrimSpace(string(out)), err
		}
		for _, user := range []string{"by_scram", "by_md5", "by_password", "by_trust"} {
			if got, err := psql(b.sideDSN(user), password); err != nil || got != "item 3" {
				t.Errorf("%s: psql ends with %v and prints %s; want item 3", user, err, got)
			}
		}
		if got, err := psql(b.sideDSN("by_scram"), "wrong"); err == nil || !strings.Contains(got, "password authentication failed") {
			t.Errorf("with the wrong password psql ends with %v and prints %s; want the authentication to fail", err, got)
		}
		if got, err := psql(b.sideDSN("by_scram")+" channel_binding=require", password); err == nil || !strings.Contains(got, "channel binding") {
			t.Errorf("with channel binding required psql ends with %v and prints %s; want an error about channel binding", err, got)
		}
	})
	if hits := b.side.count(HitL1); hits == 0 {
		t.Error("no read through the sidecar was a hit, want some")
	}
}

// sameEnd reports whether two logins ended with the same error of Postgres, or both without one.
func sameEnd(a, b error) bool {
	var saidA, saidB *pgconn.PgError
	if errors.As(a, &saidA) && errors.As(b, &saidB) {
		return fmt.Sprint(withoutEncryption(*saidA)) == fmt.Sprint(withoutEncryption(*saidB))
	}
	return a == nil && b == nil
}

// withoutEncryption takes the words about encryption out of an error: a connection through the
// sidecar and one to Postgres itself may differ in them.
func withoutEncryption(e pgconn.PgError) pgconn.PgError {
	e.Message = strings.NewReplacer("SSL encryption", "", "no encryption", "").Replace(e.Message)
	return e
}

// The sidecar does not connect to a server whose certificate fails the verification that the
// sslmode asks for, nor to one that offers no TLS where the sslmode demands it. The client is sent
// an error that says why.
func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	b := newEncryptedBed(t, nil, []string{"another.example"})
	other, _ := certificateFor(t, t.TempDir(), []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	refused := func(what, word string) {
		t.Helper()
		var said *pgconn.PgError
		if err := b.login(b.sideDSN("by_trust"), ""); !errors.As(err, &said) || said.Code != "08006" || !strings.Contains(said.Message, word) {
			t.Errorf("%s: the client gets %v, want 08006 with the word %q", what, err, word)
		}
	}
	b.through("verify-full", b.certificate)
	refused("another name in the certificate", "certificate")
	b.through("verify-ca", other)
	refused("another authority", "certificate")
	for _, mode := range []string{"require", "verify-ca"} {
		root := map[string]string{"verify-ca": b.certificate}[mode]
		b.through(mode, root)
		if err := b.login(b.sideDSN("by_trust"), ""); err != nil {
			t.Errorf("sslmode=%s: the client gets %v, want to be served", mode, err)
		}
	}
	b.exec("ALTER SYSTEM SET ssl = off")
	b.exec("SELECT pg_reload_conf()")
	servers.Eventually(t, "TLS to be off", func() bool {
		var ssl string
		return b.connect(b.postgres.DSN(b.database)).QueryRow(t.Context(), "SHOW ssl").Scan(&ssl) == nil && ssl == "off"
	})
	refused("no TLS at all", "does not offer TLS")
}
