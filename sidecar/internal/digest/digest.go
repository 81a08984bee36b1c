package digest

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest names a text: 128 bits of its SHA-256.
type Digest [16]byte

// Of names what its parts are together. Parts divided otherwise have the same name: see
// AppendParts.
func Of(parts ...[]byte) Digest {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	var d Digest
	copy(d[:], h.Sum(nil))
	return d
}

// AppendParts appends texts, some of them NULL, so that no others give the same bytes.
func AppendParts(dst []byte, parts [][]byte) []byte {
	for _, part := range parts {
		length := int32(len(part))
		if part == nil {
			length = -1
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(length)), part...)
	}
	return dst
}
