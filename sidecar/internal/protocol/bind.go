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
	ok = r.Read(b)
	return r, ok
}

// Read makes r what ReadBound returns, with the room that r has.
func (r *Bound) Read(b []byte) (ok bool) {
	r.Values, r.ResultFormats = r.Values[:0], r.ResultFormats[:0]
	r.Formats, b, ok = appendInt16s(r.Formats[:0], b)
	if !ok || len(b) < 2 {
		return false
	}
	values := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(r.Formats) > 1 && len(r.Formats) != values {
		return false
	}
	for range values {
		if len(b) < 4 {
			return false
		}
		n := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		switch {
		case n < 0:
			r.Values = append(r.Values, nil)
			continue
		case n > len(b):
			return false
		}
		r.Values = append(r.Values, b[:n:n])
		b = b[n:]
	}
	r.ResultFormats, b, ok = appendInt16s(r.ResultFormats, b)
	return ok && len(b) == 0
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
