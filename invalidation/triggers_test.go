package invalidation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

const shop = `
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, name text);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE, note text);
CREATE TABLE plain (a int, b text);
CREATE TABLE parted (id int, k text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (1000) PARTITION BY RANGE (id);
CREATE TABLE parted_leaf PARTITION OF parted_high DEFAULT;
CREATE TABLE base (id int PRIMARY KEY);
CREATE TABLE kid (extra int) INHERITS (base);
INSERT INTO users VALUES (1, 'a@x', 'A'), (2, 'b@x', 'B');
INSERT INTO orders VALUES (10, 1, 'n'), (11, 1, NULL), (12, 2, 'm');
INSERT INTO parted VALUES (1, 'one'), (11, 'eleven');
INSERT INTO base VALUES (1);
INSERT INTO kid VALUES (2, 20);
`

// outboxTags runs statements in a transaction that is rolled back, and returns
// the tags of each outbox row that it wrote, sorted within a row.
func (db *database) outboxTags(statements ...string) [][]string {
	db.t.Helper()
	db.run("BEGIN")
	db.run(statements...)
	rows, err := db.Query(db.t.Context(), "SELECT tags FROM freshet.outbox WHERE xid = pg_current_xact_id() ORDER BY written")
	if err != nil {
		db.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		db.t.Fatal(err)
	}
	db.run("ROLLBACK")
	for _, tags := range all {
		slices.Sort(tags)
	}
	return all
}

// spell turns "users", "users/*" and "users/id=1" into texts with OIDs.
func (db *database) spell(texts ...string) []string {
	db.t.Helper()
	spelled := make([]string, len(texts))
	for i, text := range texts {
		table, rest, sliced := strings.Cut(text, "/")
		root := db.oid(table)
		column, value, precise := strings.Cut(rest, "=")
		switch {
		case precise:
			spelled[i] = fence.ValueText(root, column, value)
		case sliced:
			spelled[i] = fence.WholesaleText(root)
		default:
			spelled[i] = fence.TableText(root)
		}
	}
	slices.Sort(spelled)
	return spelled
}

func (db *database) wantTags(want [][]string, statements ...string) {
	db.t.Helper()
	var spelled [][]string
	for _, row := range want {
		spelled = append(spelled, db.spell(row...))
	}
	byText := func(a, b []string) int { return slices.Compare(a, b) }
	slices.SortFunc(spelled, byText)
	got := db.outboxTags(statements...)
	slices.SortFunc(got, byText)
	if !slices.EqualFunc(got, spelled, slices.Equal[[]string]) {
		db.t.Errorf("%s\nwrote %v\nwant  %v", strings.Join(statements, "; "), got, spelled)
	}
}

