package analysis

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// Functions of the database are understood as far as the operator vouches for
// them: by signature, with the tables they read.
func TestDeclaredFunctions(t *testing.T) {
	b := setup(t)
	b.exec(t, `CREATE FUNCTION alt.f_two(int, text) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM users u, orders o';
		CREATE FUNCTION alt.f_two(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM users';
		CREATE FUNCTION alt.f_mood(mood) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'`)
	b.analyzer = b.newAnalyzer(t,
		Function{Signature: "public.f_sql(int8)", Tables: []string{"public.users"}},
		Function{Signature: "public.f_imm(integer)"},
		Function{Signature: "public.a_sum(int)"},
		Function{Signature: `"public".f_plpgsql(int)`, Tables: []string{"public.docs"}},
		Function{Signature: "alt.f_two(int, text)", Tables: []string{"public.users", "public.events_2025"}},
		Function{Signature: "alt.same(text, text)", Tables: []string{"public.unwatched"}},
		Function{Signature: "alt.f_mood(public.mood)"},
		Function{Signature: "pg_catalog.now()"},
		Function{Signature: "public.gone(int)"},
		Function{Signature: "public.f_imm(nothing)"},
		Function{Signature: "public.f_imm(()"},
	)
	for _, c := range []struct{ sql, want string }{
		{`SELECT * FROM f_sql($1)`, `users`},
		{`SELECT f_imm(1), u.id FROM users u WHERE id = $1`, `users/id=$1`},
		{`SELECT * FROM orders WHERE id = f_imm($1)`, `orders`},
		{`SELECT a_sum(sm::int) FROM users WHERE id = $1`, `users/id=$1`},
		{`SELECT f_plpgsql(1)`, `no: row_security`},
		{`SELECT alt.f_two(1, 'a'), o.id FROM orders o WHERE user_id = $1`, `events orders/user_id=$1 users`},
		{`SELECT alt.f_two(1)`, `no: user_function`},
		{`SELECT 1 FROM alt.users WHERE other OPERATOR(alt.=) 'a'`, `no: unwatched_table`},
		{`SELECT alt.f_mood(mood) FROM users WHERE id = $1`, `users/id=$1`},
		{`SELECT now()`, `no: clock`},
	} {
		v := b.analyze(t, request(c.sql))
		if got := b.show(v); got != c.want {
			t.Errorf("%s: got %s [%s], want %s", c.sql, got, v.Detail, c.want)
		}
	}
	if v := b.analyze(t, request(`SELECT alt.f_two(1, 'a')`)); len(v.Mentioned) != 2 || len(v.Tables) != 2 {
		t.Errorf("mentioned %v, tables %v, want two", v.Mentioned, v.Tables)
	}

	// A function that is made anew is another one until the schema event is in.
	b.exec(t, `DROP FUNCTION f_imm(int); CREATE FUNCTION f_imm(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2'`)
	if got := b.show(b.analyze(t, request(`SELECT f_imm(1)`))); got != `no: user_function` {
		t.Errorf("before the schema event: got %s", got)
	}
	b.analyzer.Forget()
	if got := b.show(b.analyze(t, request(`SELECT f_imm(1)`))); got != `` {
		t.Errorf("after the schema event: got %s", got)
	}
}

func TestSignatureForm(t *testing.T) {
	for signature, want := range map[string]bool{
		"public.f(int)": true, `"a b".f(int, text)`: true, "public.f()": true,
		"": false, "f(int)": false, "public.f": false, "public.f(int": false, "a b.f(int)": false, ".f(int)": false,
	} {
		a, err := New(Options{ConnConfig: &pgx.ConnConfig{}, Watch: func() Watch { return nil }, Functions: []Function{{Signature: signature}}})
		if (err == nil) != want {
			t.Errorf("signature %q: %v, want it accepted: %v", signature, err, want)
		}
		if err == nil {
			a.Close()
		}
	}
}
