package analysis

import "testing"

// Of several watched columns the tag is of the one whose values the fewest rows have, by
// Postgres' statistics; without them, of the one that is watched first. A wish goes by the same.
func TestTagsOfTheMostSelectiveColumn(t *testing.T) {
	b := setup(t)
	b.exec(t, `CREATE TABLE tuple (store text, object text, relation int, note text, rank int);
		CREATE SCHEMA freshet;
		CREATE FUNCTION freshet.statistics(of oid[]) RETURNS TABLE (relation oid, attribute smallint, n_distinct real) LANGUAGE sql AS $$
			SELECT starelid, staattnum, stadistinct FROM pg_statistic WHERE starelid = ANY (of) $$;
		CREATE TABLE part (store text, object text) PARTITION BY LIST (store);
		CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a')`)
	b.watch = readWatch(t, b.conn, map[string][]string{"public.tuple": {"store", "object", "relation"}, "public.part": {"store", "object"}})
	verdict := func(sql string) *Verdict { return b.with(b.newAnalyzer(t)).analyze(t, request(sql)) }
	for _, filled := range []bool{false, true} {
		if filled {
			b.exec(t, `INSERT INTO tuple SELECT 'a', 'o' || i, i % 10, 'n' || i % 2, i FROM generate_series(1, 1000) i;
				INSERT INTO part SELECT 'a', 'o' || i FROM generate_series(1, 1000) i; ANALYZE tuple, part`)
		}
		for _, c := range []struct{ sql, unknown, known string }{
			{`SELECT * FROM tuple WHERE store = $1 AND object = $2`, `tuple/store=$1`, `tuple/object=$2`},
			{`SELECT * FROM tuple WHERE store = $1 AND relation = $2`, `tuple/store=$1`, `tuple/relation=$2`},
			{`SELECT * FROM tuple WHERE store = $1 AND object IN ('a', 'b', 'c')`, `tuple/store=$1`, `tuple/object='a'|'b'|'c'`},
			{`SELECT * FROM part WHERE store = $1 AND object = $2`, `part/store=$1`, `part/object=$2`},
			{`SELECT * FROM part_a WHERE store = $1 AND object = $2`, `part/store=$1`, `part/object=$2`},
		} {
			want := c.unknown
			if filled {
				want = c.known
			}
			if got := b.show(verdict(c.sql)); got != want {
				t.Errorf("%s, with statistics %v: %s, want %s", c.sql, filled, got, want)
			}
		}
		want := "note"
		if filled {
			want = "rank"
		}
		if wishes := verdict(`SELECT * FROM tuple WHERE note = $1 AND rank = $2`).Wishes; len(wishes) != 1 || wishes[0].Column != want {
			t.Errorf("with statistics %v: wishes %v, want %s", filled, wishes, want)
		}
	}
}

// with is the same database with another Analyzer.
func (b *bench) with(a *Analyzer) *bench {
	other := *b
	other.analyzer = a
	return &other
}