func TestEveryWriteMovesItsTags(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 40) // 80 bytes
	short := strings.Repeat("x", 64)
	cases := []struct {
		name      string
		statement string
		want      [][]string
	}{
		{"insert", "INSERT INTO users VALUES (3, 'c@x', 'C')", [][]string{{"users", "users/id=3", "users/email=c@x"}}},
		{"insert of several", "INSERT INTO users VALUES (3, 'c@x'), (4, NULL)", [][]string{{"users", "users/id=3", "users/email=c@x", "users/id=4"}}},
		{"update reads old and new", "UPDATE users SET email = 'z@x' WHERE id = 1", [][]string{{"users", "users/id=1", "users/email=a@x", "users/email=z@x"}}},
		{"key change", "UPDATE parted SET id = 2 WHERE id = 1", [][]string{{"parted", "parted/id=1", "parted/id=2"}}},
		{"key change over partitions", "UPDATE parted SET id = 12 WHERE id = 1", [][]string{{"parted", "parted/id=1", "parted/id=12"}}},
		{"update of an unwatched column", "UPDATE users SET name = 'Q' WHERE id = 2", [][]string{{"users", "users/id=2", "users/email=b@x"}}},
		{"delete with cascade", "DELETE FROM users WHERE id = 1", [][]string{
			{"orders", "orders/id=10", "orders/id=11", "orders/user_id=1"}, {"users", "users/id=1", "users/email=a@x"}}},
		{"update with cascade", "UPDATE users SET id = 7 WHERE id = 2", [][]string{
			{"orders", "orders/id=12", "orders/user_id=2", "orders/user_id=7"}, {"users", "users/id=2", "users/id=7", "users/email=b@x"}}},
		{"on conflict", "INSERT INTO users VALUES (1, 'n@x'), (5, 'v@x') ON CONFLICT (id) DO UPDATE SET email = excluded.email", [][]string{
			{"users", "users/id=5", "users/email=v@x"}, {"users", "users/id=1", "users/email=a@x", "users/email=n@x"}}},
		{"on conflict do nothing", "INSERT INTO users VALUES (1) ON CONFLICT DO NOTHING", nil},
		{"merge", `MERGE INTO users u USING (VALUES (1), (2), (6)) v(id) ON u.id = v.id
			WHEN MATCHED AND u.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET email = 'm@x' WHEN NOT MATCHED THEN INSERT VALUES (v.id)`, [][]string{
			{"orders", "orders/id=10", "orders/id=11", "orders/user_id=1"},
			{"users", "users/id=1", "users/email=a@x"}, {"users", "users/id=2", "users/email=b@x", "users/email=m@x"}, {"users", "users/id=6"}}},
		{"writable CTE", "WITH d AS (DELETE FROM orders WHERE id = 12 RETURNING id) INSERT INTO plain SELECT id FROM d", [][]string{
			{"orders", "orders/id=12", "orders/user_id=2"}, {"plain"}}},
		{"no watched column", "INSERT INTO plain VALUES (1, 'x')", [][]string{{"plain"}}},
		{"no rows", "UPDATE users SET name = 'x' WHERE id = 99", nil},
		{"no rows deleted", "DELETE FROM plain", nil},
		{"no rows inserted", "INSERT INTO users SELECT 1 WHERE false", nil},
		{"as many rows as are spelled", "INSERT INTO plain SELECT g FROM generate_series(1, 256) g", [][]string{{"plain"}}},
		{"more rows than are spelled", "INSERT INTO users SELECT g FROM generate_series(1001, 1257) g", [][]string{{"users", "users/*"}}},
		{"many rows updated", "WITH i AS (SELECT) UPDATE users SET name = 'y'", [][]string{{"users", "users/id=1", "users/id=2", "users/email=a@x", "users/email=b@x"}}},
		{"truncate", "TRUNCATE plain", [][]string{{"plain", "plain/*"}}},
		{"truncate cascade", "TRUNCATE users CASCADE", [][]string{{"users", "users/*"}, {"orders", "orders/*"}}},
		{"truncate of a leaf", "TRUNCATE parted_leaf", [][]string{{"parted", "parted/*"}}},
		{"insert through the root", "INSERT INTO parted VALUES (20)", [][]string{{"parted", "parted/id=20"}}},
		{"insert through a leaf", "INSERT INTO parted_leaf VALUES (21)", [][]string{{"parted", "parted/id=21"}}},
		{"insert through the middle", "INSERT INTO parted_high VALUES (22)", [][]string{{"parted", "parted/id=22"}}},
		{"update of a child through its parent", "UPDATE base SET id = 5 WHERE id = 2", [][]string{{"base", "base/id=2", "base/id=5"}}},
		{"delete from a child", "DELETE FROM kid", [][]string{{"base", "base/id=2"}}},
		{"as a replica", "SET LOCAL session_replication_role = replica; DELETE FROM plain; INSERT INTO plain VALUES (1)", [][]string{{"plain"}}},
		{"long value", "UPDATE users SET email = '" + long + "' WHERE id = 2", [][]string{{"users", "users/id=2", "users/email=b@x", "users/email=" + long}}},
		{"longest spelled value", "UPDATE users SET email = '" + short + "' WHERE id = 2", [][]string{{"users", "users/id=2", "users/email=b@x", "users/email=" + short}}},
		{"rolled back to a savepoint", "SAVEPOINT s; DELETE FROM orders; ROLLBACK TO s", nil},
	}
	db := newWatched(t, shop)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := *db
			in.t = t
			in.wantTags(c.want, c.statement)
		})
	}
}

// The functions of triggers are read as what they say, also in a session whose strings are read otherwise.
func TestWriteWhereBackslashesEscape(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.Conn = db.connect() // which has read none of them
	db.run("SET standard_conforming_strings = off")
	db.wantTags([][]string{{"users", "users/id=3", `users/email=c\'d`}}, `INSERT INTO users VALUES (3, 'c\\\'d')`)
	db.wantTags([][]string{{"plain", "plain/*"}}, "TRUNCATE plain")
}

func TestCopyMovesTags(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	rows := [][]any{{3, "c@x", "C"}, {4, "d@x", "D"}}
	if _, err := db.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "email", "name"}, pgx.CopyFromRows(rows)); err != nil {
		t.Fatal(err)
	}
	want := db.spell("users", "users/id=3", "users/id=4", "users/email=c@x", "users/email=d@x")
	if got := db.value("SELECT array_agg(t ORDER BY t COLLATE \"C\") FROM freshet.outbox, unnest(tags) t WHERE NOT t LIKE 'schema%'"); got != "{"+strings.Join(want, ",")+"}" {
		t.Errorf("COPY wrote %s, want %v", got, want)
	}
}

