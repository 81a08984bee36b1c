package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

// applicationProtocol is the name of the Postgres protocol within TLS: libpq says it, and
// insists on it where TLS begins without a request (sslnegotiation=direct).
const applicationProtocol = "postgresql"

// selfSignedLife is how long a certificate made here is valid: longer than any process.
const selfSignedLife = 10 * 365 * 24 * time.Hour

// CertificateFiles name the certificate that clients are shown and its key, both PEM.
type CertificateFiles struct{ Certificate, Key string }

// TLSFromFiles returns how clients are served encrypted with a certificate from files.
// They are looked at for each client, and read again once one of them is another: a
// renewed certificate needs no restart. What cannot be read later is logged, and the
// certificate before it stays.
func TLSFromFiles(files CertificateFiles, logger *slog.Logger) (*tls.Config, error) {
	renewed := &renewedCertificate{files: files, logger: logger}
	if err := renewed.read(); err != nil {
		return nil, err
	}
	return serverTLS(renewed.current), nil
}

// TLSSelfSigned returns how clients are served encrypted with a certificate that is made
// now, for this machine's name and the loopback addresses, and is never written anywhere.
// No client can verify it: it is for those that demand encryption and verify nothing
// (sslmode=require).
func TLSSelfSigned() (*tls.Config, error) {
	certificate, err := makeCertificate()
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return serverTLS(func() *tls.Certificate { return certificate }), nil
}

func serverTLS(certificate func() *tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{applicationProtocol},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate(), nil
		},
	}
}

func makeCertificate() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "freshet"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedLife),
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, nil
}

// renewedCertificate is a certificate of files that somebody may renew.
type renewedCertificate struct {
	files  CertificateFiles
	logger *slog.Logger

	mu     sync.Mutex
	latest *tls.Certificate
	// stamps are those of the files as they were last read, well or not.
	stamps [2]stamp
}

// stamp tells one content of a file from another.
type stamp struct {
	modified time.Time
	length   int64
}

// current returns the certificate, read again if its files have changed.
func (r *renewedCertificate) current() *tls.Certificate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stampsNow() != r.stamps {
		if err := r.readLocked(); err != nil {
			r.logger.Error("cannot read the renewed certificate: clients are shown the one before", "error", err)
		}
	}
	return r.latest
}

func (r *renewedCertificate) read() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readLocked()
}

// readLocked keeps what was read before where the files hold no pair.
func (r *renewedCertificate) readLocked() error {
	r.stamps = r.stampsNow() // before they are read: a change behind it is another stamp
	pair, err := tls.LoadX509KeyPair(r.files.Certificate, r.files.Key)
	if err != nil {
		return err
	}
	r.latest = &pair
	return nil
}

// stampsNow leaves the stamp of a file that cannot be looked at empty.
func (r *renewedCertificate) stampsNow() (now [2]stamp) {
	for i, name := range []string{r.files.Certificate, r.files.Key} {
		if info, err := os.Stat(name); err == nil {
			now[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return now
}

// ErrNotPostgres is why a client that began with TLS at once is turned away: as Postgres
// has it, it must say then that it means the Postgres protocol.
var ErrNotPostgres = errors.New("the client began with TLS and did not name the protocol postgresql")

// Encrypt does the handshake with a client that wants TLS. read are bytes of the client
// that somebody has read already; they belong to the handshake. direct says that the
// client asked for nothing before. The caller sets deadlines, and closes the connection.
func Encrypt(conn net.Conn, config *tls.Config, read []byte, direct bool) (net.Conn, error) {
	encrypted := tls.Server(&begun{conn, read}, config)
	if err := encrypted.Handshake(); err != nil {
		return nil, err
	}
	if direct && encrypted.ConnectionState().NegotiatedProtocol != applicationProtocol {
		return nil, ErrNotPostgres
	}
	return encrypted, nil
}

// begun is a connection whose first bytes were read already.
type begun struct {
	net.Conn
	read []byte
}

func (b *begun) Read(into []byte) (int, error) {
	if len(b.read) == 0 {
		return b.Conn.Read(into)
	}
	n := copy(into, b.read)
	b.read = b.read[n:]
	return n, nil
}
