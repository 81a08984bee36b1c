package protocol

import "encoding/binary"

// Bound is what a Bind message says behind its two names.
type Bound struct {
	// Formats are the codes of the values: none, one for all, or one for each.
	Formats []uint16
	// Values are in the message; one that is NULL is nil, one that is empty is not.
	Values [][]byte
	// ResultFormats are the codes of the columns of the result.
	ResultFormats []uint16
}

// ReadBound reads a Bind message behind its names.
func ReadBound(b []byte) (r Bound, ok bool) {
	r.Formats, b, ok = Int16s(b)
	if !ok || len(b) < 2 {
		return r, false
	}
	r.Values = make([][]byte, binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(r.Formats) > 1 && len(r.Formats) != len(r.Values) {
		return r, false
	}
	for i := range r.Values {
		if len(b) < 4 {
			return r, false
		}
		n := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if n < 0 {
			continue
		}
		if n > len(b) {
			return r, false
		}
		r.Values[i] = b[:n:n]
		b = b[n:]
	}
	r.ResultFormats, b, ok = Int16s(b)
	return r, ok && len(b) == 0
}

// Binary reports whether a value is in the binary format.
func (r *Bound) Binary(value int) bool {
	switch len(r.Formats) {
	case 0:
		return false
	case 1:
		return r.Formats[0] == 1
	default:
		return r.Formats[value] == 1
	}
}
