package engine

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"

	"github.com/freshet/freshet/cache/fence"
)

// An envelope is a record as it lies in the remote tier:
//
//	magic      4 bytes, the last one is the version
//	checksum   8 bytes, XXH64 of all that follows
//	flags      1 byte: 1 compressed, 2 sealed; the others are 0
//	key id     8 bytes  \ only if sealed
//	nonce     12 bytes  /
//	body       the record; if compressed, as one S2 block; if sealed, then
//	           encrypted, with a tag of 16 bytes at its end
//
// Numbers are little-endian. The version, here and in remoteKeyPrefix, moves
// with every change after which older releases would read something else than
// what was written, a new flag included: releases of two versions share a Redis
// and no entries. The bytes of TestEnvelopeFormat hold the format in place.
const (
	envelopeMagic  = "FRS\x06"
	checksumLength = 8
	flagsAt        = len(envelopeMagic) + checksumLength
	contentAt      = flagsAt + 1

	flagCompressed = 1
	flagSealed     = 2
	flagsKnown     = flagCompressed | flagSealed

	// identityLength is how many bytes at the start tell one envelope from the
	// others under its key: the checksum is among them.
	identityLength = flagsAt

	// compressMin is the smallest record that is worth compressing, in bytes.
	compressMin = 1 << 10
	// recordMax bounds a decompressed record, in bytes: what a few bytes claim to
	// become is not believed beyond it.
	recordMax = 8 << 20
)

// packing counts the bytes of records before they were compressed, as far as they were, and after.
type packing struct{ before, after atomic.Uint64 }

func newPacking() *packing { return &packing{} }

// envelopes makes envelopes and opens them. It does not change after its making.
type envelopes struct {
	compress bool
	// packing counts what is made; nil: nobody does.
	packing *packing
	// keys seal and open, the first one seals. Empty: nothing is sealed.
	keys []sealKey
}

// append appends the envelope of e, with the bounds of label, for the key name
// of the remote tier.
func (v *envelopes) append(dst []byte, e *Entry, label fence.Label, name string) ([]byte, error) {
	start := len(dst)
	dst = append(dst, envelopeMagic...)
	dst = append(dst, make([]byte, checksumLength+1)...)
	sealed := len(v.keys) > 0
	if sealed {
		dst[start+flagsAt] |= flagSealed
		dst = v.keys[0].appendHead(dst)
	}
	bodyAt := len(dst)
	dst, err := appendRecord(dst, e, label)
	if err != nil {
		return nil, err
	}
	plain := len(dst) - bodyAt
	if v.compress {
		if packed, ok := compressed(dst[bodyAt:]); ok {
			dst = append(dst[:bodyAt], packed...)
			dst[start+flagsAt] |= flagCompressed
		}
	}
	if v.packing != nil {
		v.packing.before.Add(uint64(plain))
		v.packing.after.Add(uint64(len(dst) - bodyAt))
	}
	if sealed {
		dst = v.keys[0].seal(dst, start, bodyAt, name)
	}
	binary.LittleEndian.PutUint64(dst[start+len(envelopeMagic):], xxhash.Sum64(dst[start+flagsAt:]))
	return dst, nil
}

// open reads what append wrote for the same name, and says no to anything else.
// With keys it says no to what is not sealed by one of them: who can write to the
// remote tier can make a right checksum. The record may be a part of src, and of room: see
// decodeRecord.
func (v *envelopes) open(src []byte, name string, room []fence.Tag) (record, bool) {
	if len(src) <= contentAt || !bytes.HasPrefix(src, []byte(envelopeMagic)) ||
		binary.LittleEndian.Uint64(src[len(envelopeMagic):]) != xxhash.Sum64(src[flagsAt:]) {
		return record{}, false
	}
	flags := src[flagsAt]
	if flags&^flagsKnown != 0 || (flags&flagSealed != 0) != (len(v.keys) > 0) {
		return record{}, false
	}
	body, ok := src[contentAt:], true
	if flags&flagSealed != 0 {
		if body, ok = unseal(v.keys, src, name); !ok {
			return record{}, false
		}
	}
	if flags&flagCompressed != 0 {
		if body, ok = decompressed(body); !ok {
			return record{}, false
		}
	}
	return decodeRecord(body, room)
}

// compressed returns a shorter form of a record, if it has one that is shorter
// by an eighth: less is not worth the reader's time.
func compressed(body []byte) ([]byte, bool) {
	if len(body) < compressMin {
		return nil, false
	}
	packed := s2.Encode(nil, body)
	return packed, len(packed) <= len(body)-len(body)/8
}

func decompressed(packed []byte) ([]byte, bool) {
	length, err := s2.DecodedLen(packed)
	if err != nil || length > recordMax {
		return nil, false
	}
	body, err := s2.Decode(make([]byte, length), packed)
	return body, err == nil
}
