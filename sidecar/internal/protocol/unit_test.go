package protocol

import (
	"slices"
	"strings"
	"testing"
)

// of makes empty messages of the given kinds.
func of(kinds string) []byte {
	var b []byte
	for _, kind := range []byte(kinds) {
		b = AppendMessage(b, kind)
	}
	return b
}

func TestNextUnit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		held []byte
		kind UnitKind
		n    int
	}{
		{"nothing", nil, UnitIncomplete, 0},
		{"a query", of("QQ"), UnitQuery, 5},
		{"half of a query", of("Q")[:4], UnitIncomplete, 0},
		{"a query whose body is to come", []byte("Q\x00\x00\x00\x08ab"), UnitIncomplete, 0},
		{"a group", of("PBDESQ"), UnitGroup, 25},
		{"a Sync alone", of("S"), UnitGroup, 5},
		{"a group that goes on", of("PBE"), UnitIncomplete, 15},
		{"a group with half a message", of("PB")[:8], UnitIncomplete, 5},
		{"a group with a Flush in it", of("PDHBES"), UnitGroup, 30},
		{"a group with a Flush before each message", of("HPHHDHSQ"), UnitGroup, 35},
		{"a group up to a Flush", of("PDHBE"), UnitPart, 15},
		{"a group up to a Flush, and half a Sync", of("PDHS")[:18], UnitPart, 15},
		{"a group that something else ends behind a Flush", of("PHEQS"), UnitPart, 10},
		{"a group with its Sync far behind a Flush", of("H" + strings.Repeat("E", behindFlushMax) + "S"), UnitPart, 5},
		{"a group that something else ends", of("PQ"), UnitPart, 5},
		{"a call", of("F"), UnitCall, 5},
		{"data", of("dc"), UnitCopy, 5},
		{"the end of data", of("c"), UnitCopy, 5},
		{"data that failed", of("f"), UnitCopy, 5},
		{"goodbye", of("X"), UnitTerminate, 5},
		{"a message of Postgres", of("Z"), UnitMalformed, 0},
		{"a length that cannot be", []byte("Q\x00\x00\x00\x00"), UnitMalformed, 0},
		{"one in a group", append(of("P"), "B\xff\xff\xff\xff"...), UnitMalformed, 0},
		{"one at its end", append(of("P"), "S\xff\xff\xff\xff"...), UnitMalformed, 0},
		{"one behind a group", append(of("P"), "Q\xff\xff\xff\xff"...), UnitPart, 5},
	} {
		if kind, n := NextUnit(c.held); kind != c.kind || n != c.n {
			t.Errorf("%s: kind %d of %d bytes, want kind %d of %d", c.name, kind, n, c.kind, c.n)
		}
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	kinds := func(unit []byte, max int) (found string) {
		for kind, message := range Messages(unit) {
			if message[0] != kind || MessageLength(message) != len(message) {
				t.Errorf("%q of kind %c", message, kind)
			}
			if found += string(kind); len(found) == max {
				break
			}
		}
		return found
	}
	for _, c := range []struct {
		unit []byte
		max  int
		want string
	}{
		{of("PBES"), -1, "PBES"},
		{of("PBES"), 2, "PB"},
		{of("PB")[:9], -1, "P"},
		{slices.Concat(of("P"), []byte("B\x00\x00\x00\x00"), of("S")), -1, "P"},
		{nil, -1, ""},
	} {
		if got := kinds(c.unit, c.max); got != c.want {
			t.Errorf("%q: %s, want %s", c.unit, got, c.want)
		}
	}
}

// FuzzBytes: whatever bytes come, nothing panics, and nothing is found in them that
// is not there.
func FuzzBytes(f *testing.F) {
	f.Add(of("PBDES"))
	f.Add(slices.Concat(of("Q"), []byte(ReadyIdle), ErrorResponse("ERROR", "42601", "no", "")))
	f.Add([]byte("\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff"))
	f.Add([]byte(`{a,"b\"c",NULL}`))
	f.Add([]byte("\x00\x00\x00\x13\x00\x03\x00\x00user\x00postgres\x00\x00"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		for held := sent; ; {
			kind, n := NextUnit(held)
			if n < 0 || n > len(held) || (n == 0) != (kind == UnitMalformed || kind == UnitIncomplete && n == 0) {
				t.Fatalf("unit of kind %d has %d bytes of %d", kind, n, len(held))
			}
			if n == 0 {
				break
			}
			whole := 0
			for _, m := range Messages(held[:n]) {
				whole += len(m)
			}
			if kind != UnitIncomplete && whole != n {
				t.Fatalf("the messages of a unit have %d bytes of %d", whole, n)
			}
			held = held[n:]
		}
		if columns, ok := DataRow(sent); ok && len(columns) > len(sent)/4 {
			t.Fatalf("%d columns in %d bytes", len(columns), len(sent))
		}
		if parts, ok := ParseTextArray(sent); ok && len(parts) > len(sent)/2 {
			t.Fatalf("%d elements in %d bytes", len(parts), len(sent))
		}
		if list, rest, ok := Int16s(sent); ok && 2+2*len(list)+len(rest) != len(sent) {
			t.Fatalf("%d numbers, and %d bytes behind them, of %d", len(list), len(rest), len(sent))
		}
		_, _ = StatementOfBind(sent)
		_, _ = StatementOfDescribe(sent)
		_ = EndsConnection(sent)
		if message, err := ReadStartup(strings.NewReader(string(sent))); err == nil {
			_, _ = StartupCode(message), RoleOf(message)
			_ = IsReplication(message)
		}
		if len(sent) >= HeaderLength {
			_, _ = WithoutChannelBinding(sent)
		}
	})
}
