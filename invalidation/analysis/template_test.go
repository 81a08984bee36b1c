package analysis

import (
	"slices"
	"strings"
	"testing"
)

// covers analyses one statement and asks whether another may use its verdict.
func (b *bench) covers(t *testing.T, analysed, other string) bool {
	t.Helper()
	v := b.analyze(t, request(analysed))
	if !v.Cacheable {
		t.Fatalf("%s: refused as %s [%s]", analysed, v.Reason, v.Detail)
	}
	template, ok := NewTemplate(other, true)
	return ok && v.Covers(template)
}

func TestVerdictsAreSharedAmongLiterals(t *testing.T) {
	b := setup(t)
	for _, c := range []struct {
		name, analysed, other string
		want                  bool
	}{
		{"integer", `SELECT * FROM users WHERE id = 1`, `SELECT * FROM users WHERE id = 222`, true},
		{"integer, other class", `SELECT * FROM users WHERE id = 1`, `SELECT * FROM users WHERE id = 2147483648`, false},
		{"integer boundary", `SELECT * FROM users WHERE id = 1`, `SELECT * FROM users WHERE id = 2147483647`, true},
		{"both int8", `SELECT * FROM users WHERE id = 2147483648`, `SELECT * FROM users WHERE id = 9223372036854775807`, true},
		{"int8 to numeric", `SELECT * FROM users WHERE id = 9223372036854775807`, `SELECT * FROM users WHERE id = 9223372036854775808`, false},
		{"leading zeros", `SELECT * FROM users WHERE id = 1`, `SELECT * FROM users WHERE id = 0002`, true},
		{"string", `SELECT * FROM users WHERE email = 'a'`, `SELECT * FROM users WHERE email = 'it''s b'`, true},
		{"string with a clock word", `SELECT * FROM users WHERE email = 'a'`, `SELECT * FROM users WHERE email = 'now'`, true},
		{"string with a backslash", `SELECT * FROM users WHERE email = 'a'`, `SELECT * FROM users WHERE email = 'a\b'`, true},
		{"string as integer", `SELECT * FROM users WHERE id = '1'`, `SELECT * FROM users WHERE id = '2'`, true},
		{"string as uuid", `SELECT * FROM users WHERE u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, `SELECT * FROM users WHERE u = 'B0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`, true},
		{"string as bool", `SELECT * FROM users WHERE active = 't'`, `SELECT * FROM users WHERE active = 'false'`, true},
		{"string against integer", `SELECT * FROM users WHERE id = '1'`, `SELECT * FROM users WHERE id = 1`, false},
		{"list", `SELECT * FROM users WHERE id IN (1, 2)`, `SELECT * FROM users WHERE id IN (3, 4)`, true},
		{"longer list", `SELECT * FROM users WHERE id IN (1, 2)`, `SELECT * FROM users WHERE id IN (3, 4, 5)`, false},
		{"limit", `SELECT * FROM users LIMIT 10`, `SELECT * FROM users LIMIT 20`, true},
		{"offset", `SELECT * FROM users OFFSET 10`, `SELECT * FROM users OFFSET 20`, true},
		{"output", `SELECT 1, 'a'::text FROM users`, `SELECT 2, 'b'::text FROM users`, true},
		{"arithmetic", `SELECT id + 1 FROM users`, `SELECT id + 2 FROM users`, true},
		{"order by ordinal", `SELECT id, email FROM users ORDER BY 1`, `SELECT id, email FROM users ORDER BY 2`, false},
		{"group by ordinal", `SELECT email, name FROM users GROUP BY 1, 2`, `SELECT email, name FROM users GROUP BY 2, 1`, false},
		{"distinct on ordinal", `SELECT DISTINCT ON (1) id, email FROM users`, `SELECT DISTINCT ON (2) id, email FROM users`, false},
		{"negative number", `SELECT * FROM users WHERE id = -1`, `SELECT * FROM users WHERE id = -2`, false},
		{"subtraction", `SELECT id - 1 FROM users`, `SELECT id - 2 FROM users`, true},
		{"numeric", `SELECT * FROM users WHERE num = 1.5`, `SELECT * FROM users WHERE num = 2.5`, false},
		{"typed date", `SELECT * FROM users WHERE born = date '2024-01-01'`, `SELECT * FROM users WHERE born = date '2024-01-02'`, false},
		{"date", `SELECT * FROM users WHERE born = '2024-01-01'`, `SELECT * FROM users WHERE born = 'today'`, false},
		{"interval", `SELECT born + interval '1 day' FROM users`, `SELECT born + interval '2 day' FROM users`, false},
		{"length of a type", `SELECT name::varchar(3) FROM users`, `SELECT name::varchar(4) FROM users`, false},
		{"precision of a type", `SELECT num::numeric(10, 2) FROM users`, `SELECT num::numeric(10, 3) FROM users`, false},
		{"text search configuration", `SELECT to_tsvector('english', email) FROM users`, `SELECT to_tsvector('german', email) FROM users`, false},
		{"enum", `SELECT * FROM users WHERE mood = 'ok'`, `SELECT * FROM users WHERE mood = 'sad'`, false},
		{"array text", `SELECT * FROM users WHERE id = ANY ('{1,2}')`, `SELECT * FROM users WHERE id = ANY ('{3,4}')`, false},
		{"char(n)", `SELECT * FROM users WHERE ch = 'a'`, `SELECT * FROM users WHERE ch = 'b'`, false},
		{"array constructor and subscript", `SELECT (ARRAY[1, 2])[1] FROM users`, `SELECT (ARRAY[3, 4])[2] FROM users`, true},
		{"window frame", `SELECT count(*) OVER (ORDER BY id ROWS 1 PRECEDING) FROM users`, `SELECT count(*) OVER (ORDER BY id ROWS 2 PRECEDING) FROM users`, true},
		{"between symmetric", `SELECT * FROM users WHERE id BETWEEN SYMMETRIC 1 AND 2`, `SELECT * FROM users WHERE id BETWEEN SYMMETRIC 3 AND 4`, true},
		{"same text, no literals", `SELECT * FROM users WHERE id = $1`, `SELECT * FROM users WHERE id = $1`, true},
		{"other column", `SELECT * FROM users WHERE id = 1`, `SELECT * FROM users WHERE sm = 1`, false},
		{"other comment", `SELECT * FROM users /* 1 */ WHERE id = 1`, `SELECT * FROM users /* 2 */ WHERE id = 1`, false},
		{"not ASCII before it", `SELECT 'é', id FROM users WHERE id = 1`, `SELECT 'éé', id FROM users WHERE id = 2`, true},
		{"escape string anywhere", `SELECT E'a', id FROM users WHERE id = 1`, `SELECT E'a', id FROM users WHERE id = 1`, false},
	} {
		if got := b.covers(t, c.analysed, c.other); got != c.want {
			t.Errorf("%s: %s / %s: got %v, want %v", c.name, c.analysed, c.other, got, c.want)
		}
	}
}

func TestTagsOfSharedVerdict(t *testing.T) {
	b := setup(t)
	for _, c := range []struct{ analysed, other, want string }{
		{`SELECT * FROM users WHERE id = 1`, `SELECT * FROM users WHERE id = 007`, `users/*,users/id=7`},
		{`SELECT * FROM users WHERE id IN (1, 2)`, `SELECT * FROM users WHERE id IN (3, 3)`, `users/*,users/id=3`},
		{`SELECT * FROM users WHERE email = 'a'`, `SELECT * FROM users WHERE email = 'O''Neill'`, `users/*,users/email=O'Neill`},
		{`SELECT * FROM users WHERE u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, `SELECT * FROM users WHERE u = 'B0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`, `users/*,users/u=b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11`},
		{`SELECT * FROM users WHERE id = '1'`, `SELECT * FROM users WHERE id = ' +2 '`, `users/*,users/id=2`},
		{`SELECT * FROM users WHERE id = '1'`, `SELECT * FROM users WHERE id = 'nonsense'`, `users`},
		{`SELECT id, 5 FROM users WHERE id = 1 LIMIT 3`, `SELECT id, 6 FROM users WHERE id = 2 LIMIT 9`, `users/*,users/id=2`},
	} {
		v := b.analyze(t, request(c.analysed))
		template, ok := NewTemplate(c.other, true)
		if !ok || !v.Covers(template) {
			t.Errorf("%s does not cover %s", c.analysed, c.other)
			continue
		}
		tags, ok := v.AppendTags(nil, Params{Literals: template.Literals})
		if got := b.join(tags); !ok || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.other, got, ok, c.want)
		}
	}
}

