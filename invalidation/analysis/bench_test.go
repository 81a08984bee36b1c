package analysis

import "testing"

// The steps of a hit by the simple protocol, whose literals stand in the text.
func BenchmarkTemplate(b *testing.B) {
	for b.Loop() {
		if _, ok := NewTemplate(`SELECT abalance FROM pgbench_accounts WHERE aid = 84213;`, true); !ok {
			b.Fatal("no template")
		}
	}
}

func BenchmarkAppendTags(b *testing.B) {
	v := &Verdict{
		Cacheable:  true,
		ParamTypes: []uint32{typeInt8},
		clockParam: []bool{false},
		Tags:       []TagTemplate{{Root: 16384, Column: "id", Values: []ValueSource{{Origin: Parameter, Type: typeInt8}}}},
	}
	p := Params{Bound: []Value{{Data: []byte("84213")}}}
	var dst []string
	for b.Loop() {
		var ok bool
		if dst, ok = v.AppendTags(dst[:0], p); !ok {
			b.Fatal("no tags")
		}
	}
}

// BenchmarkAnalyze is one warm analysis: a round trip, and reading the tree.
func BenchmarkAnalyze(b *testing.B) {
	bench := setup(b)
	r := request(`SELECT o.*, u.name FROM orders o JOIN users u ON o.user_id = u.id WHERE u.id = $1`)
	for b.Loop() {
		bench.analyze(b, r)
	}
}
