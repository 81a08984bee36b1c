package analysis

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestCanonicalText(t *testing.T) {
	const unsure = "unsure"
	id := "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	for _, c := range []struct {
		typ        uint32
		text, want string
	}{
		{typeInt4, "5", "5"}, {typeInt4, " 5", "5"}, {typeInt4, "+5\n", "5"}, {typeInt4, "05", "5"},
		{typeInt4, "-0", "0"}, {typeInt4, "-7", "-7"}, {typeInt4, "2147483648", unsure},
		{typeInt4, "0x10", unsure}, {typeInt4, "1_000", unsure}, {typeInt4, "1e3", unsure}, {typeInt4, "", unsure},
		{typeInt8, "9223372036854775807", "9223372036854775807"}, {typeInt8, "9223372036854775808", unsure},
		{typeInt2, "32767", "32767"}, {typeInt2, "32768", unsure},
		{typeText, " A ", " A "}, {typeText, "", ""}, {typeVarchar, "é", "é"},
		{typeBool, "t", "true"}, {typeBool, " TRUE ", "true"}, {typeBool, "1", "true"}, {typeBool, "on", "true"},
		{typeBool, "f", "false"}, {typeBool, "No", "false"}, {typeBool, "tru", unsure}, {typeBool, "", unsure},
		{typeUUID, id, id}, {typeUUID, strings.ToUpper(id), id}, {typeUUID, "{" + id + "}", id},
		{typeUUID, strings.ReplaceAll(id, "-", ""), id}, {typeUUID, id[1:], unsure}, {typeUUID, strings.Repeat("g", 32), unsure},
		{1700, "5", unsure},
	} {
		got, ok := canonicalText(c.typ, Value{Data: []byte(c.text)})
		if !ok {
			got = unsure
		}
		if got != c.want {
			t.Errorf("type %d, text %q: got %q, want %q", c.typ, c.text, got, c.want)
		}
	}
	for _, c := range []struct {
		typ  uint32
		data []byte
		want string
	}{
		{typeInt2, []byte{0xff, 0xfe}, "-2"},
		{typeInt4, []byte{0, 0, 1, 0}, "256"},
		{typeInt8, binary.BigEndian.AppendUint64(nil, uint64(math.MaxInt64)), "9223372036854775807"},
		{typeInt8, []byte{0, 0, 0, 1}, unsure},
		{typeBool, []byte{1}, "true"}, {typeBool, []byte{0}, "false"}, {typeBool, []byte{2}, unsure}, {typeBool, nil, unsure},
		{typeText, []byte("x"), "x"},
		{typeUUID, []byte("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11"), id},
		{typeUUID, []byte("x"), unsure},
		{1700, []byte{0}, unsure},
	} {
		got, ok := canonicalText(c.typ, Value{Data: c.data, Binary: true})
		if !ok {
			got = unsure
		}
		if got != c.want {
			t.Errorf("type %d, binary %x: got %q, want %q", c.typ, c.data, got, c.want)
		}
	}
}

