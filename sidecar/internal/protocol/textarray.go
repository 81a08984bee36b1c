package protocol

import "bytes"

// ParseTextArray reads an array of texts as Postgres prints it; a NULL is nil.
func ParseTextArray(text []byte) (parts [][]byte, ok bool) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, false
	}
	for rest := text[1 : len(text)-1]; len(rest) > 0; {
		var part []byte
		if rest[0] == '"' {
			part, rest, ok = cutQuoted(rest)
		} else {
			n := bytes.IndexByte(rest, ',')
			if n < 0 {
				n = len(rest)
			}
			part, rest, ok = rest[:n], rest[n:], n > 0
			if string(part) == "NULL" {
				part = nil
			}
		}
		if !ok || len(rest) > 0 && (rest[0] != ',' || len(rest) == 1) {
			return nil, false
		}
		parts = append(parts, part)
		rest = rest[min(1, len(rest)):]
	}
	return parts, true
}

// cutQuoted cuts off the quoted element that text begins with.
func cutQuoted(text []byte) (element, rest []byte, ok bool) {
	element = []byte{}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return element, text[i+1:], true
		case '\\':
			i++
			if i == len(text) {
				return nil, nil, false
			}
		}
		element = append(element, text[i])
	}
	return nil, nil, false
}
