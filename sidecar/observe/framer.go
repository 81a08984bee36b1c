package observe

import "github.com/freshet/freshet/sidecar/internal/protocol"

// keptMax is the longest message that is looked into, in bytes: longer ones the cache
// passes through.
const keptMax = 256 << 10

// framer finds messages in what comes in pieces. The zero value is at the beginning of one.
type framer struct {
	// held is the beginning of a message whose rest has not come yet.
	held []byte
	// skip is how much of a message is still to come that nobody looks into.
	skip int
	// lost is set when something came that is no message: nothing can be told from then on.
	lost bool
}

// each calls found for every message that b begins, or completes: with its body if that is
// wanted and not too long, else with nil.
func (f *framer) each(b []byte, wants func(kind byte) bool, found func(kind byte, body []byte, length int)) {
	for len(b) > 0 && !f.lost {
		switch {
		case f.skip > 0:
			n := min(f.skip, len(b))
			f.skip -= n
			b = b[n:]
		case len(f.held) > 0:
			b = f.complete(b, wants, found)
		default:
			n := f.take(b, wants, found)
			if n == 0 && !f.lost {
				f.held = append(f.held, b...)
				return
			}
			b = b[n:]
		}
	}
}

// complete adds to what is held what is missing of the header, or else of the message, and
// returns the rest.
func (f *framer) complete(b []byte, wants func(kind byte) bool, found func(kind byte, body []byte, length int)) []byte {
	missing := protocol.HeaderLength - len(f.held)
	if missing <= 0 {
		missing = protocol.MessageLength(f.held) - len(f.held)
	}
	n := min(missing, len(b))
	f.held = append(f.held, b[:n]...)
	if f.take(f.held, wants, found) > 0 {
		f.held = f.held[:0]
	}
	return b[n:]
}

// take deals with the message that b begins with, and returns how much of b that is; 0 if
// more of it is needed.
func (f *framer) take(b []byte, wants func(kind byte) bool, found func(kind byte, body []byte, length int)) int {
	length := protocol.MessageLength(b)
	switch {
	case length < 0:
		f.lost = true
		return 0
	case length == 0:
		return 0
	case !wants(b[0]) || length > keptMax:
		found(b[0], nil, length)
		f.skip = max(0, length-len(b))
		return min(length, len(b))
	case length > len(b):
		return 0
	}
	found(b[0], b[protocol.HeaderLength:length], length)
	return length
}
