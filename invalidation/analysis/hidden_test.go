package analysis

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tree shows neither the clock in a text that
// becomes a time, nor the catalog that the text of a type depends on.
func TestTimesAndRolesBehindTexts(t *testing.T) {
	b := setup(t)
	for sql, want := range map[string]string{
		`SELECT email::date FROM users WHERE id = $1`:                              "no: unsafe_cast",
		`SELECT email::time FROM users WHERE id = $1`:                              "no: unsafe_cast",
		`SELECT email::timestamp FROM users WHERE id = $1`:                         "no: unsafe_cast",
		`SELECT CAST(email || '' AS timestamptz) FROM users WHERE id = $1`:         "no: unsafe_cast",
		`SELECT id FROM users WHERE email::timestamptz > '2020-01-01 00:00:00+00'`: "no: unsafe_cast",
		`SELECT email::regclass FROM users`:                                        "no: stable_function",
		`SELECT id::int8::oid::regrole FROM users`:                                 "no: unsafe_result_type",
		`SELECT id::int8::oid::regproc FROM users`:                                 "no: unsafe_result_type",
		`SELECT id::int8::oid::regtype::text FROM users`:                           "no: unsafe_result_type",
	} {
		v := b.analyze(t, request(sql))
		if got := b.show(v); got != want {
			t.Errorf("%s\n got  %s [%s]\n want %s", sql, got, v.Detail, want)
		}
	}
}

