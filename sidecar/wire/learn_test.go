package wire

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// Where a shape misses again and again because a column that it asks for is not watched, the
// sidecar has that column watched. From then on only writes to the shape's own rows end its answers.
func TestOftenMissedColumnIsLearned(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, `CREATE TABLE note (id int PRIMARY KEY, topic text, body text);
		INSERT INTO note SELECT n, 'topic ' || n % 10, 'body' FROM generate_series(1, 100) n`)
	s := b.sidecar(asInstaller) // may add columns to the triggers
	c := s.connect()
	ask := func(topic int) {
		t.Helper()
		var n int
		if err := c.QueryRow(context.Background(), "SELECT count(*) FROM note WHERE topic = $1", "topic "+strconv.Itoa(topic)).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	learned := func() bool {
		table, _ := s.follower.State().ByName("public.note")
		return slices.Contains(table.Columns, "topic")
	}
	for n := 0; n < shapes.MissesPerWish/2; n++ {
		ask(n)
	}
	if learned() {
		t.Errorf("the column topic is watched after %d reads, want that after %d misses at the earliest", shapes.MissesPerWish/2, shapes.MissesPerWish)
	}
	deadline := time.Now().Add(servers.EventuallyMax)
	for n := 1000; !learned(); n++ {
		if time.Now().After(deadline) {
			t.Fatalf("the column topic is not watched after %d more reads, want that after %d misses", n-1000, shapes.MissesPerWish)
		}
		ask(n)
	}
	// A write to a row of another topic leaves the answer about topic 3 in the cache. The first
	// rounds may fail while the sidecar still takes in the change of the triggers.
	kept := func() bool {
		ask(3)
		b.exec("UPDATE note SET body = body || '.' WHERE topic = 'topic 4'")
		s.received()
		before := s.count(HitL1)
		ask(3)
		return s.count(HitL1) == before+1
	}
	for !kept() {
		if time.Now().After(deadline) {
			t.Fatal("each write to a row of topic 4 ended the answer about topic 3, want it kept")
		}
	}
	b.exec("INSERT INTO note VALUES (1000, 'topic 3', '')")
	s.received()
	before := s.count(HitL1)
	ask(3)
	if s.count(HitL1) != before {
		t.Error("the answer about topic 3 was a hit behind an INSERT of a row of topic 3, want it ended")
	}
}
