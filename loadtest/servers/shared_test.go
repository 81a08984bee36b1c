package servers

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestSharedServersAreTheSame(t *testing.T) {
	t.Parallel()
	if one, two := SharedPostgres(t), SharedPostgres(t); one != two {
		t.Error("two shared PostgreSQL")
	}
	if one, two := SharedRedis(t), SharedRedis(t); one != two {
		t.Error("two shared Redis")
	}
	if err := client(t, SharedRedis(t)).Ping(context.Background()).Err(); err != nil {
		t.Errorf("shared Redis: %v", err)
	}
}

func TestUndeclaredSharedServerIsAnError(t *testing.T) {
	t.Parallel()
	var undeclared sharedServer[*Redis]
	failure := fatal(func(tb TB) { undeclared.get(tb, "Redis") })
	if !strings.Contains(failure, "servers.Needs{Redis: true}") {
		t.Errorf("failure %q does not say what to declare", failure)
	}
}

func TestMainRefusesToRunTwice(t *testing.T) {
	t.Parallel()
	if err := share(Needs{}); err == nil {
		t.Error("servers could be shared twice at once")
	}
}

// recorder is a TB that keeps why it failed.
type recorder struct{ failure string }

func (*recorder) Helper()                     {}
func (*recorder) Cleanup(func())              {}
func (*recorder) Logf(string, ...any)         {}
func (*recorder) Errorf(string, ...any)       {}
func (r *recorder) Failed() bool              { return r.failure != "" }
func (r *recorder) Fatalf(f string, a ...any) { r.failure = fmt.Sprintf(f, a...); runtime.Goexit() }

// fatal returns the failure of a function that is expected to call Fatalf.
func fatal(f func(TB)) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.failure
}
