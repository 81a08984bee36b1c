package drivers

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// client is a program that is run against an endpoint and returns what it
// prints: first its driver and that one's version. It reads the table setting at
// least readsMin times, with texts and values that repeat, and leaves the rest to
// its own idea.
type client struct {
	// name is its row in repeatedHitMin.
	name string
	run  func(t *testing.T, at endpoint) string
}

// lateMax is how many repeated reads may reach a warm sidecar's Postgres because
// a look came late on a busy machine.
const lateMax = 2

// warmTriesMax is how often a program runs at most until a warm sidecar has answered
// what it should: a busy machine may be late for a whole transaction.
const warmTriesMax = 3

// readsMin is the least number of repeated reads that proves anything.
const readsMin = 40

// compare runs a program against Postgres and twice through a sidecar, and wants
// the same output. It is for programs whose own doings end the life of entries.
func compare(t *testing.T, run func(t *testing.T, at endpoint) string) {
	t.Helper()
	t.Parallel()
	b := newBed(t, "schema.sql")
	s := b.serve()
	b.reset(s)
	want := run(t, b.at())
	for _, pass := range []string{"first", "second"} {
		b.reset(s)
		counted := s.stats()
		got := run(t, s.at)
		counted = s.stats().since(counted)
		t.Logf("%s: %s", pass, counted)
		if got != want {
			t.Errorf("%s: the output differs:\n%s", pass, difference(want, got))
		}
		requireUnderstood(t, pass, counted)
	}
}

// prove runs a client against Postgres, through a sidecar that knows nothing
// yet, again through the same one, and through a second one that shares Redis
// with it.
func prove(t *testing.T, c client) {
	t.Helper()
	t.Parallel()
	hitMin, listed := repeatedHitMin[c.name]
	if !listed {
		t.Fatalf("repeatedHitMin has no row %q", c.name)
	}
	b := newBed(t, "schema.sql")
	redis := servers.SharedRedis(t).URL()
	first := b.serve("--redis", redis)

	b.reset(first)
	before := b.scans("setting")
	want := c.run(t, b.at())
	reads := b.scans("setting") - before
	if reads < readsMin {
		t.Fatalf("the program read the table setting %d times, want at least %d\n%s", reads, readsMin, want)
	}
	mayReach := int64(float64(reads) * (1 - hitMin))
	for _, pass := range []struct {
		name string
		by   *sidecar
		// scansMax is how many of the repeated reads may reach Postgres.
		scansMax int64
		// tries is how often the program may run until no more do.
		tries int
	}{
		// A new shape may pass through while it is analysed, and with it a whole transaction.
		{name: "cold", by: first, scansMax: (3*reads + mayReach) / 4, tries: 1},
		{name: warmPass, by: first, scansMax: mayReach + lateMax, tries: warmTriesMax},
		{name: "second sidecar", by: b.serve("--redis", redis), scansMax: (3*reads + mayReach) / 4, tries: 1},
	} {
		var counted stats
		var scanned int64
		for range pass.tries {
			b.reset(pass.by)
			counted, scanned = pass.by.stats(), b.scans("setting")
			got := c.run(t, pass.by.at)
			scanned = b.scans("setting") - scanned
			counted = pass.by.stats().since(counted)
			t.Logf("%s: %d of %d repeated reads reached Postgres; %s", pass.name, scanned, reads, counted)
			if got != want {
				t.Errorf("%s: the output differs:\n%s", pass.name, difference(want, got))
			}
			requireUnderstood(t, pass.name, counted)
			if scanned <= pass.scansMax {
				break
			}
		}
		if scanned > pass.scansMax {
			t.Errorf("%s: %d of %d repeated reads reached Postgres, want at most %d", pass.name, scanned, reads, pass.scansMax)
		}
		if hits := counted.hits(); hits+lateMax < uint64(reads-scanned) {
			t.Errorf("%s: %d hits, but %d reads did not reach Postgres", pass.name, hits, reads-scanned)
		}
		if pass.by != first && hitMin > 0 && counted.Queries["hit_l2"] == 0 {
			t.Errorf("%s: no hit came from Redis", pass.name)
		}
		if pass.name == warmPass {
			record(measured{client: c.name, version: firstLine(want), stats: counted, reads: reads, scanned: scanned})
		}
	}
}

// requireUnderstood fails the test unless the sidecar has understood what a client sent, as it counts.
func requireUnderstood(t *testing.T, pass string, counted stats) {
	t.Helper()
	if counted.ProtocolErrors > 0 || counted.Panics > 0 || counted.Bypasses["protocol_not_understood"] > 0 {
		t.Errorf("%s: the sidecar did not understand this client: %s; %d protocol errors, %d panics", pass, counted, counted.ProtocolErrors, counted.Panics)
	}
}

// programMax bounds the run of one client program.
const programMax = time.Minute

// output runs a program at an endpoint and returns what it prints: standard
// output, then standard error. An exit code other than 0 fails the test.
func output(t *testing.T, at endpoint, stdin, program string, args ...string) string {
	t.Helper()
	text, err := attempt(t, at, stdin, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, text)
	}
	return text
}

// attempt is output for programs that may fail.
func attempt(t *testing.T, at endpoint, stdin, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programMax)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Env = at.environment()
	command.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	return stdout.String() + "--- standard error\n" + stderr.String(), err
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// difference shows the first lines in which two texts differ.
func difference(want, got string) string {
	const contextLines, shownMax = 3, 12
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	from := max(0, at-contextLines)
	return "directly:\n" + strings.Join(a[from:min(len(a), at+shownMax)], "\n") +
		"\nthrough the sidecar:\n" + strings.Join(b[from:min(len(b), at+shownMax)], "\n")
}
