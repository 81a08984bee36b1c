package analysis

import (
	"fmt"
	"strings"
	"testing"
)

func showTemplate(sql string, standardConforming bool) string {
	t, ok := NewTemplate(sql, standardConforming)
	if !ok {
		return "odd"
	}
	out := strings.ReplaceAll(t.Key, "\x00", "%")
	for _, l := range t.Literals {
		out += fmt.Sprintf(" [%s@%d]", l.Text, l.Offset)
	}
	return out
}

func TestTemplate(t *testing.T) {
	for _, c := range []struct{ name, sql, want string }{
		{"integer", `a = 5`, `a = %i [5@4]`},
		{"largest int4", `a = 2147483647`, `a = %i [2147483647@4]`},
		{"smallest int8", `a = 2147483648`, `a = %I [2147483648@4]`},
		{"largest int8", `a = 9223372036854775807`, `a = %I [9223372036854775807@4]`},
		{"numeric by size", `a = 9223372036854775808`, `a = 9223372036854775808`},
		{"leading zeros", `a = 007`, `a = %i [007@4]`},
		{"numeric", `a = 1.5 + .5 + 1e3 + 1.e-2`, `a = 1.5 + .5 + 1e3 + 1.e-2`},
		{"minus", `a = -5`, `a = -%i [5@5]`},
		{"string", `a = 'x'`, `a = %s [x@4]`},
		{"empty string", `a = ''`, `a = %s [@4]`},
		{"doubled quote", `a = 'it''s'`, `a = %s [it's@4]`},
		{"two strings", `a IN ('x','y')`, `a IN (%s,%s) [x@6] [y@10]`},
		{"backslash", `a = 'x\'`, `a = %s [x\@4]`},
		{"parameter", `a = $12 + 3`, `a = $12 + %i [3@10]`},
		{"word with digits", `t1.c2 = 3`, `t1.c2 = %i [3@8]`},
		{"word with a dollar", `a$1 = 3`, `a$1 = %i [3@6]`},
		{"quoted word", `"a 5 ""'" = 3`, `"a 5 ""'" = %i [3@12]`},
		{"line comment", "1 -- 2 '\n3", "%i -- 2 '\n%i [1@0] [3@9]"},
		{"block comment", `1 /* 2 /* 'x */ 3 */ 4`, `%i /* 2 /* 'x */ 3 */ %i [1@0] [4@21]`},
		{"slice", `a[1:2]`, `a[%i:%i] [1@2] [2@4]`},
		{"typed string", `date'2024-01-01'`, `date%s [2024-01-01@4]`},
		{"typed string, spaced", `date '2024-01-01'`, `date %s [2024-01-01@5]`},
		{"not ASCII", `é = 'ü' AND b = 2`, `é = %s AND b = %i [ü@5] [2@18]`},
		{"word before a spaced string", `SELECT e 'x'`, `SELECT e %s [x@9]`},
		{"escape string", `E'x'`, `odd`},
		{"escape string, hidden quote", `e'x\'' || '5'`, `odd`},
		{"bit string", `B'01'`, `odd`},
		{"hex string", `x'ff'`, `odd`},
		{"national string", `n'x'`, `odd`},
		{"Unicode string", `U&'\0041'`, `odd`},
		{"Unicode word", `U&"a"`, `odd`},
		{"dollar string", `$$x$$`, `odd`},
		{"tagged dollar string", `$a$ 5 $$ ' $a$ + 1`, `odd`},
		{"continued string", "'a'\n'b'", `odd`},
		{"open string", `'a`, `odd`},
		{"open comment", `1 /* 2`, `odd`},
		{"number into a word", `1abc`, `odd`},
		{"underscored number", `1_000`, `odd`},
		{"hexadecimal number", `0xff`, `odd`},
	} {
		if got := showTemplate(c.sql, true); got != c.want {
			t.Errorf("%s: %s\n got  %s\n want %s", c.name, c.sql, got, c.want)
		}
	}
	for sql, want := range map[string]string{
		`a = 'x'`:         `a = %s [x@4]`,
		`a = 'x\''`:       `odd`,
		`a = 'x\\' AND 5`: `odd`,
	} {
		if got := showTemplate(sql, false); got != want {
			t.Errorf("backslashes escape: %s: got %s, want %s", sql, got, want)
		}
	}
}

