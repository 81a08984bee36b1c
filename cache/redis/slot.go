package redis

import "strings"

const (
	// slotCount is the number of slots that a Redis Cluster has, for ever.
	slotCount = 16384
	// clusterParts is how many parts a Cluster's slots are divided into, each with
	// a breaker of its own: nodes have ranges of slots, and one that hangs must not
	// cost the readers of the others, nor be hidden by the others' success.
	clusterParts = 64
)

// partOf returns the part that a key is in.
func partOf(key string, parts int) int {
	if parts == 1 {
		return 0
	}
	return int(slotOf(key)) * parts / slotCount
}

// slotOf returns the slot of a key in a Redis Cluster: the CRC16 (XMODEM) of what
// stands between its first brace and the next closing one, if that is
// something, or of the key.
func slotOf(key string) uint16 {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	const polynomial = 0x1021
	var sum uint16
	for i := range len(key) {
		sum ^= uint16(key[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ polynomial
			} else {
				sum <<= 1
			}
		}
	}
	return sum % slotCount
}
