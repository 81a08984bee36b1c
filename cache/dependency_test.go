package cache

import (
	"slices"
	"testing"

	"github.com/freshet/freshet/cache/fence"
)

func TestRowSpellsValuesAsPostgresDoes(t *testing.T) {
	t.Parallel()
	type id int32
	type uuid [16]byte
	for want, got := range map[string]Dependency{
		"-7":                                   Row("t", "c", id(-7)),
		"18446744073709551615":                 Row("t", "c", ^uint64(0)),
		"O'Neill":                              Row("t", "c", "O'Neill"),
		"00112233-4455-6677-8899-aabbccddeeff": Row("t", "c", uuid{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}),
	} {
		if got.Value != want || got.Table != "t" || got.Column != "c" {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}

func TestTagsOfADependency(t *testing.T) {
	t.Parallel()
	row := Row("public.products", "id", 7)
	for name, c := range map[string]struct {
		got  []fence.Tag
		want []string
	}{
		"watched column":   {row.Tags(5, []string{"id"}), []string{"5/id=7", "5/*", "schema/5"}},
		"unwatched column": {row.Tags(5, []string{"other"}), []string{"5", "schema/5"}},
		"table":            {Table("public.products").Tags(5, []string{"id"}), []string{"5", "schema/5"}},
	} {
		var want []fence.Tag
		for _, text := range c.want {
			want = append(want, fence.NewTag(text))
		}
		if !slices.Equal(c.got, want) {
			t.Errorf("%s: %v, want those of %q", name, c.got, c.want)
		}
	}
}
