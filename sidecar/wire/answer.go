package wire

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// answer is the payload of a cache entry: messages as Postgres sent them.
type answer struct {
	// description is the RowDescription, or for a described statement the
	// ParameterDescription and the RowDescription or NoData. It may be empty.
	description []byte
	// body is the rows and the CommandComplete or PortalSuspended.
	body []byte
	// described is the last result of told.
	described atomic.Pointer[description.Description]
}

// Size returns the bytes that the answer holds.
func (a *answer) Size() int { return len(a.description) + len(a.body) }

// AppendBinary appends the form that decodeAnswer reads.
func (a *answer) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.AppendUvarint(dst, uint64(len(a.description)))
	dst = append(dst, a.description...)
	return append(dst, a.body...), nil
}

var errAnswerBytes = errors.New("decode answer: malformed bytes")

// decodeAnswer reads what AppendBinary wrote. The messages inside are checked
// to be whole, since they go to a client unseen.
func decodeAnswer(src []byte) (engine.Payload, error) {
	n, width := binary.Uvarint(src)
	if width <= 0 || n > uint64(len(src)-width) {
		return nil, errAnswerBytes
	}
	a := &answer{description: src[width : width+int(n)], body: src[width+int(n):]}
	if !wholeMessages(a.description) || !wholeMessages(a.body) {
		return nil, errAnswerBytes
	}
	return a, nil
}

func wholeMessages(b []byte) bool {
	for len(b) > 0 {
		n := protocol.MessageLength(b)
		if n <= 0 || n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}
