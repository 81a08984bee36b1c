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
		{RoleText(10), "role=10"},
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
	// The published XXH64 of the empty input and of "abc", seed 0: 14 bits of it tell the
	// class, and 50 follow.
	for text, sum := range map[string]uint64{"": 0xef46db3751d8e999, "abc": 0x44bc2cf5ad770999} {
		if got, want := NewTag(text), Tag(sum&^(1<<50-1)|sum>>14); got != want {
			t.Errorf("%q: got %x, want %x", text, got, want)
		}
	}
}

// What is hashed without being spelled is what the text would be.
func TestTagsAreThoseOfTheirTexts(t *testing.T) {
	for _, value := range []string{"", "7", "a=b", strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("é", 999)} {
		for _, column := range []string{"id", "a=b", strings.Repeat("c", 63), strings.Repeat("c", 200)} {
			if got, want := ValueTag(16384, column, value), NewTag(ValueText(16384, column, value)); got != want {
				t.Errorf("%s=%s: got %x, want %x", column, value, got, want)
			}
		}
	}
	for _, root := range []uint32{0, 16384, 4294967295} {
		if TableTag(root) != NewTag(TableText(root)) || WholesaleTag(root) != NewTag(WholesaleText(root)) ||
			RelationSchemaTag(root) != NewTag(RelationSchemaText(root)) || RoleTag(root) != NewTag(RoleText(root)) {
			t.Errorf("the tags of %d are not those of its texts", root)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ValueTag(16384, "owner", "1234567890") }); n != 0 {
		t.Errorf("a tag takes %v allocations", n)
	}
}

// A tag tells whether it is one of roles.
func TestTagsOfRolesAreRecognized(t *testing.T) {
	for text, want := range map[string]bool{RolesText: true, RoleText(10): true, RoleText(4294967295): true, SchemaText: false, TableText(10): false, OwnText("role=10"): false, ValueText(10, "role", "10"): false} {
		if IsRoleText(text) != want || NewTag(text).OfRoles() != want {
			t.Errorf("%s is taken for a tag of roles: %v by its text, %v by its hash", text, IsRoleText(text), NewTag(text).OfRoles())
		}
	}
}

// All values of a column have one class, also if its name looks like a name and a value.
func TestTagTellsItsClass(t *testing.T) {
	for _, column := range []string{"id", "a=b", "", "="} {
		class := NewClass(16384, column)
		for _, value := range []string{"", "7", "x=y", strings.Repeat("x", 65)} {
			if got := NewTag(ValueText(16384, column, value)).Class(); got != class {
				t.Errorf("%s=%s is of class %x, want %x", column, value, got, class)
			}
		}
	}
	if NewClass(16384, "id") == NewClass(16384, "owner") || NewClass(16384, "id") == NewClass(16385, "id") {
		t.Error("two columns have one class")
	}
}
