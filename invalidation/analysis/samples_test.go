package analysis

import (
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// family is a set of types whose values can be compared with one another, and a
// few values of them: few, so that rows meet and miss each other often.
type family struct {
	name    string
	types   []string // of columns
	declare []uint32 // types a client may declare a parameter of this family as
	array   string   // type of arrays of it; empty: none are made
	// bare values need no quotes.
	bare bool
	// loose is set where equal values may print differently.
	loose bool
	// shown families may stand in an answer.
	shown  bool
	values []sample
}

// sample is one value: as Postgres prints it, and other texts that read the same.
type sample struct {
	text  string
	forms []string
}

func samples(texts ...string) []sample {
	var out []sample
	for _, text := range texts {
		out = append(out, sample{text: text})
	}
	return out
}

var (
	wholeNumbers = &family{
		name: "int", types: []string{"smallint", "integer", "bigint"}, array: "int8[]", bare: true, shown: true,
		declare: []uint32{typeInt2, typeInt4, typeInt8},
		values:  []sample{{"0", []string{"-0", "00"}}, {"1", []string{" 1", "+1"}}, {"2", []string{"02", "2 "}}, {"-1", []string{" -1"}}, {"3", nil}},
	}
	texts = &family{
		name: "text", types: []string{"text", "varchar(99)", `text COLLATE "C"`}, array: "text[]", shown: true,
		declare: []uint32{typeText, typeVarchar},
		values:  samples("a", "A", "ab", "", "O'x", strings.Repeat("long ", 14)),
	}
)

var families = []*family{
	wholeNumbers, texts,
	{name: "loose", types: []string{"text COLLATE loose"}, loose: true, shown: true, values: samples("a", "A", "b")},
	{
		name: "uuid", types: []string{"uuid"}, array: "uuid[]", shown: true,
		values: []sample{
			{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", []string{"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"}},
			{"b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", nil},
			{"00000000-0000-0000-0000-000000000001", nil},
		},
	},
	{name: "bool", types: []string{"boolean"}, array: "bool[]", shown: true, values: []sample{{"true", []string{"t", "yes", "on", "1", "TRUE"}}, {"false", []string{"f", "no", "off", "0"}}}},
	{name: "enum", types: []string{"mood"}, shown: true, values: samples("ok", "sad")},
	// Casts of users hang on this one, which read a table.
	{name: "tone", types: []string{"tone"}, shown: true, values: samples("ok", "sad")},
	{name: "date", types: []string{"date"}, array: "date[]", shown: true, values: []sample{{"2024-01-01", []string{"2024-1-1", "January 1, 2024"}}, {"2024-01-02", nil}}},
	{name: "stamp", types: []string{"timestamp"}, shown: true, values: []sample{{"2024-01-01 00:00:00", []string{"2024-01-01"}}, {"2024-01-02 12:00:00", nil}}},
	{
		name: "stampz", types: []string{"timestamptz"}, shown: true,
		values: []sample{{"2024-01-01 00:00:00+00", []string{"2024-01-01 02:00:00+02", "2024-01-01T00:00:00Z"}}, {"2024-01-02 12:00:00+00", nil}},
	},
	{name: "numeric", types: []string{"numeric"}, array: "numeric[]", bare: true, loose: true, shown: true, values: samples("1", "1.0", "1.00", "2")},
	{name: "float", types: []string{"float8"}, loose: true, shown: true, values: samples("0", "-0", "1")},
	{name: "char", types: []string{"char(3)"}, loose: true, values: samples("a", "a ", "b")},
	{name: "ints", types: []string{"int[]"}, shown: true, values: samples("{1,2}", "{1}", "{2,NULL}", "{}")},
	{name: "jsonb", types: []string{"jsonb"}, loose: true, values: samples("1", "1.0", `{"a": 1}`)},
	{name: "interval", types: []string{"interval"}, loose: true, values: samples("1 day", "24:00:00", "1 mon", "30 days")},
}

// baseType is the type of a column without its collation and its length.
func baseType(declared string) string {
	declared, _, _ = strings.Cut(declared, " COLLATE")
	declared, _, _ = strings.Cut(declared, "(")
	return declared
}

// quoted writes a value as an SQL string.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// stored writes a stored value, for an INSERT.
func stored(text *string) string {
	if text == nil {
		return "NULL"
	}
	return quoted(*text)
}

// bound is a parameter's value: its text, nil for NULL, and whether it is sent in
// binary.
type bound struct {
	text   *string
	binary bool
	typ    uint32 // as declared; 0 leaves it to the server
}

// value encodes the parameter for the type that the server takes it for. What
// cannot be sent in binary is sent as text.
func (b bound) value(types *pgtype.Map, oid uint32) Value {
	if b.text == nil {
		return Value{Null: true, Binary: b.binary}
	}
	text := Value{Data: []byte(*b.text)}
	t, known := types.TypeForOID(oid)
	if !b.binary || !known {
		return text
	}
	read, err := t.Codec.DecodeValue(types, oid, pgtype.TextFormatCode, text.Data)
	if err != nil {
		return text
	}
	data, err := types.Encode(oid, pgtype.BinaryFormatCode, read, nil)
	if err != nil {
		return text
	}
	return Value{Data: data, Binary: true}
}
