package analysis

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

const rowsSchema = `
	CREATE TABLE held (id int PRIMARY KEY, owner int8, name text, flag boolean, short varchar(3), twice int GENERATED ALWAYS AS (id * 2) STORED,
		price numeric DEFAULT 1, kind int DEFAULT 7, bred int GENERATED ALWAYS AS (price::int) STORED);
	INSERT INTO held (id, owner, name, flag, short) SELECT i, i % 5, 'n' || i % 3, i % 2 = 0, 'abc' FROM generate_series(1, 20) i;
	CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
	INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 1);
	CREATE TABLE ring_a (id int PRIMARY KEY, b int);
	CREATE TABLE ring_b (id int PRIMARY KEY REFERENCES ring_a ON DELETE CASCADE);
	INSERT INTO ring_a VALUES (1, NULL), (2, NULL); INSERT INTO ring_b VALUES (1);
	UPDATE ring_a SET b = 1 WHERE id = 2; ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b ON DELETE CASCADE;
	CREATE TABLE parted (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
	CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
	CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (20);
	INSERT INTO parted VALUES (1, 1);
	CREATE COLLATION loosely (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TABLE loose (id int PRIMARY KEY, name text COLLATE loosely); INSERT INTO loose VALUES (1, 'A'), (2, 'a');
	CREATE VIEW of_one AS SELECT id, owner, name FROM held WHERE owner = 1`

// rowsWatched are the watched columns of each.
var rowsWatched = map[string][]string{
	"public.held": {"id", "owner", "name", "flag", "short", "twice", "kind", "bred"}, "public.tree": {"id"}, "public.ring_a": {"id", "b"}, "public.ring_b": {"id"},
	"public.parted": {"id"}, "public.loose": {"id", "name"},
}

// rowsOfWrites are statements, values of their parameters, and what is known of the rows
// that they change: of each column the values, or nothing if there may be others. An
// empty text says that nothing is known.
var rowsOfWrites = []struct {
	sql    string
	params []string
	want   string
}{
	{`UPDATE held SET price = price + 1 WHERE id = $1`, []string{" 07"}, "id=7"},
	{`UPDATE held SET price = price + 1 WHERE id = 7`, nil, "id=7"},
	{`UPDATE held SET price = 2.5, kind = 3 WHERE id = 7 RETURNING *`, nil, "id=7"},
	{`UPDATE held SET id = 70 WHERE id = 7`, nil, "id=7|70"},
	{`UPDATE held SET id = $2 WHERE id = $1`, []string{"7", "71"}, "id=7|71"},
	{`UPDATE held SET id = id + 100 WHERE id = 7`, nil, ""},
	{`UPDATE held SET owner = 3 WHERE id = 7 AND owner = 2`, nil, "id=7 owner=2|3"},
	{`UPDATE held SET owner = NULL WHERE owner = 2`, nil, "owner=2"},
	{`UPDATE held SET owner = $1 WHERE owner = 2`, []string{"-9"}, "owner=-9|2"},
	{`UPDATE held SET name = 'x' WHERE name IN ('n1', 'n2') AND flag`, nil, "name=n1|n2|x"},
	{`UPDATE held SET short = 'xy' WHERE id = 7 AND short = 'abc'`, nil, "id=7"},
	{`UPDATE held SET price = 1 WHERE id = 7 OR owner = 2`, nil, ""},
	{`UPDATE held SET price = 1 WHERE id > 7`, nil, ""},
	{`UPDATE held SET price = 1 WHERE id = 3 + 4`, nil, ""},
	{`UPDATE held SET price = 1 WHERE id = -(-7)`, nil, ""},
	{`UPDATE held SET id = 90 WHERE twice = 14`, nil, ""},
	{`UPDATE held SET price = 5 WHERE bred = 1 AND id = 7`, nil, "id=7"},
	{`UPDATE held h SET price = t.id FROM tree t WHERE t.id = h.id AND t.id = 2`, nil, "id=2"},
	{`UPDATE held h SET price = t.id FROM tree t WHERE t.id = h.id`, nil, ""},
	{`UPDATE held h SET price = t.id FROM tree t LEFT JOIN ring_a r ON r.id = 99 AND t.id = 4 WHERE t.id = h.id`, nil, ""},
	{`UPDATE held SET price = 1 WHERE id = ANY ($1)`, []string{"{3,4}"}, "id=3|4"},
	{`UPDATE held SET price = 1 WHERE id = (SELECT min(id) FROM held)`, nil, ""},
	{`UPDATE held SET price = 1 WHERE id IN (SELECT id FROM tree WHERE id = 2)`, nil, ""},
	{`UPDATE held SET (price, owner) = (SELECT 2, 4) WHERE id = 7`, nil, "id=7"},
	{`UPDATE of_one SET name = 'y' WHERE id = 6`, nil, "id=6"},
	{`UPDATE of_one SET owner = 2 WHERE id = $1`, []string{"6"}, "id=6"},
	{`DELETE FROM held WHERE id = $1`, []string{"7"}, "id=7"},
	{`DELETE FROM held WHERE id = $1 AND owner = $2`, []string{"7", "2"}, "id=7 owner=2"},
	{`DELETE FROM held USING tree WHERE held.id = tree.id AND tree.id = 3`, nil, "id=3"},
	{`DELETE FROM held`, nil, ""},
	{`INSERT INTO held (id, owner) VALUES (31, 4)`, nil, "flag= id=31 name= owner=4 short="},
	{`INSERT INTO held (id, owner, name, kind) VALUES ($1, $2, $3, DEFAULT)`, []string{"32", "4", "a'b"}, "flag= id=32 kind=7 name=a'b owner=4 short="},
	{`INSERT INTO held (id, kind) VALUES (33, 3), (34, 3)`, nil, "flag= name= owner= short="},
	{`INSERT INTO held (id, flag) SELECT 35, true`, nil, "name= owner= short="},
	{`INSERT INTO held (id) SELECT id + 200 FROM held`, nil, "flag= name= owner= short="},
	{`INSERT INTO held (id) VALUES (7) ON CONFLICT DO NOTHING`, nil, "flag= id=7 name= owner= short="},
	{`INSERT INTO held (id, owner) VALUES (7, 99) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner`, nil, ""},
	{`WITH gone AS (DELETE FROM tree WHERE id = 4 RETURNING id) UPDATE held SET price = 9 WHERE id = 7`, nil, ""},
	{`WITH gone AS (DELETE FROM held WHERE id = 4 RETURNING id) UPDATE held SET price = 9 WHERE id = 7`, nil, ""},
	{`MERGE INTO held h USING (SELECT 7 AS id) s ON h.id = s.id WHEN MATCHED THEN UPDATE SET owner = 9`, nil, ""},
	{`DELETE FROM tree WHERE id = 2`, nil, ""},
	{`UPDATE tree SET parent = NULL WHERE id = 2`, nil, "id=2"},
	{`DELETE FROM ring_a WHERE id = 1`, nil, ""},
	{`UPDATE parted SET id = 11 WHERE id = 1`, nil, ""},
	{`UPDATE loose SET name = 'B' WHERE name = 'a'`, nil, ""},
	{`UPDATE loose SET name = 'B' WHERE id = 1`, nil, "id=1"},
	{`COPY held (id, owner) FROM STDIN`, nil, ""},
}

