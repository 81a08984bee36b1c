package wire

import (
	"bytes"
	"encoding/binary"
)

// Sizes of the protocol, in bytes.
const (
	headerLength = 5 // type and length of a message behind the start-up
	// messageMax is the largest message that Postgres accepts or sends.
	messageMax = 1<<30 - 1
)

// messageLength returns the whole length of the message that b begins with,
// type byte included, 0 if the header is not complete yet, and -1 if the header
// is malformed.
func messageLength(b []byte) int {
	if len(b) < headerLength {
		return 0
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n < 4 || n > messageMax {
		return -1
	}
	return 1 + int(n)
}

// cutString splits b behind its first zero byte. ok is false if there is none.
func cutString(b []byte) (text, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return nil, b, false
	}
	return b[:i], b[i+1:], true
}

// appendMessage appends a message of the given type.
func appendMessage(dst []byte, kind byte, body ...[]byte) []byte {
	n := 4
	for _, part := range body {
		n += len(part)
	}
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	for _, part := range body {
		dst = append(dst, part...)
	}
	return dst
}

// Answers that never vary.
const (
	parseComplete = "1\x00\x00\x00\x04"
	bindComplete  = "2\x00\x00\x00\x04"
	closeComplete = "3\x00\x00\x00\x04"
	noData        = "n\x00\x00\x00\x04"
	readyIdle     = "Z\x00\x00\x00\x05I"
	readyInBlock  = "Z\x00\x00\x00\x05T"
	readyFailed   = "Z\x00\x00\x00\x05E"
)

// Transaction states of ReadyForQuery.
const (
	statusIdle    = 'I'
	statusInBlock = 'T'
	statusFailed  = 'E'
)

// appendComplete appends a CommandComplete.
func appendComplete(dst []byte, tag string) []byte {
	dst = append(dst, 'C')
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+len(tag)+1))
	dst = append(dst, tag...)
	return append(dst, 0)
}

// endsConnection reports whether the body of an ErrorResponse is of a severity
// after which the server leaves.
func endsConnection(body []byte) bool {
	for len(body) > 1 {
		text, rest, ok := cutString(body[1:])
		if !ok {
			return false
		}
		if body[0] == 'V' {
			return string(text) != "ERROR"
		}
		body = rest
	}
	return false
}

// errorResponse builds an ErrorResponse. severity is ERROR or FATAL, code a
// SQLSTATE; hint may be empty.
func errorResponse(severity, code, message, hint string) []byte {
	var b []byte
	field := func(kind byte, text string) {
		b = append(b, kind)
		b = append(b, text...)
		b = append(b, 0)
	}
	field('S', severity)
	field('V', severity)
	field('C', code)
	field('M', message)
	if hint != "" {
		field('H', hint)
	}
	b = append(b, 0)
	return appendMessage(nil, 'E', b)
}
