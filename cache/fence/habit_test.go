package fence

import "testing"

func TestHabit(t *testing.T) {
	t.Parallel()
	var s Session
	for i := range habitReads {
		if s.Ahead() {
			t.Fatalf("a look is made ahead of a session that was served %d times", i)
		}
		s.Served()
		s.Served() // only the first says that a read has followed
	}
	if !s.Ahead() {
		t.Fatal("no look is made ahead of a session whose reads follow")
	}
	for range 100 {
		s.Served()
		s.Ahead()
	}
	for range habitMax - habitReads {
		if !s.Ahead() {
			t.Fatal("one read that did not follow made the session's habit forgotten")
		}
	}
	if s.Ahead() {
		t.Fatal("a look is made ahead of a session that only misses")
	}
}

func TestHabitOfWhoDemandsNoLook(t *testing.T) {
	t.Parallel()
	for _, level := range []Level{Bounded, Strong} {
		var s Session
		s.SetLevel(level)
		for range 2 * habitMax {
			if s.Ahead() {
				t.Fatalf("a look is made ahead of a session at level %d", level)
			}
			s.Served()
		}
	}
	var none *Session
	none.Served()
	if none.Ahead() {
		t.Fatal("a look is made ahead of nobody")
	}
}
