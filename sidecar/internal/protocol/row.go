package protocol

import "encoding/binary"

// DataRow splits the body of a DataRow. A NULL column is nil.
func DataRow(body []byte) ([][]byte, bool) {
	if len(body) < 2 {
		return nil, false
	}
	columns := make([][]byte, binary.BigEndian.Uint16(body))
	body = body[2:]
	for i := range columns {
		if len(body) < 4 {
			return nil, false
		}
		n := int(int32(binary.BigEndian.Uint32(body)))
		body = body[4:]
		if n < 0 {
			continue
		}
		if n > len(body) {
			return nil, false
		}
		columns[i] = body[:n:n]
		body = body[n:]
	}
	return columns, len(body) == 0
}
