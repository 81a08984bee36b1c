package verify

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// picture is what is compared of an answer: its rows in their order, its rows in any
// order, and the tag behind them.
type picture struct {
	rows               uint64
	ordered, unordered uint64
	tag                string
}

var seed = maphash.MakeSeed()

// add takes in the body of a DataRow.
func (p *picture) add(row []byte) {
	p.rows++
	hash := maphash.Bytes(seed, row)
	p.unordered += hash
	var both [16]byte
	binary.LittleEndian.PutUint64(both[:], p.ordered)
	binary.LittleEndian.PutUint64(both[8:], hash)
	p.ordered = maphash.Bytes(seed, both[:])
}

// sameRows reports whether two have the same rows, in whatever order.
func (p *picture) sameRows(o *picture) bool {
	return p.rows == o.rows && p.unordered == o.unordered && p.tag == o.tag
}

// served is the picture of what a client was answered. It reports false if that is no
// whole result.
func served(a *answer.Answer) (p picture, ok bool) {
	for kind, message := range protocol.Messages(a.Body) {
		body := message[protocol.HeaderLength:]
		switch kind {
		case 'D':
			p.add(body)
		case 'C':
			tag, _, terminated := protocol.CutString(body)
			p.tag, ok = string(tag), terminated
		default:
			return p, false
		}
	}
	return p, ok
}

// appendRow appends the body of a DataRow with these values.
func appendRow(dst []byte, values [][]byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(values)))
	for _, value := range values {
		if value == nil {
			dst = binary.BigEndian.AppendUint32(dst, ^uint32(0))
			continue
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(value))), value...)
	}
	return dst
}
