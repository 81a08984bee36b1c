package allocations

import "testing"

// What is allocated beside, and not by each call, is not counted; what each call allocates is.
func TestFewest(t *testing.T) {
	var kept [][]byte
	calls, beside := 0, func() { kept = append(kept, make([]byte, 100)) }
	if n := Fewest(10, func() {
		if calls++; calls <= 20 { // the first series is eleven calls, one to warm up
			beside()
		}
	}); n != 0 {
		t.Errorf("%v allocations of a call that makes none after the first series", n)
	}
	if n := Fewest(10, func() { kept = append(kept[:0], make([]byte, 100), make([]byte, 100)) }); n != 2 {
		t.Errorf("%v allocations of a call that makes two", n)
	}
}