// The row that a join leads to may change between the
// load and a look at which row that is. So it is looked up before the load, in
// tables whose own tag tells of such a change, and the table joined to is depended
// on as a whole where there is none, or until the lookup was made.
func TestJoinsSayWhatToLookUp(t *testing.T) {
	b := setup(t)
	for _, c := range []struct{ sql, want string }{
		{`SELECT o.*, u.name FROM orders o JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
		{`SELECT o.*, u.name FROM orders o LEFT JOIN users u ON u.id = o.user_id WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
		{`SELECT * FROM orders o LEFT JOIN items i ON i.order_id = o.id WHERE o.user_id = $1 ORDER BY o.id LIMIT 10`, "items/order_id=public.orders.id orders/user_id=$1"},
		{`SELECT * FROM orders o JOIN v_agg a ON a.user_id = o.user_id WHERE o.id = $1`, "orders/id=$1 orders/user_id=public.orders.user_id"},
		{`SELECT * FROM orders o JOIN users u ON u.id = o.user_id JOIN items i ON i.order_id = o.id WHERE o.id IN ($1, 7)`, "items/order_id=$1|'7' orders/id=$1|'7' users/id=public.orders.user_id"},
		{`SELECT * FROM (SELECT * FROM orders WHERE id = $1) o JOIN users u ON u.id = o.user_id`, "orders/id=$1 users/id=public.orders.user_id"},
		{`SELECT * FROM orders o JOIN users u ON u.id = o.user_id WHERE o.total = $1`, "orders users"},
		{`SELECT * FROM orders o RIGHT JOIN users u ON u.id = o.user_id AND o.id = $1`, "orders/id=$1 users"},
		{`SELECT * FROM orders o JOIN users u ON u.manager_id = o.user_id WHERE o.id = $1`, "orders/id=$1 users"},
		{`SELECT * FROM users u JOIN users m ON m.id = u.manager_id JOIN users mm ON mm.id = m.manager_id WHERE u.id = $1`, "users/id=$1 users/id=public.users.manager_id users/id=public.users.manager_id"},
		{`SELECT * FROM items i JOIN orders o ON o.id = i.order_id JOIN users u ON u.id = o.user_id JOIN users m ON m.id = u.manager_id WHERE i.id = $1`, "items/id=$1 orders/id=public.items.order_id users/id=public.orders.user_id users/id=public.users.manager_id"},
		{`SELECT * FROM items i JOIN orders o ON o.id = i.order_id JOIN users u ON u.id = o.user_id JOIN users m ON m.id = u.manager_id JOIN users n ON n.id = m.manager_id WHERE i.id = $1`, "items/id=$1 orders/id=public.items.order_id users"},
		{`SELECT o.*, (SELECT u.name FROM users u WHERE u.id = o.user_id) FROM orders o WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
		{`SELECT o.* FROM orders o WHERE o.id = $1 AND NOT EXISTS (SELECT FROM users u WHERE u.id = o.user_id)`, "orders/id=$1 users/id=public.orders.user_id"},
		{`SELECT o.* FROM orders o WHERE o.id = $1 AND EXISTS (SELECT FROM users u WHERE u.id = o.user_id OR u.id = 7)`, "orders/id=$1 users/id=public.orders.user_id|'7'"},
		{`SELECT o.* FROM orders o WHERE o.id = $1 OR EXISTS (SELECT FROM users u WHERE u.id = o.user_id)`, "orders users"},
		{`SELECT o.id, l.name FROM orders o LEFT JOIN LATERAL (SELECT u.name FROM users u WHERE u.id = o.user_id LIMIT 1) l ON true WHERE o.id = $1`, "orders/id=$1 users/id=public.orders.user_id"},
		{`SELECT (SELECT u.name FROM users u WHERE u.id = o.user_id AND u.id = $2) FROM orders o WHERE o.id = $1`, "orders/id=$1 users/id=$2"},
	} {
		v := b.analyze(t, request(c.sql))
		if got := b.show(v); got != c.want {
			t.Errorf("%s\n got  %s\n want %s", c.sql, got, c.want)
		}
		if v.Joins() != strings.Contains(c.want, "=public.") {
			t.Errorf("%s: joins %v", c.sql, v.Joins())
		}
	}
}

// A lookup finds the values of now, in columns of every type, and gives up on too
// many.
func TestLookup(t *testing.T) {
	b := setup(t)
	b.exec(t, `INSERT INTO users (id, name, email) VALUES (1, 'a"b\', 'x'), (2, '{,}', 'y'), (3, NULL, 'z');
		INSERT INTO users (id, name, email) SELECT n, 'n' || n, 'many' FROM generate_series(1000, 2000) n;
		SET standard_conforming_strings = off`)
	v := b.analyze(t, request(`SELECT * FROM users u JOIN orders o ON o.status = u.name WHERE u.email = ANY ($1)`))
	for _, c := range []struct{ bound, want string }{
		{`{x}`, `orders/* orders/status=a"b\ users/* users/email=x`},
		{`{"x",y,z}`, `orders/* orders/status=a"b\ orders/status={,} users/* users/email=x users/email=y users/email=z`},
		{`{z}`, `orders/* users/* users/email=z`},
		{`{}`, `orders/* users/*`},
		{`{many}`, `orders users/* users/email=many`},
	} {
		p := Params{Bound: []Value{{Data: []byte(c.bound)}}}
		sql, ok := v.LookupSQL(p)
		if !ok {
			t.Fatalf("%s: no lookup", c.bound)
		}
		results, err := b.conn.PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			t.Fatalf("%v: %s", err, sql)
		}
		if p.Joined, ok = v.ReadLookup(results[0].Rows[0]); !ok {
			t.Fatalf("%s: the answer %q is not understood", c.bound, results[0].Rows)
		}
		tags, _ := v.AppendTags(nil, p)
		named := b.namedAll(tags)
		slices.Sort(named)
		if got := strings.Join(named, " "); got != c.want {
			t.Errorf("%s: tags %s, want %s", c.bound, got, c.want)
		}
		p.Joined = nil
		if tags, ok := v.AppendTags(nil, p); !ok || !slices.Contains(b.namedAll(tags), "orders") {
			t.Errorf("%s: without a lookup the tags are %q, want the whole table", c.bound, b.namedAll(tags))
		}
	}
}

// What is looked up in the rows of a table guards the table joined to, and says
// nothing of that table itself: a row with another value may come to be read.
func TestNoTableIsGuardedByWhatIsLookedUpInIt(t *testing.T) {
	b := setup(t)
	ids := make([]string, guardValuesMax)
	for i := range ids {
		ids[i] = strconv.Itoa(i + 1)
	}
	v := b.analyze(t, request(`SELECT o.*, u.name FROM orders o JOIN users u ON u.id = o.user_id WHERE o.id IN (`+strings.Join(ids, ", ")+`)`))
	want := "orders/id='" + strings.Join(ids, "'|'") + "' users/id=public.orders.user_id"
	if got := b.show(v); got != want {
		t.Errorf("got %s", got)
	}
}
