package engine

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// A record is an entry as bytes:
//
//	born       uvarint, milliseconds since 1970
//	life       uvarint, milliseconds
//	took       uvarint, microseconds that the load took
//	label      1 byte: 1 read from a replica, else 0; incarnation, lower bound,
//	           upper bound
//	tags       uvarint count, 8 bytes each
//	key        uvarint length, bytes
//	payload    the rest
//
// Numbers of fixed size are little-endian. The version of the envelope around it
// is that of the record too.
type record struct {
	born    time.Time
	life    time.Duration
	took    time.Duration
	label   fence.Label
	tags    []fence.Tag
	key     []byte
	payload []byte
}

const (
	// tagsMax bounds the tags of a decoded record.
	tagsMax = 1 << 16
	// entryMaxHighest is the largest Options.EntryMax. A record of it, with the
	// longest label, is below what the Redis tier takes.
	entryMaxHighest = 7 << 20
	// lifeMax bounds a decoded life, and tookMax a load, so that they cannot overflow.
	lifeMax = 10 * 365 * 24 * time.Hour
	tookMax = 24 * time.Hour
	// recordTags is how many tags most records have at most.
	recordTags = 8
)

// appendRecord appends e with the bounds of label.
func appendRecord(dst []byte, e *Entry, label fence.Label) ([]byte, error) {
	dst = binary.AppendUvarint(dst, uint64(max(e.born.UnixMilli(), 0)))
	dst = binary.AppendUvarint(dst, uint64(e.life.Milliseconds()))
	dst = binary.AppendUvarint(dst, uint64(min(e.took, tookMax).Microseconds()))
	dst = label.AppendBinary(dst)
	tags := e.Ticket.Tags()
	dst = binary.AppendUvarint(dst, uint64(len(tags)))
	for _, tag := range tags {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(tag))
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Key)))
	dst = append(dst, e.Key...)
	return e.Payload.AppendBinary(dst)
}

// decodeRecord reads what appendRecord wrote, and says no to anything else. A
// checksum is no proof of good will: every length is compared with what is there
// before it is used. The key and the payload are parts of src, and the tags are put into
// room if they find place there.
func decodeRecord(src []byte, room []fence.Tag) (record, bool) {
	born, src, ok1 := takeUvarint(src)
	life, src, ok2 := takeUvarint(src)
	took, src, ok3 := takeUvarint(src)
	if !ok1 || !ok2 || !ok3 || born > 1<<52 || life > uint64(lifeMax.Milliseconds()) || took > uint64(tookMax.Microseconds()) {
		return record{}, false
	}
	label, src, err := fence.DecodeLabel(src)
	if err != nil {
		return record{}, false
	}
	count, src, ok := takeUvarint(src)
	if !ok || count > tagsMax || uint64(len(src)) < 8*count {
		return record{}, false
	}
	tags := slices.Grow(room[:0], int(count))
	for i := range count {
		tags = append(tags, fence.Tag(binary.LittleEndian.Uint64(src[8*i:])))
	}
	src = src[8*count:]
	length, src, ok := takeUvarint(src)
	if !ok || uint64(len(src)) < length {
		return record{}, false
	}
	return record{
		born:    time.UnixMilli(int64(born)),
		life:    time.Duration(life) * time.Millisecond,
		took:    time.Duration(took) * time.Microsecond,
		label:   label,
		tags:    tags,
		key:     src[:length:length],
		payload: src[length:],
	}, true
}

func takeUvarint(src []byte) (value uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(src)
	if n <= 0 {
		return 0, nil, false
	}
	return v, src[n:], true
}
