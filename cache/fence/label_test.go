package fence

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func sameLabel(a, b Label) bool {
	return a.Incarnation == b.Incarnation && a.Replica == b.Replica && sameSnapshot(a.Lower, b.Lower) && sameSnapshot(a.Upper, b.Upper)
}

func TestLabelRoundTrip(t *testing.T) {
	pick := rand.New(rand.NewPCG(2, 2)).IntN
	for length := 0; length <= incarnationLengthMax; length++ {
		want := Label{Incarnation: Incarnation(strings.Repeat("i", length)), Lower: drawSnapshot(pick, 1<<40, 20)}
		if length%2 == 0 {
			want.Upper = drawSnapshot(pick, 1<<40, 20)
		}
		want.Replica = length%3 == 0
		got, rest, err := DecodeLabel(append(want.AppendBinary([]byte("before"))[len("before"):], "rest"...))
		if err != nil || !sameLabel(got, want) || string(rest) != "rest" {
			t.Fatalf("%d bytes of name: %+v became %+v with %q left, %v", length, want, got, rest, err)
		}
	}
}

func TestLabelWithTooLongNameIsNotReadAsAnother(t *testing.T) {
	for _, length := range []int{incarnationLengthMax + 1, 255, 256, 256 + 5, 512} {
		l := Label{Incarnation: Incarnation(strings.Repeat("\x00", length))}
		if got, _, err := DecodeLabel(l.AppendBinary(nil)); err == nil {
			t.Errorf("a name of %d bytes was read back as one of %d", length, len(got.Incarnation))
		}
	}
}

func TestMalformedLabel(t *testing.T) {
	good := Label{Incarnation: "one", Lower: parse(t, "10:20:12"), Upper: parse(t, "15:21:")}.AppendBinary(nil)
	for n := range good {
		if l, _, err := DecodeLabel(good[:n]); err == nil {
			t.Errorf("%d of %d bytes were read as %+v", n, len(good), l)
		}
	}
}

func TestLabelAtHead(t *testing.T) {
	l := LabelAt(&Head{"one", parse(t, "10:20:12")})
	if l.Incarnation != "one" || !sameSnapshot(l.Lower, parse(t, "10:20:12")) || !l.Upper.IsZero() {
		t.Errorf("got %+v", l)
	}
}

func FuzzDecodeLabel(f *testing.F) {
	f.Add(Label{}.AppendBinary(nil))
	f.Add(Label{Incarnation: "one", Lower: parse(f, "10:20:12"), Upper: parse(f, "15:21:")}.AppendBinary(nil))
	f.Add([]byte{200, 1, 2})
	f.Fuzz(func(t *testing.T, src []byte) {
		l, rest, err := DecodeLabel(src)
		if err != nil {
			return
		}
		again, left, err := DecodeLabel(append(l.AppendBinary(nil), rest...))
		if err != nil || !sameLabel(l, again) || !bytes.Equal(rest, left) {
			t.Fatalf("%x was read as %+v, and that as %+v, %v", src, l, again, err)
		}
	})
}
