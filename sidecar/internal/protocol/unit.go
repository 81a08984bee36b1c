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
// whole from the cache or goes upstream as a whole. A Flush in it asks for what there is so
// far: where its Sync has come too, all of it is there at once, and the Flush is a part of
// the group.
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
			at += length
			if held[at-length] == 'S' {
				return UnitGroup, at
			}
			if !endsSoon(held[at:]) {
				return UnitPart, at
			}
			continue
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

// behindFlushMax bounds the messages that are looked at for the Sync of a Flush.
const behindFlushMax = 16

// endsSoon reports whether the messages behind a Flush lead to a Sync that has come.
func endsSoon(held []byte) bool {
	for range behindFlushMax {
		n := MessageLength(held)
		if n <= 0 || n > len(held) {
			return false
		}
		switch held[0] {
		case 'S':
			return true
		case 'P', 'B', 'D', 'E', 'C', 'H':
			held = held[n:]
		default:
			return false
		}
	}
	return false
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
