package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// startupOf makes a start-up message of a version of the protocol, with options besides user and
// database.
func startupOf(version uint32, database string, options ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, version)
	for _, text := range append([]string{"user", "postgres", "database", database}, options...) {
		body = append(append(body, text...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

// greet sends a start-up message, and reads the answer up to ReadyForQuery or to the end of the
// connection.
func greet(t *testing.T, dsn string, startup []byte) *rawClient {
	t.Helper()
	c := &rawClient{t: t, conn: dialOnly(t, dsn)}
	c.send(startup)
	c.readGreeting()
	return c
}

// readGreeting reads up to the first ReadyForQuery, or to the end of the connection.
func (c *rawClient) readGreeting() {
	for {
		m, err := c.tryMessage()
		if err != nil {
			return // Postgres has refused the client; its error is in the greeting
		}
		switch m[0] {
		case 'K':
			c.key = m[protocol.HeaderLength:]
			continue
		case 'Z':
			return
		}
		c.greeting = append(c.greeting, m...)
	}
}

// On a Unix socket there is nothing to encrypt: clients such as libpq ask for encryption, are
// answered N, and go on without it.
func TestEncryptionIsDeclinedOnTheSocket(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	for name, codes := range map[string][]uint32{
		"SSL": {protocol.SSLCode}, "GSS": {protocol.GSSCode}, "GSS, then SSL": {protocol.GSSCode, protocol.SSLCode}, "SSL, then GSS": {protocol.SSLCode, protocol.GSSCode},
	} {
		var answers [2][]byte
		for i, dsn := range []string{bed.postgres.DSN(bed.database), s.dsn()} {
			c := &rawClient{t: t, conn: dialOnly(t, dsn)}
			for _, code := range codes {
				c.send(uint32s(8, code))
				reply := make([]byte, 1)
				if _, err := io.ReadFull(c.conn, reply); err != nil {
					t.Fatal(err)
				}
				answers[i] = append(answers[i], reply...)
			}
			c.send(startupMessage(bed.database))
			c.readGreeting()
			answers[i] = append(append(answers[i], c.greeting...), c.ask(msgQuery("SELECT name FROM item WHERE id = 3"))...)
		}
		if !bytes.Equal(answers[0], answers[1]) || bytes.Count(answers[1][:len(codes)], []byte("N")) != len(codes) {
			t.Errorf("%s: Postgres says %q, the sidecar says %q, want the same and N to each request", name, answers[0], answers[1])
		}
	}
}

// Postgres itself negotiates the version and the options of the protocol: the client gets its answer
// unchanged, and can cancel with the sidecar's key, whose length is that of Postgres' key.
func TestProtocolVersionsAreNegotiatedByPostgres(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	for name, startup := range map[string][]byte{
		"3.0":                            startupOf(3<<16, bed.database),
		"3.0 with an option":             startupOf(3<<16, bed.database, "_pq_.unknown", "1"),
		"3.2":                            startupOf(3<<16|2, bed.database),
		"3.2 with options":               startupOf(3<<16|2, bed.database, "_pq_.one", "1", "_pq_.two", "x", "application_name", "me"),
		"3.9999":                         startupOf(3<<16|9999, bed.database),
		"2.0":                            startupOf(2<<16, bed.database),
		"4.0":                            startupOf(4<<16, bed.database),
		"unknown database":               startupOf(3<<16, "nowhere"),
		"unknown setting":                startupOf(3<<16, bed.database, "nonsense", "1"),
		"options":                        startupOf(3<<16|2, bed.database, "options", "-c TimeZone=Asia/Tokyo -c extra_float_digits=0"),
		"options that are refused":       startupOf(3<<16, bed.database, "options", "-c work_mem=lots"),
		"settings":                       startupOf(3<<16, bed.database, "DateStyle", "German", "client_encoding", "LATIN1"),
		"replication":                    startupOf(3<<16, bed.database, "replication", "database"),
		"message that is not terminated": uint32s(13, 3<<16, 0x75736572, 0)[:13],
	} {
		t.Run(name, func(t *testing.T) {
			direct, through := greet(t, bed.postgres.DSN(bed.database), startup), greet(t, s.dsn(), startup)
			if !bytes.Equal(direct.greeting, through.greeting) {
				t.Fatalf("Postgres says\n%s\nthe sidecar says\n%s", show(direct.greeting), show(through.greeting))
			}
			if len(direct.key) != len(through.key) {
				t.Errorf("the key to cancel with has %d bytes through the sidecar, want %d as of Postgres", len(through.key), len(direct.key))
			}
			if through.key == nil {
				return
			}
			ask, sleep := msgQuery("SELECT 1.0::float8 / 3, timestamptz '2024-01-01 00:00:00+00'"), msgQuery("SELECT pg_sleep(60)")
			if want, got := direct.ask(ask), through.ask(ask); !bytes.Equal(want, got) {
				t.Errorf("Postgres says\n%s\nthe sidecar says\n%s", show(want), show(got))
			}
			through.send(sleep)
			through.reaches(bed, "wait_event = 'PgSleep'")
			through.cancel(s.dsn())
			if got := through.until("Z"); !bytes.Contains(got, []byte("\x00C57014\x00")) {
				t.Errorf("the cancelled statement ended with\n%s\nwant the error 57014", show(got))
			}
		})
	}
}

// scriptedServer starts a server that reads the start-up message of each client, sends it the bytes
// say, and closes the connection. It returns how to connect to the server.
func scriptedServer(t *testing.T, say []byte) *pgconn.Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(rawWait))
			if _, err := protocol.ReadStartup(conn); err == nil {
				_, _ = conn.Write(say) // the sidecar may leave first
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	at := listener.Addr().(*net.TCPAddr)
	return &pgconn.Config{Host: at.IP.String(), Port: uint16(at.Port)}
}

// Postgres sends something during the start-up of a session and closes the connection. The client
// gets the same bytes, and then the end of its connection.
func TestAnswerOfAPostgresThatLeavesDuringStartupReachesTheClient(t *testing.T) {
	t.Parallel()
	lent := lentSidecar(t)
	bed := lent.bed
	authenticated := protocol.AppendMessage(nil, 'R', uint32s(protocol.AuthenticationOK))
	setting := protocol.AppendMessage(nil, 'S', []byte("TimeZone\x00UTC\x00"))
	for name, say := range map[string][]byte{
		"nothing":                   nil,
		"an error":                  protocol.ErrorResponse("FATAL", "57P03", "the database system is starting up", ""),
		"a question for a password": protocol.AppendMessage(nil, 'R', uint32s(3)),
		"the authentication":        authenticated,
		"a setting":                 join(authenticated, setting),
		"a setting, then an error":  join(authenticated, setting, protocol.ErrorResponse("FATAL", "53300", "sorry, too many clients already", "")),
		"all but ReadyForQuery":     join(authenticated, setting, protocol.AppendMessage(nil, 'K', uint32s(1, 2))),
	} {
		t.Run(name, func(t *testing.T) {
			s, stop := lent.beside(t, scriptedServer(t, say))
			defer stop()
			c := &rawClient{t: t, conn: dialOnly(t, s.dsn())}
			c.send(startupMessage(bed.database))
			if name == "a question for a password" {
				m := c.message()
				c.send(protocol.AppendMessage(nil, 'p', []byte("secret\x00")))
				if got := append(m, c.rest()...); !bytes.Equal(got, say) {
					t.Errorf("the client gets\n%s\nPostgres sent\n%s", show(got), show(say))
				}
				return
			}
			if got := c.rest(); !bytes.Equal(got, say) {
				t.Errorf("the client gets\n%s\nPostgres sent\n%s", show(got), show(say))
			}
		})
	}
}

// The messages of a start-up are understood though each of their bytes comes in a write of its own.
func TestStartupInPiecesIsUnderstood(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	c := &rawClient{t: t, conn: dialOnly(t, s.dsn())}
	inPieces := func(message []byte) {
		for _, b := range message {
			c.send([]byte{b})
		}
	}
	inPieces(uint32s(8, protocol.SSLCode))
	reply := make([]byte, 1)
	if _, err := io.ReadFull(c.conn, reply); err != nil || reply[0] != 'N' {
		t.Fatalf("the request for encryption is answered %q, %v, want N", reply, err)
	}
	inPieces(startupMessage(bed.database))
	c.readGreeting()
	config, err := pgx.ParseConfig(s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	if want := dialRaw(t, bed.postgres.DSN(config.Database)).greeting; !bytes.Equal(c.greeting, want) {
		t.Errorf("the sidecar says\n%s\nPostgres says\n%s", show(c.greeting), show(want))
	}
}

// A client that sends something else than a start-up message gets what Postgres sends it: nothing, or
// an error if data follow its request for encryption. Then its connection is closed without a reset,
// which would be an error to the client and ends some programs.
func TestConnectionWithoutAStartupIsClosedWithoutAReset(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	for _, sent := range []string{
		"X\x00\x00\x00\x04", "\x00\x00\x00\x00 and more", "\xff\xff\xff\xff\xff\xff\xff\xff",
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		string(uint32s(8, protocol.SSLCode)) + string(startupMessage(bed.database)),
		string(uint32s(8, protocol.GSSCode)) + string(startupMessage(bed.database)),
	} {
		for _, dsn := range []string{bed.postgres.DSN(bed.database), s.dsn()} {
			conn := dialOnly(t, dsn)
			if _, err := conn.Write([]byte(sent)); err != nil {
				t.Fatal(err)
			}
			said, err := io.ReadAll(conn)
			asked := sent[len(sent)-1] == 0 && len(sent) > len("X\x00\x00\x00\x04")
			if refused := bytes.Contains(said, []byte("received unencrypted data after")); err != nil || refused != asked || !asked && len(said) > 0 {
				t.Errorf("behind %q, %s answers %q and the connection ends with %v, want the refusal of unencrypted data: %v, and no error", sent, dsn, said, err, asked)
			}
		}
	}
}
