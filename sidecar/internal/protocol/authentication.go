package protocol

import (
	"encoding/binary"
	"errors"
	"strings"
)

// WithoutChannelBinding takes the mechanisms out of AuthenticationSASL that bind
// to a TLS connection of Postgres' own: the client's is not the one to Postgres,
// and libpq ends the connection at the sight of them. Other requests stay as they
// are.
func WithoutChannelBinding(message []byte) ([]byte, error) {
	body := message[HeaderLength:]
	if len(body) < 4 {
		return nil, errors.New("malformed authentication request")
	}
	if binary.BigEndian.Uint32(body) != AuthenticationSASL {
		return message, nil
	}
	kept := append([]byte(nil), body[:4]...)
	for _, mechanism := range strings.Split(string(body[4:]), "\x00") {
		if mechanism != "" && !strings.HasSuffix(mechanism, "-PLUS") {
			kept = append(kept, mechanism...)
			kept = append(kept, 0)
		}
	}
	return AppendMessage(nil, 'R', kept, []byte{0}), nil
}

// Authentication requests after which Postgres waits for no answer.
const (
	AuthenticationOK        = 0
	AuthenticationSASL      = 10
	AuthenticationSASLFinal = 12
)
