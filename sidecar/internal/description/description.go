package description

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"

	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// Description is what a client was told of a statement. A nil one is nothing.
type Description struct {
	// Rows is of the names and types of its columns, Params of the types of its
	// parameters, zero if the client was told only of the columns.
	Rows, Params digest.Digest
	// key stands for both in keys.
	key digest.Digest
	// Types is the body of the ParameterDescription, nil as Params is zero.
	Types []byte
	// Own is set if Postgres itself has said so of this very statement, as it holds it.
	Own bool
	// kind and heard are the message that said so of its columns, and its body; 0 if there
	// was none.
	kind  byte
	heard []byte
}

// Heard describes a statement by what Postgres says of it: the body of its RowDescription
// (kind 'T'), or of NoData ('n'); types is as for New.
func Heard(kind byte, body, types []byte) *Description {
	d := New(OfRows(kind, body), types, true)
	d.kind, d.heard = kind, bytes.Clone(body)
	return d
}

// Repeats reports whether the description of a portal says of its columns what is known from
// Postgres: such comes with every execution of it, and names nothing anew; d may be nil.
func (d *Description) Repeats(kind byte, body []byte) bool {
	return d != nil && d.Own && d.kind == kind && (kind == 'n' || sameColumns(d.heard, body))
}

// sameColumns reports whether OfRows gives the bodies of two RowDescriptions one name, where
// that can be told without making it. One that is not whole is like no other.
func sameColumns(a, b []byte) bool {
	if len(a) != len(b) || len(a) < 2 || a[0] != b[0] || a[1] != b[1] {
		return false
	}
	n := int(binary.BigEndian.Uint16(a))
	a, b = a[2:], b[2:]
	for range n {
		nameA, restA, okA := protocol.CutString(a)
		nameB, restB, okB := protocol.CutString(b)
		if !okA || !okB || len(restA) < 18 || len(restB) < 18 || !bytes.Equal(nameA, nameB) || !bytes.Equal(restA[6:16], restB[6:16]) {
			return false
		}
		a, b = restA[18:], restB[18:]
	}
	return true
}

// New describes a statement whose columns have the name rows (see OfRows); types is the
// body of its ParameterDescription, nil if there was none.
func New(rows digest.Digest, types []byte, own bool) *Description {
	d := &Description{Rows: rows, key: rows, Types: types, Own: own}
	if types != nil {
		d.Params = ofParams(types)
		d.key = digest.Of(d.Params[:], rows[:])
	}
	return d
}

// As is the same description, of which own says whether it is Postgres' own.
func (d *Description) As(own bool) *Description { return New(d.Rows, d.Types, own) }

// Agrees reports whether a client can have been told both of one statement.
func (d *Description) Agrees(other *Description) bool {
	unknown := digest.Digest{}
	return d.Rows == other.Rows && (d.Params == other.Params || d.Params == unknown || other.Params == unknown)
}

// Key is what keys have of what was told; d may be nil.
func (d *Description) Key() digest.Digest {
	if d == nil {
		return digest.Digest{}
	}
	return d.key
}

// OfRows names what the body of a RowDescription (kind 'T'), or of NoData ('n'), says of
// columns: all but their formats, and the table's columns that they are of, which may be
// replaced by others of the same name and type. A body that is not whole is like no
// other.
func OfRows(kind byte, body []byte) digest.Digest {
	if kind == 'n' {
		return digest.Of([]byte{kind})
	}
	if len(body) < 2 {
		return likeNoOther()
	}
	n := int(binary.BigEndian.Uint16(body))
	named := make([]byte, 0, len(body))
	body = body[2:]
	for range n {
		name, rest, ok := protocol.CutString(body)
		if !ok || len(rest) < 18 {
			return likeNoOther()
		}
		named = append(append(named, name...), 0)
		named = append(named, rest[6:16]...) // type, its length, its modifier
		body = rest[18:]
	}
	return digest.Of([]byte{kind}, named)
}

// ofParams names the body of a ParameterDescription.
func ofParams(body []byte) digest.Digest {
	if len(body) < 2 || len(body) != 2+4*int(binary.BigEndian.Uint16(body)) {
		return likeNoOther()
	}
	return digest.Of([]byte{'t'}, body)
}

func likeNoOther() (d digest.Digest) {
	_, _ = rand.Read(d[:]) // which never fails
	return d
}
