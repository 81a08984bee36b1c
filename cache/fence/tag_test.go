package fence

import (
	"strings"
	"testing"
)

// The writer's trigger spells these texts too: a change here is a change there.
func TestTagSpelling(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{TableText(16384), "16384"},
		{TableText(4294967295), "4294967295"},
		{WholesaleText(16384), "16384/*"},
		{ValueText(16384, "id", "7"), "16384/id=7"},
		{ValueText(16384, "name", ""), "16384/name="},
		{ValueText(1, "c", strings.Repeat("x", 64)), "1/c=" + strings.Repeat("x", 64)},
		// printf 'x%.0s' {1..65} | md5sum
		{ValueText(1, "c", strings.Repeat("x", 65)), "1/c=md5:1bc932052302d074bdec39795fe00cf6"},
		{RelationSchemaText(16384), "schema/16384"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// The limit counts bytes, as octet_length does, not characters.
func TestLongValueIsMeasuredInBytes(t *testing.T) {
	if got := ValueText(1, "c", strings.Repeat("é", 33)); !strings.HasPrefix(got, "1/c=md5:") {
		t.Errorf("33 characters of 2 bytes are spelled out: %q", got)
	}
}

func TestTagIsXXHash(t *testing.T) {
	// The published XXH64 of the empty input and of "abc", seed 0.
	if NewTag("") != 0xef46db3751d8e999 || NewTag("abc") != 0x44bc2cf5ad770999 {
		t.Errorf("got %x and %x", NewTag(""), NewTag("abc"))
	}
}
