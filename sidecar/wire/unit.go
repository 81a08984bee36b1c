package wire

// unitKind classifies what is handled at once.
type unitKind int

const (
	unitIncomplete unitKind = iota // more bytes are needed
	unitMalformed                  // no client of Postgres sends this
	unitQuery                      // one simple Query
	unitGroup                      // extended messages up to and including Sync
	unitPart                       // extended messages without a Sync
	unitCall                       // one FunctionCall
	unitCopy                       // one CopyData, CopyDone or CopyFail
	unitTerminate                  // Terminate
)

// nextUnit finds the first unit in the bytes that a client sent. n is its
// length.
//
// A group up to a Sync is one transaction to Postgres, so it is answered as a
// whole from the cache or goes upstream as a whole.
func nextUnit(held []byte) (kind unitKind, n int) {
	at := 0
	for at < len(held) {
		length := messageLength(held[at:])
		first := at == 0
		switch held[at] {
		case 'P', 'B', 'D', 'E', 'C':
			if length < 0 {
				return unitMalformed, 0
			}
			if length == 0 || at+length > len(held) {
				return unitIncomplete, at
			}
			at += length
			continue
		case 'S', 'H':
			if length < 0 {
				return unitMalformed, 0
			}
			if length == 0 || at+length > len(held) {
				return unitIncomplete, at
			}
			if held[at] == 'S' {
				return unitGroup, at + length
			}
			return unitPart, at + length
		case 'Q':
			kind = unitQuery
		case 'F':
			kind = unitCall
		case 'd', 'c', 'f':
			kind = unitCopy
		case 'X':
			kind = unitTerminate
		default:
			return unitMalformed, 0
		}
		if !first {
			return unitPart, at
		}
		if length < 0 {
			return unitMalformed, 0
		}
		if length == 0 || length > len(held) {
			return unitIncomplete, 0
		}
		return kind, length
	}
	return unitIncomplete, at
}

// messages iterates over the whole messages of a unit.
func messages(unit []byte) func(yield func(kind byte, message []byte) bool) {
	return func(yield func(byte, []byte) bool) {
		for len(unit) >= headerLength {
			n := messageLength(unit)
			if n <= 0 || n > len(unit) || !yield(unit[0], unit[:n]) {
				return
			}
			unit = unit[n:]
		}
	}
}