// What we call canonical must be what the server prints for the same input.
func TestCanonicalTextIsTheServers(t *testing.T) {
	b := setup(t)
	for name, c := range map[string]struct {
		typ   uint32
		texts []string
	}{
		"int2":    {typeInt2, []string{"1", " +07 ", "-0", "-32768"}},
		"int4":    {typeInt4, []string{"1", "\t2147483647\n", "-2147483648"}},
		"int8":    {typeInt8, []string{"9223372036854775807", "-9223372036854775808", "000"}},
		"bool":    {typeBool, []string{"t", "TRUE", " yes", "on", "1", "f", "False", "n", "off", "0"}},
		"uuid":    {typeUUID, []string{"A0EEBC999C0B4EF8BB6D6BB9BD380A11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"}},
		"text":    {typeText, []string{"", " a ", "é", `\`, "NULL"}},
		"varchar": {typeVarchar, []string{" a ", "É"}},
	} {
		for _, text := range c.texts {
			var want string
			err := b.conn.QueryRow(t.Context(), "SELECT $1::text::"+name+"::text", pgx.QueryExecModeExec, text).Scan(&want)
			if err != nil {
				t.Fatalf("%s %q: %v", name, text, err)
			}
			if got, ok := CanonicalInput(c.typ, text); !ok || got != want {
				t.Errorf("%s %q: got %q, %v; the server prints %q", name, text, got, ok, want)
			}
		}
	}
}

func TestArrayTexts(t *testing.T) {
	for _, c := range []struct {
		element uint32
		text    string
		want    []string
		ok      bool
	}{
		{typeInt4, `{}`, nil, true},
		{typeInt4, ` { 1 , 02,-3 } `, []string{"1", "2", "-3"}, true},
		{typeInt4, `{1,NULL,"2"}`, []string{"1", "2"}, true},
		{typeInt4, `{1,x}`, nil, false},
		{typeInt4, `{{1,2},{3,4}}`, nil, false},
		{typeInt4, `[0:1]={1,2}`, nil, false},
		{typeInt4, `{1,}`, nil, false},
		{typeInt4, `1,2`, nil, false},
		{typeInt4, `{1,2,3,4,5}`, nil, false},
		{typeText, `{a,"b c","d,e",""}`, []string{"a", "b c", "d,e", ""}, true},
		{typeText, `{"a\"b"}`, nil, false},
		{typeText, `{"a"b}`, nil, false},
		{typeText, `{null,"null"}`, []string{"null", "null"}, true},
		{typeText, `{"a`, nil, false},
		{typeUUID, `{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}`, []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, true},
	} {
		got, ok := arrayTexts(c.element, Value{Data: []byte(c.text)}, 4)
		if ok != c.ok || (ok && !slices.Equal(got, c.want)) {
			t.Errorf("%s: got %q, %v, want %q, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestBinaryArrayTexts(t *testing.T) {
	word := func(words ...int32) (b []byte) {
		for _, w := range words {
			b = binary.BigEndian.AppendUint32(b, uint32(w))
		}
		return b
	}
	for name, c := range map[string]struct {
		data []byte
		want []string
		ok   bool
	}{
		"empty":            {word(0, 0, typeInt4), nil, true},
		"two":              {word(1, 0, typeInt4, 2, 1, 4, 7, 4, -8), []string{"7", "-8"}, true},
		"with NULL":        {word(1, 1, typeInt4, 2, 1, -1, 4, 7), []string{"7"}, true},
		"other type":       {word(1, 0, typeInt8, 1, 1, 4, 7), nil, false},
		"two dimensions":   {word(2, 0, typeInt4, 1, 1, 1, 1, 4, 7), nil, false},
		"cut short":        {word(1, 0, typeInt4, 2, 1, 4, 7), nil, false},
		"trailing":         {word(1, 0, typeInt4, 1, 1, 4, 7, 9), nil, false},
		"huge count":       {word(1, 0, typeInt4, math.MaxInt32, 1, 4, 7), nil, false},
		"negative length":  {word(1, 0, typeInt4, 1, 1, -2), nil, false},
		"length beyond":    {word(1, 0, typeInt4, 1, 1, 400, 7), nil, false},
		"nothing":          {nil, nil, false},
		"header only half": {word(1, 0, typeInt4), nil, false},
	} {
		got, ok := arrayTexts(typeInt4, Value{Data: c.data, Binary: true}, 4)
		if ok != c.ok || (ok && !slices.Equal(got, c.want)) {
			t.Errorf("%s: got %q, %v, want %q, %v", name, got, ok, c.want, c.ok)
		}
	}
}

func FuzzArrayTexts(f *testing.F) {
	f.Add(uint32(typeInt4), false, []byte(`{1,NULL,"2"}`))
	f.Add(uint32(typeText), true, []byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01a"))
	f.Fuzz(func(t *testing.T, element uint32, isBinary bool, data []byte) {
		texts, ok := arrayTexts(element, Value{Data: data, Binary: isBinary}, 16)
		if ok && len(texts) > 16 {
			t.Fatalf("%d texts beyond the limit", len(texts))
		}
	})
}
