package answer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// Answer is the payload of a cache entry: messages as Postgres sent them.
type Answer struct {
	// Description is the RowDescription, or for a described statement the
	// ParameterDescription and the RowDescription or NoData. It may be empty.
	Description []byte
	// Body is the rows and the CommandComplete or PortalSuspended.
	Body []byte
	// Consented is set if it may be out of date, because its statement accepts that.
	// ByRule is set with it if a rule alone accepts that.
	Consented, ByRule bool
	// tells is the result of Tells, nil before the first.
	tells atomic.Pointer[description.Description]
	// Terms are those that rules put on it, and what it reads, nil before they were asked for. Sessions set it
	// when they know the statement, and compare it with the rules in force before they serve.
	Terms atomic.Pointer[rules.Judged]
	// assumed is a generation of the schema, plus one, while the answer is not certain: see
	// Assume.
	assumed atomic.Uint64
	// Warmed is set if nobody asked for the load: see Capture.Warming.
	Warmed bool
	// reads counts the reads that were answered with it, up to what NoteRead is given.
	reads atomic.Uint32
}

// NoteRead counts a read that is answered with the answer, and returns which one it is. It counts
// up to most, and returns 0 for those beyond: what everybody reads is written to by nobody then.
func (a *Answer) NoteRead(most uint32) (n uint32) {
	if a.reads.Load() >= most {
		return 0
	}
	if n = a.reads.Add(1); n > most {
		return 0
	}
	return n
}

// Assume notes that the answer is right if what was known under a generation of the schema
// was right when it was loaded. Until that is certain it must not be served.
func (a *Answer) Assume(generation uint64) { a.assumed.Store(generation + 1) }

// Assumes returns what Assume noted; ok is false if the answer is certain.
func (a *Answer) Assumes() (generation uint64, ok bool) {
	noted := a.assumed.Load()
	return noted - 1, noted != 0
}

// BeCertain notes that what was assumed is right.
func (a *Answer) BeCertain() { a.assumed.Store(0) }

// Size returns the bytes that the answer holds.
func (a *Answer) Size() int { return len(a.Description) + len(a.Body) }

// Suspended reports whether it ends at a row limit: with a PortalSuspended, whose last byte no
// CommandComplete has.
func (a *Answer) Suspended() bool { return bytes.HasSuffix(a.Body, portalSuspended) }

var portalSuspended = []byte(protocol.PortalSuspended)

// AppendBinary appends the form that Decode reads.
func (a *Answer) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.AppendUvarint(dst, uint64(len(a.Description)))
	dst = append(dst, a.Description...)
	return append(dst, a.Body...), nil
}

var errBytes = errors.New("decode answer: malformed bytes")

// Decode reads what AppendBinary wrote. The messages inside are checked to be whole,
// since they go to a client unseen.
func Decode(src []byte) (engine.Payload, error) {
	n, width := binary.Uvarint(src)
	if width <= 0 || n > uint64(len(src)-width) {
		return nil, errBytes
	}
	a := &Answer{Description: src[width : width+int(n)], Body: src[width+int(n):]}
	if !wholeMessages(a.Description) || !wholeMessages(a.Body) {
		return nil, errBytes
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

// Tells is what an answer tells of its statement. It is found out once.
func (a *Answer) Tells() *description.Description {
	if d := a.tells.Load(); d != nil {
		return d
	}
	var rows digest.Digest
	var types []byte
	for kind, message := range protocol.Messages(a.Description) {
		switch kind {
		case 't':
			types = message[protocol.HeaderLength:]
		default:
			rows = description.OfRows(kind, message[protocol.HeaderLength:])
		}
	}
	d := description.New(rows, types, false)
	a.tells.Store(d)
	return d
}
