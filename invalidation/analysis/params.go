package analysis

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// Params gives the values of one execution. Bound[i] is $i+1. Literals are those
// of the execution's own [Template], in order; nil means that the statement is,
// byte for byte, the one that was analysed. Joined are the values that lookups
// found (see [Verdict.LookupSQL]); nil, or nil for one of them, means the whole
// table joined to.
type Params struct {
	Bound    []Value
	Literals []Literal
	Joined   [][]string
}

// Value is one bound parameter as it came over the wire.
type Value struct {
	Data   []byte
	Binary bool
	Null   bool
}

// canonicalText returns what Postgres prints for the value as ::text; ok is
// false when it cannot be told with certainty.
func canonicalText(typ uint32, v Value) (string, bool) {
	if v.Binary {
		return canonicalBinary(typ, v.Data)
	}
	return CanonicalInput(typ, string(v.Data))
}

// CanonicalInput reads a value's text form as the input function of a type does, and
// returns what Postgres prints for it: the value's spelling in a tag. ok is false when
// it cannot be told with certainty, and for types whose values have no tags.
func CanonicalInput(typ uint32, text string) (string, bool) {
	switch typ {
	case typeText, typeVarchar:
		return text, true
	case typeInt2:
		return canonicalInt(text, 16)
	case typeInt4:
		return canonicalInt(text, 32)
	case typeInt8:
		return canonicalInt(text, 64)
	case typeBool:
		return canonicalBool(text)
	case typeUUID:
		return canonicalUUID(text)
	}
	return "", false
}

// canonicalMax is the longest text, in bytes, that appendCanonical makes of another one.
const canonicalMax = 20

// appendCanonical is canonicalText for the types whose values are most often bound, without
// an allocation. It appends to dst, or returns a part of the value; ok is false for what it
// leaves to canonicalText.
func appendCanonical(dst []byte, typ uint32, v Value) (text []byte, ok bool) {
	switch typ {
	case typeText, typeVarchar:
		return v.Data, true
	case typeInt2:
		return appendCanonicalInt(dst, v, 2)
	case typeInt4:
		return appendCanonicalInt(dst, v, 4)
	case typeInt8:
		return appendCanonicalInt(dst, v, 8)
	}
	return nil, false
}

// appendCanonicalInt reads an integer of some bytes.
func appendCanonicalInt(dst []byte, v Value, bytes int) (text []byte, ok bool) {
	var n int64
	switch {
	case !v.Binary:
		if len(v.Data) > canonicalMax {
			return nil, false
		}
		var err error
		if n, err = strconv.ParseInt(string(v.Data), 10, 8*bytes); err != nil {
			return nil, false
		}
	case len(v.Data) != bytes:
		return nil, false
	case bytes == 2:
		n = int64(int16(binary.BigEndian.Uint16(v.Data)))
	case bytes == 4:
		n = int64(int32(binary.BigEndian.Uint32(v.Data)))
	default:
		n = int64(binary.BigEndian.Uint64(v.Data))
	}
	return strconv.AppendInt(dst, n, 10), true
}

func trimSpace(text string) string { return strings.Trim(text, " \t\n\v\f\r") }

