package rules

import (
	"crypto/sha256"
	"encoding/hex"
)

// shapeIDBytes is how many bytes name a shape: enough that among ten thousand shapes two
// have one name once in a hundred sidecars.
const shapeIDBytes = 4

// ShapeID names the shape of this text, without a value in it, by eight hexadecimal digits:
// the same in every process.
func ShapeID(text string) string {
	sum := sha256.Sum256([]byte(collapse(text)))
	return hex.EncodeToString(sum[:shapeIDBytes])
}

// IsShapeID reports whether text can be the name of a shape.
func IsShapeID(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == shapeIDBytes
}
