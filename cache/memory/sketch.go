package memory

import "encoding/binary"

const (
	// sketchShare is how many bytes of values have one counter. An item of a thousand
	// has eight, two for each of its places: enough for all that are asked for in the
	// time that they are remembered.
	sketchShare = 128
	sketchMin   = 1 << 10
	sketchMax   = 1 << 25
	// sketchPlaces is how many counters a key has. The least of them counts, because
	// the others have more of other keys.
	sketchPlaces = 4
)

// sketch says how often keys were asked for that are not held: about, and never too
// little. Its user locks.
type sketch struct{ counters []uint8 }

func newSketch(maxBytes int64) sketch {
	n := sketchMin
	for int64(n) < maxBytes/sketchShare && n < sketchMax {
		n <<= 1
	}
	return sketch{make([]uint8, n)}
}

// places calls visit with each counter of a key.
func (s sketch) places(hash uint64, visit func(*uint8)) {
	const spread = 0x9e3779b97f4a7c15
	step := hash*spread>>32 | 1
	for i := range uint64(sketchPlaces) {
		visit(&s.counters[(hash+i*step)&uint64(len(s.counters)-1)])
	}
}

// count returns how often a key was asked for.
func (s sketch) count(hash uint64) uint8 {
	least := uint8(usesMax)
	s.places(hash, func(c *uint8) { least = min(least, *c) })
	return least
}

// raise makes the count of a key at least n.
func (s sketch) raise(hash uint64, n uint8) {
	s.places(hash, func(c *uint8) { *c = max(*c, n) })
}

// halve makes every count half, eight at a time.
func (s sketch) halve() {
	const highBitsOff = 0x7f7f7f7f7f7f7f7f
	for i := 0; i < len(s.counters); i += 8 {
		eight := s.counters[i : i+8]
		binary.NativeEndian.PutUint64(eight, binary.NativeEndian.Uint64(eight)>>1&highBitsOff)
	}
}
