package wire

import "testing"

// A read that compares several watched columns depends only on the value of the most selective one.
// Statistics say which column that is, and only the table's owner may read them. A change of other
// rows of the same store leaves the entry.
func TestChangeOfATenantsOtherRowsEndsNoEntry(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, `CREATE TABLE tuple (store text, object text, note text, PRIMARY KEY (store, object));
		INSERT INTO tuple SELECT 'a', 'o' || i, '' FROM generate_series(1, 500) i; ANALYZE tuple`)
	s := bed.sidecar(patient)
	conn := s.connect()
	const read = "SELECT note FROM tuple WHERE store = $1 AND object = $2"
	note := func() (note string) {
		t.Helper()
		s.received()
		if err := conn.QueryRow(t.Context(), read, "a", "o7").Scan(&note); err != nil {
			t.Fatal(err)
		}
		return note
	}
	note()
	s.analysed(read)
	note()
	for _, c := range []struct {
		object string
		want   string
		hits   uint64
	}{{"o8", "", 1}, {"o7", "o7", 0}} {
		bed.exec("UPDATE tuple SET note = object WHERE store = 'a' AND object = $1", c.object)
		s.received()
		before := s.count(HitL1)
		if got := note(); got != c.want {
			t.Errorf("behind a change of %s the note of o7 is %q, want %q", c.object, got, c.want)
		}
		if hits := s.count(HitL1) - before; hits != c.hits {
			t.Errorf("behind a change of %s there are %d hits, want %d; so far: %s", c.object, hits, c.hits, s.became())
		}
	}
}
