package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

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
		took:    1500 * time.Microsecond,
	}, label
}

// sampleRecord is the sample as a record.
const sampleRecord = "80d095ffbc31" + // born
	"e0d403" + // life
	"dc0b" + // took
	"00" + "03616263" + // read from the primary; incarnation
	"e807030101" + // lower: xmin, xmax-xmin, count, step
	"ed070000" + // upper
	"02" + "0100000000000000" + "feffffffffffffff" + // tags
	"036b6579" + // key
	"7061796c6f6164" // payload

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
	if hex.EncodeToString(got) != sampleRecord {
		t.Fatalf("got  %x\nwant %s", got, sampleRecord)
	}
	r, ok := decodeRecord(got, nil)
	if !ok {
		t.Fatal("cannot decode what was encoded")
	}
	if string(r.key) != "key" || string(r.payload) != "payload" || len(r.tags) != 2 || r.tags[1] != 0xfffffffffffffffe ||
		!r.born.Equal(e.born) || r.life != e.life || r.took != e.took || r.label.Incarnation != "abc" ||
		r.label.Lower.String() != "1000:1003:1001" || r.label.Upper.String() != "1005:1005:" {
		t.Fatalf("decoded %+v", r)
	}
}

func TestHugeLengths(t *testing.T) {
	t.Parallel()
	huge := binary.AppendUvarint(nil, 1<<63)
	label := fence.Label{Incarnation: "a"}.AppendBinary(nil)
	head := append([]byte{1, 1, 1}, label...)
	for name, record := range map[string][]byte{
		"born":   huge,
		"life":   append([]byte{1}, huge...),
		"took":   append([]byte{1, 1}, huge...),
		"tags":   append(bytes.Clone(head), huge...),
		"key":    append(append(bytes.Clone(head), 0), huge...),
		"varint": append(bytes.Clone(head), bytes.Repeat([]byte{0xff}, 20)...),
	} {
		if _, ok := decodeRecord(record, nil); ok {
			t.Errorf("%s: a length beyond the end was believed", name)
		}
	}
	if _, ok := decodeRecord(append(bytes.Clone(head), 0, 0), nil); !ok {
		t.Error("the record that these were made of is not one")
	}
}
