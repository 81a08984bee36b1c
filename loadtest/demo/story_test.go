package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/demo/shop"
)

// The story is told in order, and begins when the shop opens.
func TestStoryIsInOrder(t *testing.T) {
	t.Parallel()
	d := &demo{}
	chapters := d.story(&shop.Workload{})
	inOrder := slices.IsSortedFunc(chapters, func(a, b chapter) int {
		if a.at < b.at {
			return -1
		}
		return 1
	})
	if !inOrder || chapters[0].at != 0 || chapters[len(chapters)-1].at > .9 {
		t.Errorf("%+v", chapters)
	}
}

// The whole story: nothing in it makes a read stale or a statement fail, and the pages are
// named before anything else.
func TestDemoTellsItsStory(t *testing.T) {
	var out strings.Builder
	if err := runDemo(t.Context(), demoOptions{Duration: storyMin, Out: &out}); err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	if !strings.HasPrefix(out.String(), "Watch each sidecar:\n  A  http://127.0.0.1:") {
		t.Errorf("the pages are not named first:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "lost with the restart of Postgres: ") {
		t.Errorf("nothing tells of the restart:\n%s", out.String())
	}
}