// join shows tags sorted, with table names.
func (b *bench) join(tags []string) string {
	var named []string
	for _, tag := range tags {
		named = append(named, b.named(tag))
	}
	slices.Sort(named)
	return strings.Join(named, ",")
}

func TestAppendTags(t *testing.T) {
	b := setup(t)
	text := func(s string) Value { return Value{Data: []byte(s)} }
	long := strings.Repeat("é", 33)
	for _, c := range []struct {
		name, sql string
		bound     []Value
		want      string
	}{
		{"text format", `SELECT * FROM users WHERE id = $1`, []Value{text(" 5")}, `users/*,users/id=5`},
		{"binary format", `SELECT * FROM users WHERE id = $1`, []Value{{Data: []byte{0, 0, 0, 0, 0, 0, 0, 5}, Binary: true}}, `users/*,users/id=5`},
		{"NULL", `SELECT * FROM users WHERE id = $1`, []Value{{Null: true}}, `users/*`},
		{"unreadable", `SELECT * FROM users WHERE id = $1`, []Value{text("0x5")}, `users`},
		{"long value", `SELECT * FROM users WHERE email = $1`, []Value{text(long)}, `users/*,users/email=md5:077487916da57cf9188bbd0c5e604050`},
		{"value of 64 bytes", `SELECT * FROM users WHERE email = $1`, []Value{text(long[2:])}, `users/*,users/email=` + long[2:]},
		{"array", `SELECT * FROM users WHERE id = ANY ($1)`, []Value{text("{1,2,NULL}")}, `users/*,users/id=1,users/id=2`},
		{"array, NULL", `SELECT * FROM users WHERE id = ANY ($1)`, []Value{{Null: true}}, `users/*`},
		{"array, unreadable", `SELECT * FROM users WHERE id = ANY ($1)`, []Value{text("{{1},{2}}")}, `users`},
		{"two guards of one table", `SELECT * FROM fa a, fa b WHERE a.id = $1 AND b.x = $2`, []Value{text("1"), text("2")}, `fa/*,fa/id=1,fa/x=2`},
		{"two tables", `SELECT * FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = $1`, []Value{text("1")}, `orders/*,orders/user_id=1,users/*,users/id=1`},
		{"IN of NULL alone", `SELECT * FROM users WHERE id IN (NULL::int, NULL::int)`, nil, `users/*`},
		{"no table", `SELECT 1`, nil, ``},
		{"date", `SELECT * FROM users WHERE id = 1 AND born = $1`, []Value{text("2024-01-01")}, `users/*,users/id=1`},
		{"text parameter with a clock word", `SELECT * FROM users WHERE email = $1`, []Value{text("now")}, `users/*,users/email=now`},
		{"date in words", `SELECT * FROM users WHERE born = $1`, []Value{text("Today")}, `refused`},
		{"dates in words", `SELECT * FROM users WHERE born = ANY ($1)`, []Value{text("{2024-01-01,tomorrow}")}, `refused`},
		{"binary date", `SELECT * FROM users WHERE born = $1`, []Value{{Data: []byte{0, 0, 0, 1}, Binary: true}}, `users`},
		{"NULL date", `SELECT * FROM users WHERE born = $1`, []Value{{Null: true}}, `users`},
		{"time with time zone", `SELECT * FROM users WHERE id = 1 AND $1::timetz IS NULL`, []Value{text("10:00")}, `refused`},
		{"too few parameters", `SELECT * FROM users WHERE id = $1`, nil, `refused`},
		{"too many parameters", `SELECT * FROM users WHERE id = $1`, []Value{text("1"), text("2")}, `refused`},
		{"not cacheable", `SELECT now()`, nil, `refused`},
	} {
		v := b.analyze(t, request(c.sql))
		tags, ok := v.AppendTags([]string{"before"}, Params{Bound: c.bound})
		got := "refused"
		if ok {
			got = b.join(tags[1:])
		}
		if tags[0] != "before" || got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
