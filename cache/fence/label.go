package fence

import (
	"encoding/binary"
	"errors"
)

// Label bounds the database state that an entry shows.
type Label struct {
	Incarnation Incarnation
	// Lower is included in the state shown: the head that was current before the
	// load's query was sent.
	Lower Snapshot
	// Upper includes the state shown: a head whose look began after the load
	// ended. Zero while no such look has completed.
	Upper Snapshot
	// Replica says that a standby was read, which can show commits that no head
	// includes yet: the state shown has no upper bound, and is for readers that
	// accept bounded staleness alone.
	Replica bool
}

// LabelAt returns the label of a load that begins now, at head h.
func LabelAt(h *Head) Label { return Label{Incarnation: h.Incarnation, Lower: h.Snapshot} }

// incarnationLengthMax bounds a decoded incarnation name, in bytes.
const incarnationLengthMax = 128

var errLabelBytes = errors.New("decode label: malformed bytes")

// The forms of Replica outside the process.
const (
	originPrimary = 0
	originReplica = 1
)

// AppendBinary appends a compact form of l for storage outside the process. If
// the incarnation's name is longer than 128 bytes, DecodeLabel refuses it.
func (l Label) AppendBinary(dst []byte) []byte {
	origin := byte(originPrimary)
	if l.Replica {
		origin = originReplica
	}
	dst = append(dst, origin)
	dst = binary.AppendUvarint(dst, uint64(len(l.Incarnation)))
	dst = append(dst, l.Incarnation...)
	dst = l.Lower.AppendBinary(dst)
	return l.Upper.AppendBinary(dst)
}

// DecodeLabel reads what AppendBinary wrote and returns the bytes behind it.
func DecodeLabel(src []byte) (Label, []byte, error) {
	if len(src) == 0 || src[0] > originReplica {
		return Label{}, nil, errLabelBytes
	}
	replica := src[0] == originReplica
	src = src[1:]
	length, n := binary.Uvarint(src)
	if n <= 0 || length > incarnationLengthMax || uint64(len(src)-n) < length {
		return Label{}, nil, errLabelBytes
	}
	src = src[n:]
	l := Label{Incarnation: Incarnation(src[:length]), Replica: replica}
	src = src[length:]
	var err error
	if l.Lower, src, err = DecodeSnapshot(src); err != nil {
		return Label{}, nil, err
	}
	if l.Upper, src, err = DecodeSnapshot(src); err != nil {
		return Label{}, nil, err
	}
	return l, src, nil
}
