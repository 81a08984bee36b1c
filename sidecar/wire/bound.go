package wire

import (
	"encoding/binary"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// boundValues reads the parameters of a Bind message, given what follows its
// two names: format codes, values, result format codes.
func boundValues(b []byte) ([]analysis.Value, bool) {
	formats, b, ok := protocol.Int16s(b)
	if !ok || len(b) < 2 {
		return nil, false
	}
	values := make([]analysis.Value, binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(formats) > 1 && len(formats) != len(values) {
		return nil, false
	}
	for i := range values {
		if len(b) < 4 {
			return nil, false
		}
		n := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		switch len(formats) {
		case 0:
		case 1:
			values[i].Binary = formats[0] == 1
		default:
			values[i].Binary = formats[i] == 1
		}
		if n < 0 {
			values[i].Null = true
			continue
		}
		if n > len(b) {
			return nil, false
		}
		values[i].Data = b[:n:n]
		b = b[n:]
	}
	_, b, ok = protocol.Int16s(b)
	return values, ok && len(b) == 0
}
