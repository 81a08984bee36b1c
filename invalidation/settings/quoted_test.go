package settings

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// Both ways to ask for settings as one text bring the same, whatever the values, and other
// values another text.
func TestQuotedSettings(t *testing.T) {
	t.Parallel()
	server := servers.SharedPostgres(t)
	conn, err := pgx.Connect(t.Context(), server.DSN(server.CreateDatabase(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	names := slices.Concat(Keyed, Conditional, []string{"search_path", "app.nobody_set"})
	names = append(names, "app.one", "app.two")
	seen := map[string]int{}
	for i, values := range [][2]string{
		{"", ""}, {"a", "b"}, {"a b", ""}, {"a' 'b", ""}, {"a'", "'b"}, {`a\`, "b"}, {`a\' 'b`, ""}, {"NULL", "'NULL'"}, {"a\n", "%L"}, {"a", " b"}, {"a ", "b"},
	} {
		if _, err := conn.Exec(t.Context(), "SELECT set_config('app.one', $1, false), set_config('app.two', $2, false)", values[0], values[1]); err != nil {
			t.Fatal(err)
		}
		var quick, prepared string
		sql := fmt.Sprintf("SELECT %s, %s", QuotedSQL(names), PreparedQuotedSQL(names))
		if err := conn.QueryRow(t.Context(), sql).Scan(&quick, &prepared); err != nil {
			t.Fatal(err)
		}
		if quick != prepared {
			t.Errorf("of %q one says\n%s\nthe other\n%s", values, quick, prepared)
		}
		if before, ok := seen[quick]; ok {
			t.Errorf("values %d and %d give the same text: %s", before, i, quick)
		}
		seen[quick] = i
	}
}
