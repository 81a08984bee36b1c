package cache

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/freshet/freshet/cache/fence"
)

// sample is an entry whose every byte is known.
func sample(t testing.TB) (*Entry, fence.Label) {
	t.Helper()
	lower, err := fence.NewSnapshot(1000, 1003, []fence.XID{1001})
	if err != nil {
		t.Fatal(err)
	}
	upper, err := fence.NewSnapshot(1005, 1005, nil)
	if err != nil {
		t.Fatal(err)
	}
	label := fence.Label{Incarnation: "abc", Lower: lower, Upper: upper}
	return &Entry{
		Ticket:  fence.NewTicket(label, []fence.Tag{1, 0xfffffffffffffffe}, 0),
		Key:     []byte("key"),
		Payload: text("payload"),
		born:    time.UnixMilli(1_700_000_000_000),
		life:    time.Minute,
	}, label
}

// Bytes of this form are in Redis servers: a change needs another version.
func TestRecordFormat(t *testing.T) {
	t.Parallel()
	e, label := sample(t)
	got, err := appendRecord([]byte("before"), e, label)
	if err != nil {
		t.Fatal(err)
	}
	got, found := bytes.CutPrefix(got, []byte("before"))
	if !found {
		t.Fatal("what was in the buffer is gone")
	}
	want := "46525301" + // magic
		checksum(got) +
		"00" + // flags
		"80d095ffbc31" + // born
		"e0d403" + // life
		"03616263" + // incarnation
		"e807030101" + // lower: xmin, xmax-xmin, count, step
		"ed070000" + // upper
		"02" + "0100000000000000" + "feffffffffffffff" + // tags
		"036b6579" + // key
		"7061796c6f6164" // payload
	if hex.EncodeToString(got) != want {
		t.Fatalf("got  %x\nwant %s", got, want)
	}
	r, ok := decodeRecord(got)
	if !ok {
		t.Fatal("cannot decode what was encoded")
	}
	if string(r.key) != "key" || string(r.payload) != "payload" || len(r.tags) != 2 || r.tags[1] != 0xfffffffffffffffe ||
		!r.born.Equal(e.born) || r.life != e.life || r.label.Incarnation != "abc" ||
		r.label.Lower.String() != "1000:1003:1001" || r.label.Upper.String() != "1005:1005:" {
		t.Fatalf("decoded %+v", r)
	}
}

func checksum(record []byte) string {
	return hex.EncodeToString(binary.LittleEndian.AppendUint64(nil, xxhash.Sum64(record[bodyAt:])))
}

func TestEveryBrokenByteIsSeen(t *testing.T) {
	t.Parallel()
	e, label := sample(t)
	good, err := appendRecord(nil, e, label)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, ok := decodeRecord(bad); ok {
				t.Fatalf("byte %d, bit %d was turned and nobody saw", i, bit)
			}
		}
		if _, ok := decodeRecord(good[:i]); ok {
			t.Fatalf("only %d bytes were left and nobody saw", i)
		}
	}
	if _, ok := decodeRecord(append(bytes.Clone(good), 0)); ok {
		t.Fatal("a byte was added and nobody saw")
	}
}

// seal gives a body a magic and a right checksum, as somebody could who wants to
// do harm with lengths.
func seal(body []byte) []byte {
	record := append([]byte(recordMagic), make([]byte, checksumLength)...)
	record = append(record, body...)
	binary.LittleEndian.PutUint64(record[len(recordMagic):], xxhash.Sum64(body))
	return record
}

func TestHugeLengths(t *testing.T) {
	t.Parallel()
	huge := binary.AppendUvarint(nil, 1<<63)
	label := fence.Label{Incarnation: "a"}.AppendBinary(nil)
	head := append([]byte{0, 1, 1}, label...)
	for name, body := range map[string][]byte{
		"born":   append([]byte{0}, huge...),
		"life":   append([]byte{0, 1}, huge...),
		"tags":   append(bytes.Clone(head), huge...),
		"key":    append(append(bytes.Clone(head), 0), huge...),
		"varint": append(bytes.Clone(head), bytes.Repeat([]byte{0xff}, 20)...),
	} {
		if _, ok := decodeRecord(seal(body)); ok {
			t.Errorf("%s: a length beyond the end was believed", name)
		}
	}
	if _, ok := decodeRecord(seal(append(bytes.Clone(head), 0, 0))); !ok {
		t.Error("the record that these were made of is not one")
	}
}

func FuzzRecord(f *testing.F) {
	e, label := sample(f)
	good, err := appendRecord(nil, e, label)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[bodyAt:])
	f.Add([]byte{0, 1, 1, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, ok := decodeRecord(seal(body))
		if !ok {
			return
		}
		again, err := appendRecord(nil, &Entry{
			Ticket: fence.NewTicket(r.label, r.tags, 0), Key: r.key, Payload: text(r.payload), born: r.born, life: r.life,
		}, r.label)
		if err != nil {
			t.Fatal(err)
		}
		second, ok := decodeRecord(again)
		if !ok || !bytes.Equal(second.key, r.key) || !bytes.Equal(second.payload, r.payload) || second.life != r.life {
			t.Fatalf("%+v came back as %+v", r, second)
		}
		if len(r.payload)+len(r.key) > len(body) {
			t.Fatal("more came out than went in")
		}
	})
}
