package protocol

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// Codes in the place of a protocol version.
const (
	CancelCode = 80877102
	SSLCode    = 80877103
	GSSCode    = 80877104
)

// StartupLengthMax is Postgres' own limit for a start-up message, in bytes, with
// those that tell its length.
const StartupLengthMax = 10004

// ErrStartup is the error of a start-up message that no client of Postgres sends.
var ErrStartup = errors.New("start-up message is malformed")

// ReadStartup reads a message without a type byte. The first four bytes of what
// it returns are the length, the next four the version or code. A length that cannot
// be is judged at once, as by Postgres: a client may say goodbye in five bytes, or
// wait.
func ReadStartup(from io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 8 || n > StartupLengthMax {
		return nil, ErrStartup
	}
	message := append(make([]byte, 0, n), length[:]...)[:n]
	_, err := io.ReadFull(from, message[len(length):])
	return message, err
}

// StartupCode returns what a start-up message has in the place of a protocol version.
func StartupCode(message []byte) uint32 { return binary.BigEndian.Uint32(message[4:]) }

// IsReplication reports whether a start-up message asks for a replication
// connection, on which not even a probe is sent.
func IsReplication(startup []byte) bool {
	value, _ := StartupParameter(startup, "replication")
	switch strings.ToLower(value) {
	case "false", "off", "no", "0", "":
		return false
	default:
		return true
	}
}

// RoleOf is the role that a start-up message asks for.
func RoleOf(startup []byte) string {
	role, _ := StartupParameter(startup, "user")
	return role
}

// DatabaseOf is the database that a start-up message asks for: that of the role's name
// unless it names one.
func DatabaseOf(startup []byte) string {
	if database, _ := StartupParameter(startup, "database"); database != "" {
		return database
	}
	return RoleOf(startup)
}

// WithDatabase returns a start-up message that asks for another database, and for the rest
// says what startup does.
func WithDatabase(startup []byte, database string) []byte {
	message := append([]byte(nil), startup[:8]...)
	parameters := strings.Split(string(startup[8:]), "\x00")
	for i := 0; i+1 < len(parameters) && parameters[i] != ""; i += 2 {
		if parameters[i] != "database" {
			message = append(message, parameters[i]+"\x00"+parameters[i+1]+"\x00"...)
		}
	}
	message = append(message, "database\x00"+database+"\x00\x00"...)
	binary.BigEndian.PutUint32(message, uint32(len(message)))
	return message
}

// StartupParameter returns a parameter of a start-up message.
func StartupParameter(startup []byte, name string) (value string, ok bool) {
	parameters := strings.Split(string(startup[8:]), "\x00")
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i] == name {
			value, ok = parameters[i+1], true // the last one counts
		}
	}
	return value, ok
}