func setupRows(t *testing.T) (*bench, []string) {
	b := setup(t)
	b.exec(t, rowsSchema)
	b.watch = readWatch(t, b.conn, rowsWatched)
	return b, slices.Sorted(maps.Keys(rowsWatched))
}

// known spells what a verdict says of the rows that one execution changes.
func known(v *Verdict, p Params) string {
	if _, _, ok := v.Changes(p); !ok {
		return ""
	}
	var columns []string
	for _, c := range v.Effect.Rows.Columns {
		if texts, ok := c.texts(p); ok {
			slices.Sort(texts)
			columns = append(columns, c.Name+"="+strings.Join(texts, "|"))
		}
	}
	slices.Sort(columns)
	return strings.Join(columns, " ")
}

func TestRowsOfWrites(t *testing.T) {
	t.Parallel()
	b, tables := setupRows(t)
	for _, c := range rowsOfWrites {
		if strings.HasPrefix(c.sql, "MERGE") && majorVersion(b.conn.PgConn().ParameterStatus("server_version")) < 15 {
			continue
		}
		r := request(c.sql)
		v, err := b.analyzer.Analyze(t.Context(), r)
		if err != nil {
			t.Fatalf("%s: %v", c.sql, err)
		}
		if v.Effect == nil {
			t.Errorf("%s: its effect is not known", c.sql)
			continue
		}
		p := Params{}
		if template, ok := NewTemplate(c.sql, true); ok && len(template.Literals) > 0 {
			p.Literals = template.Literals // as the sidecar gives them
		}
		for _, text := range c.params {
			p.Bound = append(p.Bound, Value{Data: []byte(text)})
		}
		if got := known(v, p); got != c.want {
			t.Errorf("%s: knows %q, want %q", c.sql, got, c.want)
		}
		b.compareChanges(t, c.sql, c.params, v, p, tables)
	}
}

