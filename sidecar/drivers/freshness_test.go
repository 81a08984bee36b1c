package drivers

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// stalenessMax is the sidecar's promise by default.
const stalenessMax = time.Second

// TestDirectUpdateIsShownByEverySidecar keeps a psql open on each of two
// sidecars, lets them read the same row again and again, and changes it on
// Postgres itself.
func TestDirectUpdateIsShownByEverySidecar(t *testing.T) {
	t.Parallel()
	b := newWatchedBed(t, "schema.sql")
	redis := servers.SharedRedis(t).URL()
	sidecars := []*sidecar{b.serve("--redis", redis), b.serve("--redis", redis)}
	b.reset(sidecars...)
	sessions := make([]*psqlSession, len(sidecars))
	for i, s := range sidecars {
		sessions[i] = openPsql(t, s.at)
	}
	const rounds = 50
	var took []time.Duration
	for version := 1; version <= rounds; version++ {
		for i, session := range sessions {
			readUntilKept(t, session, sidecars[i])
		}
		b.exec(fmt.Sprintf("UPDATE item SET stock = %d WHERE id = 1", 1000+version))
		acknowledged := time.Now()
		for i, session := range sessions {
			want := fmt.Sprint(1000 + version)
			for {
				age := time.Since(acknowledged)
				if session.ask("SELECT stock FROM item WHERE id = 1") == want {
					break
				}
				if age > stalenessMax {
					t.Fatalf("a read that began %v after the update was acknowledged does not show it, through sidecar %d", age, i)
				}
			}
			took = append(took, time.Since(acknowledged))
		}
	}
	slices.Sort(took)
	t.Logf("an update made directly was shown after %v (median), %v (90 %%), at most %v", took[len(took)/2], took[len(took)*9/10], took[len(took)-1])
}

// readUntilKept reads the row that nobody writes until three of four reads are hits. Where the
// sidecar was not given a processor for longer than it may be stale, fewer are.
func readUntilKept(t *testing.T, session *psqlSession, s *sidecar) {
	t.Helper()
	hits := uint64(0)
	for range 20 {
		before := s.stats()
		first := session.ask("SELECT stock FROM item WHERE id = 1")
		for range 3 {
			if again := session.ask("SELECT stock FROM item WHERE id = 1"); again != first {
				t.Fatalf("nobody wrote, and the sidecar at %s answers %s after %s", s.at.host, again, first)
			}
		}
		if hits = s.stats().since(before).hits(); hits >= 3 {
			return
		}
	}
	t.Fatalf("%d hits of 4 reads through the sidecar at %s", hits, s.at.host)
}

// psqlSession is a psql that answers questions one by one.
type psqlSession struct {
	t     *testing.T
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func openPsql(t *testing.T, at endpoint) *psqlSession {
	t.Helper()
	command := exec.Command(psqlProgram(t), "-XqAt", "-v", "ON_ERROR_STOP=1")
	command.Env = at.environment()
	stdin, stdout := startPiped(t, command)
	t.Cleanup(func() {
		_ = stdin.Close() // its end is psql's
		if err := command.Wait(); err != nil {
			t.Errorf("psql ended badly: %v", err)
		}
	})
	return &psqlSession{t, stdin, bufio.NewScanner(stdout)}
}

// ask returns the one line that a query answers.
func (p *psqlSession) ask(query string) string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, query+";"); err != nil {
		p.t.Fatal(err)
	}
	if !p.lines.Scan() {
		p.t.Fatalf("psql does not answer %q: %v", query, p.lines.Err())
	}
	return p.lines.Text()
}
