package stale

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, j *Judge, key int64) (version int64) {
	t.Helper()
	if err := j.Write(key, func(v int64) error { version = v; return nil }); err != nil {
		t.Fatal(err)
	}
	return version
}

func TestReadsOfAnOlderVersionAreBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := New(10, 0)
		if v := write(t, j, 3); v != 2 {
			t.Fatalf("the first write sets version %d, want 2", v)
		}
		time.Sleep(time.Second)
		write(t, j, 3)
		time.Sleep(2 * time.Second)
		for version, want := range map[int64]time.Duration{1: 3 * time.Second, 2: 2 * time.Second, 3: 0, 4: 0} {
			var r Reading
			r.Begin(j, 3, 3)
			r.Row(3, version)
			r.Rows()
			if got := r.Behind(); got != want {
				t.Errorf("a read of version %d is %v behind, want %v", version, got, want)
			}
		}
	})
}

// A write that is acknowledged after a read began binds no read that was under way.
func TestWhatIsAcknowledgedLaterBindsNobody(t *testing.T) {
	t.Parallel()
	j := New(10, 0)
	var r Reading
	r.Begin(j, 0, 9)
	write(t, j, 5)
	for key := range int64(10) {
		r.Row(key, 1)
	}
	r.Rows()
	if got := r.Behind(); got != 0 {
		t.Errorf("the read is %v behind", got)
	}
}

func TestRowsThatAreMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := New(3, 1)
		time.Sleep(time.Second)
		if err := j.Insert(func(key, version int64) error { return nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var r Reading
		r.Begin(j, 2, 3)
		r.Row(2, 1)
		r.Rows()
		if got := r.Behind(); got != time.Second {
			t.Errorf("a read without the row that was inserted is %v behind, want 1s", got)
		}
		if j.Count() != 4 || j.Room() != 0 {
			t.Errorf("%d rows and room for %d, want 4 and 0", j.Count(), j.Room())
		}
	})
}

func TestSums(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := New(100, 0)
		time.Sleep(time.Second)
		write(t, j, 7) // 101
		time.Sleep(time.Second)
		write(t, j, 8) // 102
		time.Sleep(time.Second)
		for sum, want := range map[int64][2]time.Duration{
			100: {time.Second, 2 * time.Second}, 101: {time.Second / 2, time.Second}, 102: {0, 0}, 103: {0, 0},
		} {
			var r Reading
			r.Begin(j, 0, 99)
			r.Sum(sum)
			if got := r.Behind(); got < want[0] || got > want[1] {
				t.Errorf("a sum of %d is %v behind, want %v", sum, got, want)
			}
		}
	})
}

// What was perhaps committed need not be shown, and may be.
func TestAFailedWriteBindsNobody(t *testing.T) {
	t.Parallel()
	j := New(1, 0)
	if err := j.Write(0, func(int64) error { return errors.New("gone") }); err == nil {
		t.Fatal("the failure is not returned")
	}
	for _, version := range []int64{1, 2} {
		var r Reading
		r.Begin(j, 0, 0)
		r.Row(0, version)
		r.Rows()
		if got := r.Behind(); got != 0 {
			t.Errorf("a read of version %d is %v behind", version, got)
		}
	}
	if v := write(t, j, 0); v != 3 {
		t.Errorf("the next write sets version %d, want 3", v)
	}
}
