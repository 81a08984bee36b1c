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

// MarshalText writes the size exactly.
func (b byteSize) MarshalText() ([]byte, error) {
	for _, unit := range []struct {
		size byteSize
		name string
	}{{humanize.GiByte, "GiB"}, {humanize.MiByte, "MiB"}, {humanize.KiByte, "KiB"}} {
		if b != 0 && b%unit.size == 0 {
			return fmt.Appendf(nil, "%d%s", b/unit.size, unit.name), nil
		}
	}
	return fmt.Appendf(nil, "%d", b), nil
}
