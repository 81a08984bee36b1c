package fence

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// parse is ParseSnapshot for texts that a test knows to be good.
func parse(t testing.TB, text string) Snapshot {
	t.Helper()
	s, err := ParseSnapshot(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sameSnapshot compares part by part: a snapshot has several equivalent forms,
// and a round trip must keep the form too.
func sameSnapshot(a, b Snapshot) bool {
	return a.xmin == b.xmin && a.xmax == b.xmax && slices.Equal(a.inProgress, b.inProgress)
}

// drawSnapshot builds a snapshot whose interesting ids lie in [base, base+span).
// pick(n) chooses a number in [0, n).
func drawSnapshot(pick func(n int) int, base XID, span int) Snapshot {
	xmin := pick(span + 1)
	xmax := xmin + pick(span+1-xmin)
	// From no running transaction to all of them: both ends have their own branch
	// in Includes.
	density := pick(4)
	var running []XID
	for x := xmin; x < xmax; x++ {
		if pick(3) < density {
			running = append(running, base+XID(x))
		}
	}
	s, err := NewSnapshot(base+XID(xmin), base+XID(xmax), running)
	if err != nil {
		panic(err)
	}
	return s
}

func rapidPick(t *rapid.T) func(int) int {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
}

// visibleIDs is a second reading of what a snapshot means, that shares nothing
// with Sees and Includes: start with every id below xmax, then strike out.
func visibleIDs(s Snapshot, base XID, span int) []bool {
	visible := make([]bool, span)
	for i := range visible {
		visible[i] = base+XID(i) < s.Xmax()
	}
	for _, x := range s.InProgress() {
		visible[x-base] = false
	}
	return visible
}

func TestSnapshotSeesByHand(t *testing.T) {
	s := parse(t, "10:20:12,15,19")
	for x, want := range map[XID]bool{
		0: true, 9: true, 10: true, 11: true, 12: false, 13: true, 15: false,
		18: true, 19: false, 20: false, 21: false, math.MaxUint64: false,
	} {
		if got := s.Sees(x); got != want {
			t.Errorf("%v sees %d: %v, want %v", s, x, got, want)
		}
	}
	for _, x := range []XID{0, 1, math.MaxUint64} {
		if (Snapshot{}).Sees(x) {
			t.Errorf("the zero snapshot sees %d", x)
		}
	}
}

func TestSnapshotIncludesByHand(t *testing.T) {
	for _, c := range []struct {
		s, t string
		want bool
		why  string
	}{
		{"10:10:", "10:10:", true, "equal"},
		{"10:11:", "10:10:", true, "one more ended"},
		{"10:10:", "10:11:", false, "lacks 10"},
		{"10:10:", "10:11:10", true, "10 is running in the later one"},
		{"10:10:", "10:12:10", false, "lacks 11"},
		{"10:10:", "10:12:10,11", true, "both beyond are running"},
		{"8:10:8", "8:12:8,10,11", true, "running in both, and both beyond"},
		{"8:10:8", "8:12:10,11", false, "8 is visible only in the second"},
		{"8:10:8,9", "8:10:9", false, "8 is visible only in the second"},
		{"8:10:9", "8:10:8,9", true, "8 ended since"},
		{"10:10:", "12:12:", false, "xmin beyond"},
		{"10:10:", "11:12:11", false, "10 ended below its xmin"},
		{"5:20:5", "5:6:5", true, "the same long transaction runs"},
		{"5:20:5", "6:6:", false, "5 ended in the second"},
	} {
		if got := parse(t, c.s).Includes(parse(t, c.t)); got != c.want {
			t.Errorf("%s includes %s: %v, want %v: %s", c.s, c.t, got, c.want, c.why)
		}
	}
	zero := Snapshot{}
	if !zero.Includes(zero) || !parse(t, "3:3:").Includes(zero) || zero.Includes(parse(t, "3:3:")) {
		t.Error("the zero snapshot is not the smallest")
	}
}

func TestIncludesIsInclusionOfVisibleIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const span = 12
		base := rapid.SampledFrom([]XID{0, 3, 1<<32 - 6, 1 << 63, math.MaxUint64 - 2*span}).Draw(t, "base")
		a := drawSnapshot(rapidPick(t), base, span)
		b := drawSnapshot(rapidPick(t), base, span)
		inA, inB := visibleIDs(a, base, span), visibleIDs(b, base, span)
		want := true
		for i := range inA {
			if a.Sees(base+XID(i)) != inA[i] {
				t.Fatalf("%v sees %d: want %v", a, base+XID(i), inA[i])
			}
			want = want && (inA[i] || !inB[i])
		}
		if got := a.Includes(b); got != want {
			t.Fatalf("%v includes %v: %v, want %v", a, b, got, want)
		}
	})
}

func TestIncludesDoesNotWalkTheIDsBetween(t *testing.T) {
	// Counting ids one by one would not end within the life of this test.
	if parse(t, "5:5:").Includes(parse(t, "5:18446744073709551615:7")) {
		t.Error("a snapshot includes one that sees almost everything")
	}
	if !parse(t, "5:18446744073709551615:7").Includes(parse(t, "5:5:")) {
		t.Error("a snapshot that sees almost everything lacks something")
	}
}

func TestSnapshotRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]XID{0, 3, 1<<32 - 6, 1 << 63, math.MaxUint64 - 40}).Draw(t, "base")
		want := drawSnapshot(rapidPick(t), base, 20)
		fromText, err := ParseSnapshot(want.String())
		if err != nil || !sameSnapshot(fromText, want) {
			t.Fatalf("text of %v became %v, %v", want, fromText, err)
		}
		rest := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "rest")
		fromBytes, left, err := DecodeSnapshot(append(want.AppendBinary(nil), rest...))
		if err != nil || !sameSnapshot(fromBytes, want) || !slices.Equal(left, rest) {
			t.Fatalf("bytes of %v became %v with %v left, %v", want, fromBytes, left, err)
		}
	})
}

func TestSnapshotParts(t *testing.T) {
	running := []XID{12, 15}
	s, err := NewSnapshot(10, 20, running)
	if err != nil {
		t.Fatal(err)
	}
	running[0] = 19 // the caller's slice is the caller's
	if s.Xmin() != 10 || s.Xmax() != 20 || !slices.Equal(s.InProgress(), []XID{12, 15}) {
		t.Errorf("got %d, %d, %v", s.Xmin(), s.Xmax(), s.InProgress())
	}
	if s.IsZero() || !(Snapshot{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestMalformedSnapshotText(t *testing.T) {
	for _, text := range []string{
		"", ":", "::", ":::", "1:2", "1:2:3:4", "a:2:", "1:b:", "1:2:c", "1:2:1,", "1:2:,1",
		"2:1:", "1:5:5", "1:5:0", "2:5:1", "1:5:3,2", "1:5:3,3", "-1:5:", "+1:5:", "1 :5:", "1:5: 3", "0x1:5:", "1_0:50:",
		"18446744073709551616:18446744073709551616:", "1:18446744073709551616:", "1:5:18446744073709551616",
	} {
		s, err := ParseSnapshot(text)
		if err == nil {
			t.Errorf("%q was read as %v", text, s)
			continue
		}
		if !s.IsZero() {
			t.Errorf("%q gave %v beside its error", text, s)
		}
	}
}

func TestMalformedSnapshotBytes(t *testing.T) {
	uvarints := func(values ...uint64) []byte {
		var b []byte
		for _, v := range values {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	for name, src := range map[string][]byte{
		"nothing":                {},
		"only xmin":              uvarints(5),
		"no count":               uvarints(5, 3),
		"cut in a number":        {0x80},
		"number over 64 bits":    append(slices.Repeat([]byte{0xff}, 10), 1),
		"xmax overflows":         uvarints(math.MaxUint64, 1, 0),
		"fewer ids than counted": uvarints(5, 10, 2, 0),
		"id at xmax":             uvarints(5, 3, 1, 3),
		"id twice":               uvarints(5, 10, 2, 1, 0),
		"id overflows":           uvarints(5, 10, 2, 1, math.MaxUint64),
		"too many ids":           uvarints(5, 1<<20, inProgressMax+1, 0, 1, 1),
		"count out of memory":    uvarints(5, 10, math.MaxUint64),
	} {
		if s, _, err := DecodeSnapshot(src); err == nil {
			t.Errorf("%s: read as %v", name, s)
		}
	}
}

func TestEveryPrefixOfEncodedSnapshotIsRefused(t *testing.T) {
	pick := rand.New(rand.NewPCG(1, 1)).IntN
	for range 200 {
		encoded := drawSnapshot(pick, 1<<40, 20).AppendBinary(nil)
		for n := range encoded {
			if s, _, err := DecodeSnapshot(encoded[:n]); err == nil {
				t.Fatalf("%d of %d bytes were read as %v", n, len(encoded), s)
			}
		}
	}
}

func FuzzParseSnapshot(f *testing.F) {
	for _, text := range []string{"", "0:0:", "10:20:12,15,19", "1:5:3,3", strings.Repeat("1:", 9), "007:9:8"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSnapshot(text)
		if err != nil {
			return
		}
		again, err := ParseSnapshot(s.String())
		if err != nil || !sameSnapshot(s, again) {
			t.Fatalf("%q was read as %v, and that as %v, %v", text, s, again, err)
		}
		if !s.Includes(s) || !s.Includes(Snapshot{}) {
			t.Fatalf("%v does not include itself or nothing", s)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	for _, text := range []string{"0:0:", "10:20:12,15,19", "3:18446744073709551615:9"} {
		f.Add(parse(f, text).AppendBinary(nil))
	}
	f.Add([]byte{0x80, 0x80})
	f.Fuzz(func(t *testing.T, src []byte) {
		s, rest, err := DecodeSnapshot(src)
		if err != nil {
			return
		}
		again, left, err := DecodeSnapshot(append(s.AppendBinary(nil), rest...))
		if err != nil || !sameSnapshot(s, again) || !slices.Equal(rest, left) {
			t.Fatalf("%x was read as %v, and that as %v, %v", src, s, again, err)
		}
		if _, err := ParseSnapshot(s.String()); err != nil {
			t.Fatalf("bytes were accepted that text forbids: %v", err)
		}
	})
}
