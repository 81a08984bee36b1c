package cache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/internal/world"
)

// Two functions with one name would share answers: the second got the first's.
func TestSameNameTwice(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	wrapNumber(c, &loader{world: w})
	defer func() {
		text, _ := recover().(string)
		if strings.Count(text, "_test.go:") != 2 || !strings.Contains(text, "misuse_test.go:") || !strings.Contains(text, "wrap_test.go:") {
			t.Fatalf("does not name both callers: %q", text)
		}
	}()
	Wrap(c.DB(), "number", func(context.Context, int) (number, error) { return number{Value: 2}, nil }, Policy[int, number]{DependsOn: numberOf[number]})
	t.Fatal("a second function got the name")
}

// A load that asks for its own answer, at once or by way of another, would wait
// for itself.
func TestRecursion(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), func(o *CacheOptions) { o.WaitMax = time.Minute })
	p := Policy[int, number]{DependsOn: numberOf[number]}
	var first, second, counting getter
	first = Wrap(c.DB(), "first", func(ctx context.Context, id int) (number, error) { return second(ctx, id) }, p)
	second = Wrap(c.DB(), "second", func(ctx context.Context, id int) (number, error) { return first(ctx, id) }, p)
	counting = Wrap(c.DB(), "counting", func(ctx context.Context, id int) (number, error) {
		if id == 0 {
			return number{Value: 7}, nil
		}
		return counting(ctx, id-1) // another key each time
	}, p)
	began := time.Now()
	if _, err := first(t.Context(), 1); !errors.Is(err, ErrCycle) {
		t.Fatal(err)
	}
	if _, err := first(Bypass(t.Context()), 1); !errors.Is(err, ErrCycle) {
		t.Fatalf("without the cache: %v", err)
	}
	if n, err := counting(t.Context(), 5); err != nil || n.Value != 7 {
		t.Fatalf("a load that asks for other keys: %v, %v", n, err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Fatalf("took %v", took)
	}
}

// A context that outlives its load is no cycle.
func TestContextOfALoadThatEnded(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	var kept context.Context
	f := wrapNumber(c, &loader{world: w, during: func(ctx context.Context) { kept = context.WithoutCancel(ctx) }})
	get(t, t.Context(), f)
	w.Commit()
	w.Look()
	if got := get(t, kept, f); got != 2 {
		t.Fatal(got)
	}
}

func TestPanicNamesWhatPanicked(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	load := func(context.Context, int) (number, error) { return number{}, nil }
	for where, p := range map[string]Policy[int, number]{
		"Policy.DependsOn": {DependsOn: func(int, number) []Dependency { panic("no tags") }},
		"Policy.Clone":     {DependsOn: numberOf[number], Clone: func(number) number { panic("no copy") }},
		"Policy.KeyBytes":  {DependsOn: numberOf[number], KeyBytes: func(int) []byte { panic("no key") }},
	} {
		_, err := Wrap(c.DB(), where, load, p)(t.Context(), 1)
		var panicked *PanicError
		if !errors.As(err, &panicked) || panicked.Where != where || !strings.Contains(err.Error(), where) {
			t.Errorf("%s: %v", where, err)
		}
	}
}
