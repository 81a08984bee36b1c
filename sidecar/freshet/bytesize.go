package main

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// byteSize is a number of bytes, written like 64MiB, 1GB or 1048576.
type byteSize int64

// UnmarshalText reads a size with or without a unit.
func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size: write a number and a unit, such as 64MiB or 512KiB", text)
	}
	*b = byteSize(n)
	return nil
}

// String writes the size in binary units.
func (b byteSize) String() string { return humanize.IBytes(uint64(max(b, 0))) }
