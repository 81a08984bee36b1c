package fence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// XID is a Postgres transaction id in its 64-bit form (xid8), which never wraps.
type XID uint64

// Snapshot says which transactions are visible: Postgres' pg_snapshot. The
// zero value sees nothing. A Snapshot is immutable and may be shared.
type Snapshot struct {
	xmin, xmax XID
	// inProgress holds the ids in [xmin, xmax) that had not ended, ascending.
	inProgress []XID
}

// NewSnapshot makes a snapshot from its parts: ids below xmin have ended, ids
// from xmax on have not begun, and inProgress lists those between that were
// running. It reports an error if the parts contradict each other.
func NewSnapshot(xmin, xmax XID, inProgress []XID) (Snapshot, error) {
	if xmin > xmax {
		return Snapshot{}, fmt.Errorf("build snapshot: xmin %d is above xmax %d", xmin, xmax)
	}
	for i, x := range inProgress {
		if x < xmin || x >= xmax || i > 0 && x <= inProgress[i-1] {
			return Snapshot{}, fmt.Errorf("build snapshot: in-progress id %d is outside [%d,%d) or out of order", x, xmin, xmax)
		}
	}
	return Snapshot{xmin, xmax, slices.Clone(inProgress)}, nil
}

// ParseSnapshot reads the text form of pg_snapshot, "xmin:xmax:xip,xip,…".
func ParseSnapshot(text string) (Snapshot, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return Snapshot{}, fmt.Errorf("parse snapshot %q: want xmin:xmax:list", text)
	}
	bounds := [2]XID{}
	for i := range bounds {
		v, err := strconv.ParseUint(parts[i], 10, 64)
		if err != nil {
			return Snapshot{}, fmt.Errorf("parse snapshot %q: %w", text, err)
		}
		bounds[i] = XID(v)
	}
	var inProgress []XID
	if parts[2] != "" {
		for item := range strings.SplitSeq(parts[2], ",") {
			v, err := strconv.ParseUint(item, 10, 64)
			if err != nil {
				return Snapshot{}, fmt.Errorf("parse snapshot %q: %w", text, err)
			}
			inProgress = append(inProgress, XID(v))
		}
	}
	return NewSnapshot(bounds[0], bounds[1], inProgress)
}

// String gives the text form that ParseSnapshot and Postgres read.
func (s Snapshot) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d:", s.xmin, s.xmax)
	for i, x := range s.inProgress {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(x), 10))
	}
	return b.String()
}

// Sees reports whether the effects of transaction x, if it committed, are
// visible.
func (s Snapshot) Sees(x XID) bool {
	if x < s.xmin {
		return true
	}
	if x >= s.xmax {
		return false
	}
	_, running := slices.BinarySearch(s.inProgress, x)
	return !running
}

// Includes reports whether everything that t sees is seen by s too: t ⊆ s.
// Snapshots of one server incarnation are ordered by inclusion.
func (s Snapshot) Includes(t Snapshot) bool {
	for _, x := range s.inProgress {
		if t.Sees(x) {
			return false
		}
	}
	if t.xmax <= s.xmax {
		return true
	}
	// The ids in [s.xmax, t.xmax) are invisible to s: t must list them all.
	if t.xmin > s.xmax {
		return false
	}
	from, _ := slices.BinarySearch(t.inProgress, s.xmax)
	return uint64(len(t.inProgress)-from) == uint64(t.xmax-s.xmax)
}

// IsZero reports whether s is the zero value.
func (s Snapshot) IsZero() bool { return s.xmax == 0 }

// Xmin is the lowest id that had not ended.
func (s Snapshot) Xmin() XID { return s.xmin }

// Xmax is the first id that had not begun.
func (s Snapshot) Xmax() XID { return s.xmax }

// InProgress lists the ids below Xmax that had not ended. It must not be
// changed.
func (s Snapshot) InProgress() []XID { return s.inProgress }

// inProgressMax bounds a decoded snapshot: more running transactions than any
// server has connections for.
const inProgressMax = 1 << 16

var errSnapshotBytes = errors.New("decode snapshot: malformed bytes")

// AppendBinary appends a compact form of s for storage outside the process.
func (s Snapshot) AppendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.xmin))
	dst = binary.AppendUvarint(dst, uint64(s.xmax-s.xmin))
	dst = binary.AppendUvarint(dst, uint64(len(s.inProgress)))
	previous := s.xmin
	for _, x := range s.inProgress {
		dst = binary.AppendUvarint(dst, uint64(x-previous))
		previous = x
	}
	return dst
}

// DecodeSnapshot reads what AppendBinary wrote and returns the bytes behind it.
func DecodeSnapshot(src []byte) (Snapshot, []byte, error) {
	next := func() (uint64, bool) {
		v, n := binary.Uvarint(src)
		if n <= 0 {
			return 0, false
		}
		src = src[n:]
		return v, true
	}
	xmin, ok1 := next()
	span, ok2 := next()
	count, ok3 := next()
	if !ok1 || !ok2 || !ok3 || count > inProgressMax || xmin+span < xmin {
		return Snapshot{}, nil, errSnapshotBytes
	}
	var inProgress []XID
	previous := xmin
	for range count {
		step, ok := next()
		if !ok || previous+step < previous {
			return Snapshot{}, nil, errSnapshotBytes
		}
		previous += step
		inProgress = append(inProgress, XID(previous))
	}
	s, err := NewSnapshot(XID(xmin), XID(xmin+span), inProgress)
	if err != nil {
		return Snapshot{}, nil, errSnapshotBytes
	}
	return s, src, nil
}