func TestTemplateLimit(t *testing.T) {
	sql := "SELECT " + strings.Repeat("1,", templateLiteralsMax-1) + "1"
	if _, ok := NewTemplate(sql, true); !ok {
		t.Error("no template at the limit")
	}
	if _, ok := NewTemplate(sql+",1", true); ok {
		t.Error("a template beyond the limit")
	}
}

func TestFirstKeyword(t *testing.T) {
	for sql, want := range map[string]string{
		`select 1`:                          "SELECT",
		"\n\t/* x /* y */ */ -- z\n with a": "WITH",
		`((VALUES (1)))`:                    "VALUES",
		`Table x`:                           "TABLE",
		`begin`:                             "BEGIN",
		``:                                  "",
		`;`:                                 "",
		`"select" 1`:                        "",
		`/* open`:                           "",
		`selectx 1`:                         "SELECTX",
	} {
		if got := FirstKeyword(sql); got != want {
			t.Errorf("%q: got %q, want %q", sql, got, want)
		}
	}
}

func TestPrescreen(t *testing.T) {
	for sql, want := range map[string]Reason{
		`SELECT 1`:                     "",
		`SELECT 1;`:                    "",
		`SELECT 1; -- done`:            "",
		`SELECT ';', ";", $$;$$ /*;*/`: "",
		`SELECT 1; ; `:                 "",
		`SELECT 1; SELECT 2`:           ReasonMultipleStatements,
		`SELECT 1; DROP TABLE users`:   ReasonMultipleStatements,
		`WITH a AS (SELECT 1) TABLE a`: "",
		`UPDATE users SET id = 1`:      ReasonNotSelect,
		`BEGIN`:                        ReasonNotSelect,
		`EXPLAIN SELECT 1`:             ReasonNotSelect,
		``:                             ReasonNotSelect,
	} {
		if got := Prescreen(sql, true); got != want {
			t.Errorf("%q: got %q, want %q", sql, got, want)
		}
	}
}

func TestClockWords(t *testing.T) {
	for text, want := range map[string]bool{
		"now": true, "NOW": true, "2024-01-01 Today": true, "tomorrow10:00": true, "{yesterday}": true,
		"know":       true, // caution costs a pass-through, never a stale answer
		"2024-01-01": false, "epoch": false, "infinity": false, "": false, "no w": false, "to day": false,
	} {
		if got := hasClockWord(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// FuzzTemplate holds the lexer to what sharing needs of it: it never panics,
// literals lie where it says, and putting them back gives the statement.
func FuzzTemplate(f *testing.F) {
	for _, c := range golden {
		f.Add(c.sql, true)
	}
	f.Add(`SELECT 'a\'' || 5`, false)
	f.Fuzz(func(t *testing.T, sql string, standardConforming bool) {
		Prescreen(sql, standardConforming)
		template, ok := NewTemplate(sql, standardConforming)
		if !ok {
			return
		}
		key, at := template.Key, 0
		for _, l := range template.Literals {
			n := l.Offset - at
			if n < 0 || n+2 > len(key) || key[:n] != sql[at:l.Offset] || key[n] != 0 || key[n+1] != byte(l.Kind) {
				t.Fatalf("%q: literal %q is not at %d", sql, l.Text, l.Offset)
			}
			token := l.Text
			if l.Kind == LiteralString {
				token = "'" + strings.ReplaceAll(l.Text, "'", "''") + "'"
			}
			if !strings.HasPrefix(sql[l.Offset:], token) {
				t.Fatalf("%q: %q does not stand at %d", sql, token, l.Offset)
			}
			key, at = key[n+2:], l.Offset+len(token)
		}
		if key != sql[at:] {
			t.Fatalf("%q: the rest is %q", sql, key)
		}
	})
}
