package cache

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/freshet/freshet/cache/internal/world"
)

// The interleaving of clip. The race detector is the other half of this test.
func TestCallersMayAppend(t *testing.T) {
	t.Parallel()
	type list struct {
		Names []string
		Inner struct{ IDs []int }
	}
	c := open(t, world.New(), nil)
	names := Wrap(c.DB(), "names", func(context.Context, int) ([]string, error) {
		return append(make([]string, 0, 8), "a", "b", "c"), nil
	}, Policy[int, []string]{DependsOn: numberOf[[]string]})
	lists := Wrap(c.DB(), "lists", func(context.Context, int) (list, error) {
		l := list{Names: append(make([]string, 0, 8), "a")}
		l.Inner.IDs = append(make([]int, 0, 8), 1)
		return l, nil
	}, Policy[int, list]{DependsOn: numberOf[list]})
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			mine := string(rune('A' + i))
			for range 100 {
				n, err := names(t.Context(), 1)
				if err != nil || !slices.Equal(append(n, mine), []string{"a", "b", "c", mine}) {
					t.Errorf("got %v, %v", n, err)
				}
				l, err := lists(t.Context(), 1)
				if err != nil || !slices.Equal(append(l.Names, mine), []string{"a", mine}) || !slices.Equal(append(l.Inner.IDs, i), []int{1, i}) {
					t.Errorf("got %v, %v", l, err)
				}
			}
		})
	}
	callers.Wait()
}