// What is found out of one statement is said of those that differ from it in literals.
func TestRowsOfWritesThatShareAVerdict(t *testing.T) {
	t.Parallel()
	b, tables := setupRows(t)
	for _, c := range []struct{ analysed, sql, want string }{
		{`UPDATE held SET price = 1 WHERE id = 7`, `UPDATE held SET price = 2 WHERE id = 8`, "id=8"},
		{`UPDATE held SET price = 1 WHERE name = 'n1'`, `UPDATE held SET price = 1 WHERE name = 'n2'`, "name=n2"},
		{`UPDATE held SET owner = 1 WHERE owner = 2`, `UPDATE held SET owner = 4 WHERE owner = 3`, "owner=3|4"},
		{`UPDATE held SET owner = -1 WHERE id = 7`, `UPDATE held SET owner = -2 WHERE id = 8`, "id=8"},
		{`UPDATE held SET price = 1 WHERE id = 9 AND owner = -(-4)`, `UPDATE held SET price = 1 WHERE id = 8 AND owner = -(-3)`, "id=8"},
		{`DELETE FROM held WHERE id = ANY ('{7}')`, `DELETE FROM held WHERE id = ANY ('{8}')`, ""},
		{`INSERT INTO held (id, owner) VALUES (40, -1)`, `INSERT INTO held (id, owner) VALUES (41, -2)`, "flag= id=41 name= short="},
		{`UPDATE held SET price = 3 WHERE id = '7'::int`, `UPDATE held SET price = 3 WHERE id = '8'::int`, "id=8"},
		{`UPDATE held SET price = 3 WHERE id = (CASE WHEN 1 = 1 THEN 7 ELSE 8 END)`, `UPDATE held SET price = 3 WHERE id = (CASE WHEN 1 = 2 THEN 7 ELSE 8 END)`, ""},
	} {
		v, err := b.analyzer.Analyze(t.Context(), request(c.analysed))
		template, ok := NewTemplate(c.sql, true)
		shared, _ := NewTemplate(c.analysed, true)
		if err != nil || !ok || v.Effect == nil || template.Key != shared.Key {
			t.Fatalf("%s: %v, %v, %q", c.sql, v.Effect, err, v.Detail)
		}
		p := Params{Literals: template.Literals}
		if got := known(v, p); got != c.want {
			t.Errorf("%s: knows %q, want %q", c.sql, got, c.want)
		}
		b.compareChanges(t, c.sql, nil, v, p, tables)
	}
}

// compareChanges executes a write, takes it back, and fails for each tag of a row changed
// that the verdict does not name.
func (b *bench) compareChanges(t *testing.T, sql string, params []string, v *Verdict, p Params, tables []string) {
	t.Helper()
	tags, unknown, ok := v.Changes(p)
	if !ok || strings.HasPrefix(sql, "COPY") {
		return
	}
	err := pgx.BeginFunc(t.Context(), b.conn, func(tx pgx.Tx) error {
		before := b.rowsIn(t, tx, tables)
		values := make([][]byte, len(params))
		for i, text := range params {
			values[i] = []byte(text)
		}
		if read := tx.Conn().PgConn().ExecParams(t.Context(), sql, values, nil, nil, nil).Read(); read.Err != nil {
			t.Fatalf("%s: %v", sql, read.Err)
		}
		after := b.rowsIn(t, tx, tables)
		changed := 0
		for _, rows := range [][2]map[string][]string{{before, after}, {after, before}} {
			for row, texts := range rows[0] {
				if _, stays := rows[1][row]; stays {
					continue
				}
				changed++
				for _, text := range texts {
					b.mustBeNamed(t, sql, text, tags, unknown, v)
				}
			}
		}
		if changed == 0 && !strings.Contains(sql, "DO NOTHING") {
			t.Errorf("%s: changes nothing, and shows nothing", sql)
		}
		return tx.Rollback(t.Context())
	})
	if err != nil && err != pgx.ErrTxClosed {
		t.Fatal(err)
	}
}

func (b *bench) mustBeNamed(t *testing.T, sql, text string, tags []fence.Tag, unknown []fence.Class, v *Verdict) {
	t.Helper()
	root, value, _ := strings.Cut(text, "/")
	if root != fence.TableText(v.Effect.Rows.Root) {
		return // of a cascade, which is marked as a whole
	}
	column, _, _ := strings.Cut(value, "=")
	if !slices.Contains(tags, fence.NewTag(text)) && !slices.Contains(unknown, fence.NewClass(v.Effect.Rows.Root, column)) {
		t.Errorf("%s: moves %s, which is not named", sql, text)
	}
}

// rowsIn returns the tags of each version of each row.
func (b *bench) rowsIn(t *testing.T, tx pgx.Tx, tables []string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, name := range tables {
		table := b.watch.tables[b.watch.roots[name]]
		columns := ""
		for _, c := range table.Columns {
			columns += ", " + c + "::text"
		}
		rows, err := tx.Query(t.Context(), "SELECT tableoid::text || ctid::text || xmin::text || cmin::text"+columns+" FROM "+name, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			read := rows.RawValues()
			var tags []string
			for i, c := range table.Columns {
				if text := read[i+1]; text != nil {
					tags = append(tags, fence.ValueText(table.Root, c, string(text)))
				}
			}
			all[string(read[0])] = tags
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
	}
	return all
}
