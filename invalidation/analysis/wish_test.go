package analysis

import (
	"fmt"
	"strings"
	"testing"
)

// A verdict says which columns would make its tags precise, if they were watched.
func TestWishes(t *testing.T) {
	b := setup(t)
	for _, c := range []struct{ sql, want string }{
		{`SELECT * FROM users WHERE id = $1`, ``},
		{`SELECT * FROM users`, ``},
		{`SELECT * FROM users WHERE manager_id = $1`, `public.users.manager_id`},
		{`SELECT * FROM users WHERE manager_id = $1 AND id = 2`, ``},
		{`SELECT * FROM users WHERE manager_id IN (1, 2) AND pos = 3`, `public.users.manager_id`},
		{`SELECT * FROM users WHERE manager_id = $1 AND "odd name" = 7`, `public.users.manager_id`},
		{`SELECT * FROM users WHERE manager_id IN (1, 2) AND "odd name" = 7`, `public.users.odd name`},
		{`SELECT * FROM users WHERE born = '2024-01-01'`, ``},
		{`SELECT * FROM orders WHERE deleted`, ``},
		{`SELECT * FROM users a JOIN users b ON b.born = a.born WHERE a.manager_id = $1`, ``},
		{`SELECT * FROM users a JOIN users b ON b.id = a.id WHERE a.manager_id = $1`, ``},
		{`SELECT * FROM users a JOIN users b ON b.manager_id = a.manager_id WHERE a.manager_id = $1`, `public.users.manager_id`},
		{`SELECT * FROM items i JOIN orders o ON o.id = i.order_id WHERE i.sku = $1`, `public.items.sku`},
		{`SELECT * FROM events WHERE what = 'x'`, `public.events.what`},
		{`SELECT * FROM settings WHERE k = $1 AND v = 'a'`, `public.settings.k`},
		{`SELECT count(*) FROM orders o WHERE user_id = $1 AND EXISTS (SELECT FROM items WHERE qty = 5)`, `public.items.qty`},
	} {
		v := b.analyze(t, request(c.sql))
		var got []string
		for _, w := range v.Wishes {
			got = append(got, fmt.Sprintf("%s.%s", w.Table, w.Column))
		}
		if strings.Join(got, " ") != c.want || !v.Cacheable {
			t.Errorf("%s: wishes %q, want %q (cacheable %v)", c.sql, got, c.want, v.Cacheable)
		}
	}
}
