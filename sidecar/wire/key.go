package wire

import "github.com/freshet/freshet/sidecar/internal/digest"

// The shapes of an answer. Each holds other messages, so each has its own key.
const (
	shapeSimple      = 'Q' // simple query: description, rows, tag
	shapeExecute     = 'E' // Bind, Execute: rows, tag; what the client was told of them is in the key
	shapeDescribed   = 'D' // Bind, Describe portal, Execute: description, rows, tag
	shapeDescription = 'S' // Describe statement: parameters and description

	// With a row limit, which ends the key: rows, then a tag or PortalSuspended.
	shapeLimited          = 'e'
	shapeDescribedLimited = 'd'
)

// toldAt is where a key of rows without a description has what the client was told.
const toldAt = len(digest.Digest{}) + 1 + len(digest.Digest{})

// A key is everything that determines an answer: the settings, role and
// database of the session (state), the shape, the statement, and the bytes that
// were bound to it. It is compared as a whole on every hit.
func appendKey(dst []byte, state *digest.Digest, shape byte, statement *digest.Digest, bound []byte) []byte {
	dst = append(dst, state[:]...)
	dst = append(dst, shape)
	if statement != nil {
		dst = append(dst, statement[:]...)
	}
	return append(dst, bound...)
}