func canonicalInt(text string, bits int) (string, bool) {
	n, err := strconv.ParseInt(trimSpace(text), 10, bits)
	if err != nil {
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

func canonicalBool(text string) (string, bool) {
	switch strings.ToLower(trimSpace(text)) {
	case "t", "true", "y", "yes", "on", "1":
		return "true", true
	case "f", "false", "n", "no", "off", "0":
		return "false", true
	}
	return "", false
}

// canonicalUUID accepts what everyone sends: 32 hex digits, hyphens between
// groups of four or none, braces or none.
func canonicalUUID(text string) (string, bool) {
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
		text = text[1 : len(text)-1]
	}
	digits := strings.ReplaceAll(text, "-", "")
	var b [16]byte
	if len(digits) != 32 {
		return "", false
	}
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil {
		return "", false
	}
	return uuidText(b[:]), true
}

func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// canonicalBinary reads a value's binary form.
func canonicalBinary(typ uint32, b []byte) (string, bool) {
	switch typ {
	case typeText, typeVarchar:
		return string(b), true
	case typeInt2:
		if len(b) == 2 {
			return strconv.FormatInt(int64(int16(binary.BigEndian.Uint16(b))), 10), true
		}
	case typeInt4:
		if len(b) == 4 {
			return strconv.FormatInt(int64(int32(binary.BigEndian.Uint32(b))), 10), true
		}
	case typeInt8:
		if len(b) == 8 {
			return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10), true
		}
	case typeBool:
		if len(b) == 1 && b[0] <= 1 {
			return strconv.FormatBool(b[0] == 1), true
		}
	case typeUUID:
		if len(b) == 16 {
			return uuidText(b), true
		}
	}
	return "", false
}

// arrayTexts returns the canonical texts of a one-dimensional array's elements,
// NULLs left out: nothing equals them.
func arrayTexts(element uint32, v Value, limit int) ([]string, bool) {
	if v.Binary {
		return binaryArray(element, v.Data, limit)
	}
	return textArray(element, string(v.Data), limit)
}

// binaryArray reads dimensions, a flag, the element type, per dimension a length
// and a lower bound, and then length-prefixed elements.
func binaryArray(element uint32, b []byte, limit int) ([]string, bool) {
	if len(b) < 12 || binary.BigEndian.Uint32(b[8:]) != element {
		return nil, false
	}
	dimensions := binary.BigEndian.Uint32(b)
	if dimensions == 0 {
		return nil, len(b) == 12
	}
	if dimensions != 1 || len(b) < 20 {
		return nil, false
	}
	n := binary.BigEndian.Uint32(b[12:])
	if n > uint32(limit) {
		return nil, false
	}
	b = b[20:]
	var out []string
	for range n {
		if len(b) < 4 {
			return nil, false
		}
		size := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if size == -1 {
			continue
		}
		if size < 0 || int(size) > len(b) {
			return nil, false
		}
		text, ok := canonicalBinary(element, b[:size])
		if !ok {
			return nil, false
		}
		out, b = append(out, text), b[size:]
	}
	return out, len(b) == 0
}

// textArray reads {a,"b c",NULL}. Escapes and nested or decorated arrays are
// left to the whole-table tag. An unquoted NULL counts as a value too, since
// array_nulls = off makes it one.
func textArray(element uint32, text string, limit int) ([]string, bool) {
	text = trimSpace(text)
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' || strings.ContainsRune(text, '\\') {
		return nil, false
	}
	rest := text[1 : len(text)-1]
	if trimSpace(rest) == "" {
		return nil, true
	}
	var out []string
	for len(out) < limit {
		item, after, quoted, ok := arrayItem(rest)
		if !ok {
			return nil, false
		}
		value, ok := CanonicalInput(element, item)
		switch {
		case ok:
			out = append(out, value)
		case quoted || !strings.EqualFold(item, "null"):
			return nil, false
		}
		if after == "" {
			return out, true
		}
		rest = after[1:]
	}
	return nil, false
}

// arrayItem cuts the first item off; after begins with the comma, or is empty.
func arrayItem(text string) (item, after string, quoted, ok bool) {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	if strings.HasPrefix(text, `"`) {
		end := strings.IndexByte(text[1:], '"')
		if end < 0 {
			return "", "", true, false
		}
		item, after = text[1:1+end], strings.TrimLeft(text[end+2:], " \t\n\v\f\r")
		return item, after, true, after == "" || after[0] == ','
	}
	end := strings.IndexByte(text, ',')
	if end < 0 {
		end = len(text)
	}
	item = trimSpace(text[:end])
	return item, text[end:], false, item != "" && !strings.ContainsAny(item, `{}"`)
}
