package memory

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func store(t *testing.T, maxBytes int64) *Store[string] {
	t.Helper()
	s, err := New[string](Options[string]{MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// The interleaving of forget: a victim's place is taken, and before it is forgotten its
// hash is set again. The new value stays.
func TestVictimThatComesBack(t *testing.T) {
	t.Parallel()
	const cost = 1000
	s := store(t, cost+ItemOverhead)
	first, second, third := "first", "second", "third"
	s.Set(1, &first, cost, time.Second)
	comes := make(chan struct{})
	s.beforeForget = func() {
		s.beforeForget = nil
		close(comes)
		for range 3 {
			s.Set(1, &third, cost, 10*time.Second)
		}
	}
	for range 3 {
		s.Set(2, &second, cost, time.Second)
	}
	<-comes
	if v, ok := s.Get(1); !ok || *v != third {
		t.Errorf("the value that was set last is lost: held %v", ok)
	}
	if items, bytes := s.residents.held(); items != 1 || bytes != cost+ItemOverhead {
		t.Errorf("%d items of %d bytes are held", items, bytes)
	}
}

// What is held in Ristretto is what the residents are, whatever happened at once.
func TestResidentsAreWhatIsHeld(t *testing.T) {
	t.Parallel()
	s := store(t, 64*(100+ItemOverhead))
	var all sync.WaitGroup
	for worker := range uint64(4) {
		all.Go(func() {
			for i := range uint64(3000) {
				hash, v := (i*7+worker)%200, fmt.Sprint(i)
				switch i % 5 {
				case 0:
					s.Del(hash)
				case 1, 2:
					s.Get(hash)
				default:
					s.Set(hash, &v, 50+int64(i%100), time.Duration(hash)*time.Millisecond)
				}
			}
		})
	}
	all.Wait()
	found, bytes := 0, int64(0)
	for hash := range uint64(200) {
		if it := s.find(hash, s.residents.age.Load()); it != nil {
			found++
			bytes += it.cost
			if it.place == nowhere || s.residents.all[it.place] != it {
				t.Errorf("%d is found and no resident", hash)
			}
		}
	}
	if st := s.Stats(); found == 0 || int(st.Items) != found || st.Bytes != bytes || bytes > st.MaxBytes {
		t.Errorf("%d items of %d bytes are found, held are %+v", found, bytes, st)
	}
}

// fill returns a full store of many items of equal worth, each used once.
func fill(t *testing.T) *Store[string] {
	s := store(t, 100*(100+ItemOverhead))
	for hash := range uint64(100) {
		v := "filling"
		s.Set(1000+hash, &v, 100, time.Millisecond)
	}
	return s
}

func TestWhoComesMustSaveMore(t *testing.T) {
	t.Parallel()
	v := "who comes"
	if s := fill(t); s.Set(1, &v, 100, time.Millisecond) {
		t.Error("a value that saves as little as any other took the place of one")
	}
	if s := fill(t); !s.Set(1, &v, 100, 100*time.Millisecond) {
		t.Error("a value whose load takes long is not held")
	}
	if s := fill(t); s.Set(1, &v, 10_000, 2*time.Millisecond) {
		t.Error("a large value took the places of many that save more together")
	}
	s := fill(t)
	for range 3 {
		if s.Set(1, &v, 100, time.Millisecond) {
			return
		}
	}
	t.Error("a value that is asked for again and again is not held")
}

// What nobody uses any more makes room, however much it saved.
func TestPopularityEnds(t *testing.T) {
	t.Parallel()
	s := fill(t)
	old := "old"
	s.Set(1, &old, 100, time.Second)
	for range 100 {
		s.Get(1)
	}
	// A process that reads other things.
	for i := range uint64(20_000) {
		v, hash := "new", 1<<32|i%300
		if _, ok := s.Get(hash); !ok {
			s.Set(hash, &v, 100, time.Millisecond)
		}
		if it := s.find(1, s.residents.age.Load()); it == nil {
			return
		}
	}
	t.Error("what was popular is held for ever")
}

func TestRefusedSuccessorTakesTheOlderWithIt(t *testing.T) {
	t.Parallel()
	s := fill(t)
	v, large := "old", "large"
	for range 3 {
		s.Set(1, &v, 100, time.Millisecond)
	}
	for hash := range uint64(100) {
		for range 10 {
			s.Get(1000 + hash)
		}
	}
	if s.Set(1, &large, 20_000, time.Microsecond) {
		t.Fatal("a large value of no worth is held")
	}
	if _, ok := s.Get(1); ok {
		t.Error("the value that was replaced is still there")
	}
}
