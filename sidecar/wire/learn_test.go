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

// A shape that misses again and again for want of a watched column gets it, and is
// then invalidated by its own rows only.
func TestOftenMissedColumnIsLearned(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, `CREATE TABLE note (id int PRIMARY KEY, topic text, body text);
		INSERT INTO note SELECT n, 'topic ' || n % 10, 'body' FROM generate_series(1, 100) n`)
	s := b.sidecar(asInstaller) // which puts the new columns into the triggers
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
		t.Error("the column is watched after a few misses")
	}
	deadline := time.Now().Add(servers.EventuallyMax)
	for n := 1000; !learned(); n++ {
		if time.Now().After(deadline) {
			t.Fatal("the column is not watched after many misses")
		}
		ask(n)
	}
	// Now what is changed elsewhere in the table leaves the answer alone. The first
	// time may meet a schema change that is still being taken in.
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
			t.Fatal("a write to another topic ends the answer")
		}
	}
	b.exec("INSERT INTO note VALUES (1000, 'topic 3', '')")
	s.received()
	before := s.count(HitL1)
	ask(3)
	if s.count(HitL1) != before {
		t.Error("a row of its own topic did not end the answer")
	}
}
