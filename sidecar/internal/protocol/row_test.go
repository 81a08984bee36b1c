package protocol

import "testing"

func TestTextArraysThatPostgresDoesNotPrint(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", "}", "a", "{a", "a}", "{,}", "{a,}", "{,a}", `{"}`, `{"a}`, `{"a"b}`, `{"a\}`, `{"a\"}`} {
		if parts, ok := ParseTextArray([]byte(text)); ok {
			t.Errorf("%s was read as %q", text, parts)
		}
	}
	if parts, ok := ParseTextArray([]byte("{}")); !ok || len(parts) > 0 {
		t.Errorf("the empty array was read as %q, %v", parts, ok)
	}
}

// What Postgres prints is read: NULL is told from the text NULL, and what is quoted
// is unquoted.
func TestParseTextArray(t *testing.T) {
	t.Parallel()
	parts, ok := ParseTextArray([]byte(`{a,"",NULL,"NULL","b,c","d\"e\\f"}`))
	want := []string{"a", "", "", "NULL", "b,c", `d"e\f`}
	if !ok || len(parts) != len(want) {
		t.Fatalf("%q, %v", parts, ok)
	}
	for i, part := range parts {
		if null := i == 2; string(part) != want[i] || (part == nil) != null {
			t.Errorf("element %d is %q, nil %v", i, part, part == nil)
		}
	}
}

func TestDataRow(t *testing.T) {
	t.Parallel()
	columns, ok := DataRow([]byte("\x00\x03\x00\x00\x00\x02ab\xff\xff\xff\xff\x00\x00\x00\x00"))
	if !ok || len(columns) != 3 || string(columns[0]) != "ab" || columns[1] != nil || columns[2] == nil {
		t.Errorf("%q, %v", columns, ok)
	}
	for _, malformed := range []string{"", "\x00", "\x00\x01", "\x00\x01\x00\x00\x00\x02a", "\x00\x00a"} {
		if columns, ok := DataRow([]byte(malformed)); ok {
			t.Errorf("%q was read as %q", malformed, columns)
		}
	}
}
