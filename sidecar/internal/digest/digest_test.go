package digest

import (
	"encoding/hex"
	"testing"
)

// Names are kept in Redis, where other processes and other versions look for them.
func TestNamesStayTheSame(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb924",
		"abc": "ba7816bf8f01cfea414140de5dae2223",
	} {
		d := Of([]byte(text))
		if got := hex.EncodeToString(d[:]); got != want {
			t.Errorf("%q is named %s, want %s", text, got, want)
		}
	}
	if Of([]byte("a"), nil, []byte("bc")) != Of([]byte("abc")) {
		t.Error("parts have another name than what they are together")
	}
}

func TestPartsDividedOtherwiseAreOthers(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for i, parts := range [][][]byte{
		{}, {nil}, {{}}, {nil, nil}, {{}, nil}, {nil, {}}, {[]byte("ab")}, {[]byte("a"), []byte("b")}, {[]byte("ab"), nil},
		{[]byte("a\x00\x00\x00\x01b")}, {{0xff, 0xff, 0xff, 0xff}},
	} {
		bytes := string(AppendParts(nil, parts))
		if other, ok := seen[bytes]; ok {
			t.Errorf("%q gives the bytes of number %d: %q", parts, other, bytes)
		}
		seen[bytes] = i
	}
}
