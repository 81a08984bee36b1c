package answer

import (
	"encoding/binary"

	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
)

// Form is which messages an answer consists of. Answers of two forms have two keys.
type Form byte

// The forms of an answer.
const (
	Query       Form = 'Q' // simple query: description, rows, tag
	Rows        Form = 'E' // Bind, Execute: rows, tag; what the client was told of them is in the key
	Described   Form = 'D' // Bind, Describe portal, Execute: description, rows, tag
	Description Form = 'S' // Describe statement: parameters and description

	// With a row limit, which ends the key: rows, then a tag or PortalSuspended.
	RowsLimited      Form = 'e'
	DescribedLimited Form = 'd'
)

// DescribesNothing reports whether an answer of the form are rows alone.
func (f Form) DescribesNothing() bool { return f == Rows || f == RowsLimited }

// Key is everything that determines an answer.
type Key struct {
	// State names the settings, the role and the database of the session.
	State *digest.Digest
	Form  Form
	// Statement names the text of a prepared statement and its parameters' types, nil for
	// a Query.
	Statement *digest.Digest
	// Told is what the client was told of rows without a description of their own, nil if
	// nothing.
	Told *description.Description
	// Bound is the Bind message behind the names, or the text of a Query.
	Bound []byte
	// Limit is the most rows, 0 for all of them.
	Limit uint32
}

// Where the parts of a key lie that are looked at, or filled in later.
const (
	formAt = len(digest.Digest{})
	toldAt = formAt + 1 + len(digest.Digest{})
)

// TextOfQuery is the text in the key of a Query.
func TextOfQuery(key []byte) []byte { return key[formAt+1:] }

// AppendTo appends the bytes of a key: no other key has the same. They are compared as a
// whole on every hit.
func (k *Key) AppendTo(dst []byte) []byte {
	dst = append(dst, k.State[:]...)
	dst = append(dst, byte(k.Form))
	if k.Statement != nil {
		dst = append(dst, k.Statement[:]...)
	}
	if k.Form.DescribesNothing() {
		told := k.Told.Key()
		dst = append(dst, told[:]...)
	}
	dst = append(dst, k.Bound...)
	if k.Limit != 0 {
		dst = binary.BigEndian.AppendUint32(dst, k.Limit)
	}
	return dst
}

// AppendQueryKey appends what AppendTo makes of the key of a Query. To fill a Key and to read
// it again takes a tenth of the time of such a hit.
func AppendQueryKey(dst []byte, state *digest.Digest, text []byte) []byte {
	dst = append(dst, state[:]...)
	dst = append(dst, byte(Query))
	return append(dst, text...)
}
