package wire

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// bystanderWaitMax is how long a client that does nothing wrong may wait for
// one answer while other clients misbehave. A client that is blocked would wait for ever.
const bystanderWaitMax = servers.EventuallyMax

// bystander is a client that asks for the same row all the time, and must not
// notice what other clients do.
type bystander struct {
	stop    chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex
	answers int
	slowest time.Duration
}

// watch starts a bystander on a sidecar whose database has item. When the test ends, the bystander
// must have had each answer in time, and at least half of its answers from the cache.
func watch(t *testing.T, s *side) *bystander {
	t.Helper()
	b := &bystander{stop: make(chan struct{})}
	ask := msgQuery("SELECT id, name FROM item WHERE id = 42")
	want := dialRaw(t, s.bed.postgres.DSN(s.bed.database)).ask(ask)
	c := dialRaw(t, s.dsn())
	// By its first hit a sidecar has started every goroutine that it runs beside its sessions: a
	// test that measures behind the hit does not take these for a leak.
	servers.Eventually(t, "a bystander's first hit", func() bool {
		before := s.count(HitL1)
		c.ask(ask)
		return s.count(HitL1) > before
	})
	hits := s.count(HitL1)
	b.done.Go(func() {
		for {
			select {
			case <-b.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			began := time.Now()
			if err := c.trySend(ask); err != nil {
				t.Errorf("a bystander cannot send: %v", err)
				return
			}
			var got []byte
			for !bytes.HasSuffix(got, []byte(protocol.ReadyIdle)) {
				m, err := c.tryMessage()
				if err != nil {
					t.Errorf("a bystander cannot read its answer: %v", err)
					return
				}
				got = append(got, m...)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("a bystander got\n%s\nwant\n%s", show(got), show(want))
				return
			}
			b.mu.Lock()
			b.answers++
			b.slowest = max(b.slowest, time.Since(began))
			b.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		close(b.stop)
		b.done.Wait()
		if b.slowest > bystanderWaitMax {
			t.Errorf("a bystander waited %v for one answer, want %v at most", b.slowest, bystanderWaitMax)
		}
		if got := s.count(HitL1) - hits; b.answers == 0 || got < uint64(b.answers)/2 {
			t.Errorf("a bystander had %d answers and %d hits, want answers, at least half of them hits", b.answers, got)
		}
	})
	return b
}

// mustGoOn waits until the bystander has had more answers.
func (b *bystander) mustGoOn(t *testing.T) {
	t.Helper()
	count := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.answers
	}
	before := count()
	servers.Eventually(t, "answers to a bystander", func() bool { return count() > before+5 })
}

// resources are what a leak of the sidecar would keep: this process' goroutines and file
// descriptors.
type resources struct{ goroutines, descriptors int }

// measure counts the resources that this process holds.
func measure(t *testing.T) resources {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return resources{runtime.NumGoroutine(), len(open)}
}

// mustReturnTo waits until this process holds no more of either than before.
func (before resources) mustReturnTo(t *testing.T) {
	t.Helper()
	var now resources
	for deadline := time.Now().Add(servers.EventuallyMax); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		now = measure(t)
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			return
		}
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("the process holds %+v, want no more than %+v:\n%s", now, before, stacks[:runtime.Stack(stacks, true)])
}
