package shapes

import "testing"

func TestWhichLoadsAreLookedUp(t *testing.T) {
	t.Parallel()
	var l Lookups
	want := func(what string, loads int, want bool) {
		t.Helper()
		for range loads {
			if l.Worth() != want {
				t.Errorf("%s, load %d: not %v", what, l.loads.Load(), want)
			}
		}
	}
	want("the first loads", LookupLoadsMin-1, false)
	want("those that follow", 10-LookupLoadsMin, true)
	for range LookupCrowdedMax {
		l.Found(false)
	}
	want("behind crowded ones", lookupCrowdedEach-10, false)
	want("now and then", 1, true)
	want("and behind that", lookupCrowdedEach-1, false)
	l.Found(true)
	want("behind one that fitted", 10, true)
	for range lookupVainMax {
		l.Failed()
	}
	want("behind failures", 2*lookupCrowdedEach, false)
}
