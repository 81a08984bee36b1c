package protocol

import (
	"bytes"
	"encoding/binary"
)

// Sizes of the protocol, in bytes.
const (
	HeaderLength = 5 // type and length of a message behind the start-up
	// messageMax is the largest message that Postgres accepts or sends.
	messageMax = 1<<30 - 1
)

// MessageLength returns the whole length of the message that b begins with,
// type byte included, 0 if the header is not complete yet, and -1 if the header
// is malformed.
func MessageLength(b []byte) int {
	if len(b) < HeaderLength {
		return 0
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n < 4 || n > messageMax {
		return -1
	}
	return 1 + int(n)
}

// CutString splits b behind its first zero byte. ok is false if there is none.
func CutString(b []byte) (text, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return nil, b, false
	}
	return b[:i], b[i+1:], true
}

// AppendMessage appends a message of the given type.
func AppendMessage(dst []byte, kind byte, body ...[]byte) []byte {
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
	ParseComplete = "1\x00\x00\x00\x04"
	BindComplete  = "2\x00\x00\x00\x04"
	CloseComplete = "3\x00\x00\x00\x04"
	// PortalSuspended says that a portal has more rows than were asked for.
	PortalSuspended = "s\x00\x00\x00\x04"
	NoData          = "n\x00\x00\x00\x04"
	ReadyIdle       = "Z\x00\x00\x00\x05I"
	ReadyInBlock    = "Z\x00\x00\x00\x05T"
	ReadyFailed     = "Z\x00\x00\x00\x05E"
)

// Transaction states of ReadyForQuery.
const (
	StatusIdle    = 'I'
	StatusInBlock = 'T'
	StatusFailed  = 'E'
)

// AppendComplete appends a CommandComplete.
func AppendComplete(dst []byte, tag string) []byte {
	dst = append(dst, 'C')
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+len(tag)+1))
	dst = append(dst, tag...)
	return append(dst, 0)
}

const oidText = 25

// AppendTextColumns appends the RowDescription of columns that are texts, of no table.
// formats are those of a Bind.
func AppendTextColumns(dst []byte, names []string, formats []uint16) []byte {
	dst, at := append(dst, 'T', 0, 0, 0, 0), len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(names)))
	for i, name := range names {
		dst = append(append(dst, name...), 0)
		dst = append(dst, 0, 0, 0, 0, 0, 0)
		dst = binary.BigEndian.AppendUint32(dst, oidText)
		dst = append(dst, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // of any length, without a modifier
		format := uint16(0)
		if len(formats) > 0 {
			format = formats[min(i, len(formats)-1)]
		}
		dst = binary.BigEndian.AppendUint16(dst, format)
	}
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-1))
	return dst
}

// AppendRow appends a DataRow, in which nil is NULL.
func AppendRow(dst []byte, values [][]byte) []byte {
	dst, at := append(dst, 'D', 0, 0, 0, 0), len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(values)))
	for _, value := range values {
		if value == nil {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
		dst = append(dst, value...)
	}
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-1))
	return dst
}

// EndsConnection reports whether the body of an ErrorResponse is of a severity
// after which the server leaves.
func EndsConnection(body []byte) bool {
	for len(body) > 1 {
		text, rest, ok := CutString(body[1:])
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

// ErrorCode is the SQLSTATE of an ErrorResponse, "" if it has none.
func ErrorCode(message []byte) string {
	for body := message[HeaderLength:]; len(body) > 1; {
		text, rest, ok := CutString(body[1:])
		if !ok {
			return ""
		}
		if body[0] == 'C' {
			return string(text)
		}
		body = rest
	}
	return ""
}

// ErrorResponse builds an ErrorResponse. severity is ERROR or FATAL, code a
// SQLSTATE; hint may be empty.
func ErrorResponse(severity, code, message, hint string) []byte {
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
	return AppendMessage(nil, 'E', b)
}

// Warning is a NoticeResponse.
func Warning(message, hint string) []byte {
	b := ErrorResponse("WARNING", "01000", message, hint)
	b[0] = 'N'
	return b
}

// Int16s reads a counted list of 16-bit numbers.
func Int16s(b []byte) (list []uint16, rest []byte, ok bool) { return appendInt16s(nil, b) }

// appendInt16s appends what Int16s reads.
func appendInt16s(dst []uint16, b []byte) (list []uint16, rest []byte, ok bool) {
	if len(b) < 2 {
		return dst, b, false
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(b) < 2*n {
		return dst, b, false
	}
	for i := range n {
		dst = append(dst, binary.BigEndian.Uint16(b[2*i:]))
	}
	return dst, b[2*n:], true
}