func TestAwkwardNamesAndValues(t *testing.T) {
	t.Parallel()
	db := newDatabase(t,
		`CREATE SCHEMA "Ün even"`,
		`CREATE TABLE "Ün even"."ta""ble" ("new" uuid, "a'b\" text COLLATE "C", "tag" varchar(9), f boolean, s smallint, found int)`)
	if err := runSteps(t.Context(), db.Conn, baseSQL, eventsSQL, touchSQL, purgeSQL, statisticsSQL); err != nil {
		t.Fatal(err)
	}
	for _, columns := range [][]string{{"new", `a'b\`, "tag", "f", "s", "found"}, {"found", "f"}} {
		p := pattern{schema: glob("Ün even"), table: glob(`ta"ble`), columns: columns}
		pl, err := preparePlan(t.Context(), db.Conn, []pattern{p}, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(pl.trees) != 1 {
			t.Fatalf("planned %+v", pl)
		}
		if err := installTree(t.Context(), db.Conn, pl.trees[0], time.Time{}); err != nil {
			t.Fatal(err)
		}
		table := `"Ün even"."ta""ble"`
		root := db.oid(table)
		values := map[string]string{"new": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `a'b\`: `it's \ here`, "tag": "t", "f": "true", "s": "-3", "found": "7"}
		want := []string{fence.TableText(root)}
		for _, column := range columns {
			want = append(want, fence.ValueText(root, column, values[column]))
		}
		slices.Sort(want)
		got := db.outboxTags(`INSERT INTO ` + table + ` VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'it''s \ here', 't', true, -3, 7)`)
		if len(got) != 1 || !slices.Equal(got[0], want) {
			t.Errorf("wrote %v, want %v", got, want)
		}
	}
}

// This test makes a role, which every follower on the server notices; so it is
// not parallel.
func TestOrdinaryRoleNeedsNoRights(t *testing.T) {
	db := newRolesDatabase(t, shop)
	role := "writer_" + db.value("SELECT current_database()")
	db.run("CREATE ROLE "+role, "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+role)
	defer func() { db.run("RESET ROLE", "DROP OWNED BY "+role, "DROP ROLE "+role) }()
	db.install("public.*")
	db.run("SET ROLE " + role)
	db.run("INSERT INTO users VALUES (3)", "TRUNCATE plain", "CREATE TEMP TABLE x (a int)", "DROP TABLE x")
	if got := db.value("SELECT length(freshet.incarnation()) > 0 OR freshet.incarnation() IS NULL"); got != "true" {
		t.Errorf("an ordinary role gets %s for the incarnation", got)
	}
	for _, statement := range []string{"SELECT FROM freshet.outbox", "DELETE FROM freshet.trim", "SELECT freshet.disarm()", "INSERT INTO freshet.incarnation (token) VALUES ('x')"} {
		if _, err := db.Exec(t.Context(), statement); sqlState(err) != "42501" {
			t.Errorf("%s as an ordinary role: %v, want permission denied", statement, err)
		}
	}
	db.run("RESET ROLE")
	if got := db.value("SELECT count(*) FROM freshet.outbox WHERE $1 = ANY (tags)", fence.TableText(db.oid("users"))); got != "1" {
		t.Errorf("the role's insert wrote %s events, want 1", got)
	}
}

// Someone may put a temporary type or table of the same name in front of
// Postgres' own; our functions run as a superuser and must not take it.
func TestTemporaryNamesDoNotCapture(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	users, orders := fence.TableText(db.oid("users")), db.oid("orders")
	db.run(`CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false)`, `CREATE TEMP TABLE pg_inherits (a int)`, `CREATE TEMP TABLE freshet_new (a int)`)
	db.run("INSERT INTO users VALUES (3, 'q')", "CREATE INDEX ON orders (note)")
	var inserted, indexed bool
	if err := db.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM freshet.outbox WHERE tags @> ARRAY[$1::pg_catalog.text, $1 || '/id=3', $1 || '/email=q']),
		EXISTS (SELECT FROM freshet.outbox WHERE tags = ARRAY[$2::pg_catalog.text])`, users, fence.RelationSchemaText(orders)).Scan(&inserted, &indexed); err != nil {
		t.Fatal(err)
	}
	if !inserted || !indexed {
		t.Errorf("event of the insert: %v, of the index: %v; want both", inserted, indexed)
	}
}

func TestFunctionNameFollowsContent(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	for _, c := range []capture{{root: 1}, {root: 2}, {root: 1, columns: []string{"a"}}, {root: 1, columns: []string{"a", "b"}}, {root: 1, columns: []string{"b", "a"}}, {root: 1, columns: []string{"ab"}}} {
		name := c.function(captureTriggers[0]).name
		if other, ok := names[name]; ok {
			t.Errorf("%v and %s share the name %s", c, other, name)
		}
		if len(name) > 63 {
			t.Errorf("name %s is too long for Postgres", name)
		}
		names[name] = fmt.Sprint(c)
	}
}
