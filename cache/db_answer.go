package cache

import (
	"encoding/binary"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
)

// answer is what Postgres answered to a statement: its rows as bytes, each value behind
// its length, and the command tag. It does not change once it is kept.
type answer struct {
	rows []byte
	tag  string
}

// answerSize is what an answer takes besides its rows, in bytes.
const answerSize = 64

// Size implements engine.Payload.
func (a *answer) Size() int { return cap(a.rows) + len(a.tag) + answerSize }

// AppendBinary implements engine.Payload.
func (a *answer) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(binary.AppendUvarint(dst, uint64(len(a.tag))), a.tag...)
	return append(dst, a.rows...), nil
}

// add adds a row.
func (a *answer) add(values [][]byte) { a.rows = appendParts(a.rows, values) }

// commandTag is the tag as pgx gives it.
func (a *answer) commandTag() pgconn.CommandTag { return pgconn.NewCommandTag(a.tag) }

var errAnswer = errors.New("decode an answer: not what this release writes")

// decodeAnswer reads answers with a number of columns from the second tier.
func decodeAnswer(columns int) engine.Decode {
	return func(src []byte) (engine.Payload, error) {
		length, n := binary.Uvarint(src)
		if n <= 0 || length > uint64(len(src)-n) {
			return nil, errAnswer
		}
		a := &answer{tag: string(src[n : n+int(length)]), rows: src[n+int(length):]}
		if !wholeRows(a.rows, columns) {
			return nil, errAnswer
		}
		return a, nil
	}
}

// wholeRows reports whether bytes are rows of so many values.
func wholeRows(rows []byte, columns int) bool {
	for len(rows) > 0 {
		for range columns {
			_, rest, ok := takePart(rows)
			if !ok {
				return false
			}
			rows = rest
		}
		if columns == 0 {
			return false
		}
	}
	return true
}

// takePart takes what appendPart appended.
func takePart(src []byte) (part, rest []byte, ok bool) {
	if len(src) < 4 {
		return nil, nil, false
	}
	length := int32(binary.BigEndian.Uint32(src))
	src = src[4:]
	switch {
	case length == -1:
		return nil, src, true
	case length < 0 || int(length) > len(src):
		return nil, nil, false
	}
	return src[:length:length], src[length:], true
}
