package redis

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBreakerOpensProbesAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		probes, answer := 0, errors.New("no route")
		b := newBreaker(t.Context(), func(context.Context, string) error { probes++; return answer }, func() {})
		defer b.close()

		for range failuresMax - 1 {
			b.failed("k")
		}
		b.succeeded()
		for range failuresMax - 1 {
			b.failed("k")
		}
		if !b.allow() {
			t.Fatal("opened although a success came between")
		}
		b.failed("k")
		if b.allow() || b.name() != "open" {
			t.Fatal("did not open after failures in a row")
		}

		time.Sleep(probeDelay)
		if b.allow() {
			t.Fatal("a caller was sent to probe")
		}
		synctest.Wait()
		if probes != 1 || b.name() != "open" {
			t.Fatalf("%d probes, %s after a failed probe", probes, b.name())
		}
		b.allow()
		synctest.Wait()
		if probes != 1 {
			t.Fatal("probed again at once")
		}

		answer = nil
		time.Sleep(probeDelay)
		b.allow()
		synctest.Wait()
		if probes != 2 || !b.allow() {
			t.Fatalf("%d probes, %s after a successful probe", probes, b.name())
		}
		for range failuresMax {
			b.failed("k")
		}
		time.Sleep(probeDelay + forgottenAfter)
		if b.forgotten() {
			t.Fatal("forgotten too early")
		}
		time.Sleep(time.Millisecond)
		if !b.forgotten() {
			t.Fatal("not forgotten although nobody asks")
		}
		if b.opened.Load() != 2 {
			t.Fatalf("counted %d openings", b.opened.Load())
		}
	})
}

func TestCloseWaitsForTheProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := false
		b := newBreaker(t.Context(), func(ctx context.Context, _ string) error {
			<-ctx.Done()
			ended = true
			return ctx.Err()
		}, func() {})
		for range failuresMax {
			b.failed("k")
		}
		time.Sleep(probeDelay)
		b.allow()
		b.close()
		if !ended {
			t.Fatal("close left a probe behind")
		}
		if b.allow() {
			t.Fatal("a closed breaker allows calls")
		}
	})
}
