package wire

import (
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// boundValues reads the parameters of a Bind message, given what follows its
// two names: format codes, values, result format codes.
func boundValues(b []byte) ([]analysis.Value, bool) {
	bound, ok := protocol.ReadBound(b)
	if !ok {
		return nil, false
	}
	values := make([]analysis.Value, len(bound.Values))
	for i, data := range bound.Values {
		values[i] = analysis.Value{Data: data, Null: data == nil, Binary: bound.Binary(i)}
	}
	return values, true
}
