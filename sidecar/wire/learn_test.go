package wire

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
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
	var wishes atomic.Int64     // of the sidecar for a column
	learn := s.learnFunc
	s.learnFunc = func(root uint32, column string) {
		wishes.Add(1)
		learn(root, column)
	}
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
	deadline := time.Now().Add(servers.EventuallyMax)
	for n := 0; wishes.Load() == 0; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("no column is wished for after %d reads, of which %d missed, want that after %d misses", n, s.count(Miss), shapes.MissesPerWish)
		}
		ask(n)
	}
	if n := s.count(Miss); n != shapes.MissesPerWish {
		t.Errorf("a column is wished for after %d misses, want that after %d", n, shapes.MissesPerWish)
	}
	for n := 1000; !learned(); n++ {
		if time.Now().After(deadline) {
			t.Fatalf("the column topic is not watched after %d more reads, and %d wishes", n-1000, wishes.Load())
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
