package protocol

// UnitKind classifies what is handled at once.
type UnitKind int

const (
	UnitIncomplete UnitKind = iota // more bytes are needed
	UnitMalformed                  // no client of Postgres sends this
	UnitQuery                      // one simple Query
	UnitGroup                      // extended messages up to and including Sync
	UnitPart                       // extended messages without a Sync
	UnitCall                       // one FunctionCall
	UnitCopy                       // one CopyData, CopyDone or CopyFail
	UnitTerminate                  // Terminate
)

// NextUnit finds the first unit in the bytes that a client sent. n is its
// length.
//
// A group up to a Sync is one transaction to Postgres, so it is answered as a
// whole from the cache or goes upstream as a whole.
func NextUnit(held []byte) (kind UnitKind, n int) {
	at := 0
	for at < len(held) {
		length := MessageLength(held[at:])
		first := at == 0
		switch held[at] {
		case 'P', 'B', 'D', 'E', 'C':
			if length < 0 {
				return UnitMalformed, 0
			}
			if length == 0 || at+length > len(held) {
				return UnitIncomplete, at
			}
			at += length
			continue
		case 'S', 'H':
			if length < 0 {
				return UnitMalformed, 0
			}
			if length == 0 || at+length > len(held) {
				return UnitIncomplete, at
			}
			if held[at] == 'S' {
				return UnitGroup, at + length
			}
			return UnitPart, at + length
		case 'Q':
			kind = UnitQuery
		case 'F':
			kind = UnitCall
		case 'd', 'c', 'f':
			kind = UnitCopy
		case 'X':
			kind = UnitTerminate
		default:
			return UnitMalformed, 0
		}
		if !first {
			return UnitPart, at
		}
		if length < 0 {
			return UnitMalformed, 0
		}
		if length == 0 || length > len(held) {
			return UnitIncomplete, 0
		}
		return kind, length
	}
	return UnitIncomplete, at
}

// Messages iterates over the whole messages of a unit.
func Messages(unit []byte) func(yield func(kind byte, message []byte) bool) {
	return func(yield func(byte, []byte) bool) {
		for len(unit) >= HeaderLength {
			n := MessageLength(unit)
			if n <= 0 || n > len(unit) || !yield(unit[0], unit[:n]) {
				return
			}
			unit = unit[n:]
		}
	}
}
