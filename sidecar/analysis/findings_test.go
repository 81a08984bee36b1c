package analysis

import "testing"

// Finding F12 of a review: the tree shows neither the clock in a text that
// becomes a time, nor the catalog that the text of a type depends on.
func TestF12TimesAndRolesBehindTexts(t *testing.T) {
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

// Finding F5 of a review: the row that a join leads to may change between the
// load and a look at which row that is. So the table joined to is depended on as
// a whole, whatever the join, as long as only the values bound tell its rows.
func TestF5TableJoinedToIsDependedOnAsAWhole(t *testing.T) {
	b := setup(t)
	for _, sql := range []string{
		`SELECT o.*, u.name FROM orders o JOIN users u ON u.id = o.user_id WHERE o.id = $1`,
		`SELECT o.*, u.name FROM orders o LEFT JOIN users u ON u.id = o.user_id WHERE o.id = $1`,
		`SELECT o.*, (SELECT u.name FROM users u WHERE u.id = o.user_id) FROM orders o WHERE o.id = $1`,
		`SELECT o.* FROM orders o WHERE o.id = $1 AND EXISTS (SELECT FROM users u WHERE u.id = o.user_id)`,
	} {
		v := b.analyze(t, request(sql))
		if got := b.show(v); got != "orders/id=$1 users" {
			t.Errorf("%s\n got %s", sql, got)
		}
	}
}
