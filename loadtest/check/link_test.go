package check

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// echo is a server that sends back every line; its socket's path is returned.
func echo(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := readStartup(conn); err != nil {
					return
				}
				_, _ = io.WriteString(conn, name+"\n")
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return path
}

// linkTo returns a link to an echo server, closed when the test ends.
func linkTo(t *testing.T) (l *link, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if l, err = newLink(dir, echo(t, dir, "one")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l, dir
}

// caller is a client of a link.
type caller struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, dir, application string) *caller {
	t.Helper()
	conn, err := net.Dial("unix", socketPath(dir, upstreamPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	body := "\x00\x03\x00\x00application_name\x00" + application + "\x00\x00"
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err != nil {
		t.Fatal(err)
	}
	return &caller{t, conn, bufio.NewReader(conn)}
}

// line reads a line within a time.
func (c *caller) line(wait time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(wait)) // the read reports what is wrong
	return c.in.ReadString('\n')
}

func (c *caller) want(line string) {
	c.t.Helper()
	if got, err := c.line(servers.EventuallyMax); got != line+"\n" {
		c.t.Fatalf("got %q, %v, want %q", got, err, line)
	}
}

func (c *caller) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

const shortly = 50 * time.Millisecond

func (c *caller) wantSilence() {
	c.t.Helper()
	if got, err := c.line(shortly); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %q, %v, want nothing", got, err)
	}
}

func TestLinkFreezesAClassAndThaws(t *testing.T) {
	l, dir := linkTo(t)
	client, follower := call(t, dir, "somebody"), call(t, dir, followerName)
	client.want("one")
	follower.want("one")
	l.freeze(followerClass, bothWays, 1, nil)
	client.say("a")
	follower.say("b")
	client.want("a")
	follower.wantSilence()
	l.thaw()
	follower.want("b")
}

func TestLinkHoldsAnswersOnly(t *testing.T) {
	l, dir := linkTo(t)
	client := call(t, dir, "somebody")
	client.want("one")
	l.freeze(clientClass, answers, 1, nil)
	client.say("a")
	client.wantSilence()
	l.thaw()
	client.want("a")
}

func TestLinkDelaysAnswersOfAClassAndThaws(t *testing.T) {
	l, dir := linkTo(t)
	client, follower := call(t, dir, "somebody"), call(t, dir, followerName)
	client.want("one")
	follower.want("one")
	l.delay(followerClass, shortly)
	began := time.Now()
	follower.say("a")
	follower.want("a")
	if took := time.Since(began); took < shortly {
		t.Errorf("an answer delayed by %v came after %v", shortly, took)
	}
	l.delay(followerClass, time.Hour)
	client.say("b")
	follower.say("c")
	client.want("b")
	follower.wantSilence()
	l.thaw()
	follower.want("c")
	follower.say("d")
	follower.want("d")
}

func TestLinkCutsWhatItDelays(t *testing.T) {
	l, dir := linkTo(t)
	client := call(t, dir, "somebody")
	client.want("one")
	l.delay(everyClass, time.Hour)
	client.say("a")
	client.wantSilence()
	l.cut(everyClass, 1, nil)
	if got, err := client.line(servers.EventuallyMax); !errors.Is(err, io.EOF) {
		t.Errorf("after the cut: %q, %v, want the end", got, err)
	}
}

func TestLinkSwallowsAndCuts(t *testing.T) {
	l, dir := linkTo(t)
	client := call(t, dir, "somebody")
	client.want("one")
	l.swallow(everyClass, 1, nil)
	client.say("a")
	client.wantSilence()
	l.cutSwallowing()
	if _, err := client.line(servers.EventuallyMax); !errors.Is(err, io.EOF) {
		t.Errorf("after the cut: %v, want the end", err)
	}
}

func TestLinkHoldsNewConnectionsAndTurns(t *testing.T) {
	l, dir := linkTo(t)
	old := call(t, dir, "somebody")
	old.want("one")
	l.hold(followerClass)
	follower := call(t, dir, followerName)
	follower.wantSilence()
	l.turn(echo(t, dir, "two"))
	l.hold(0)
	follower.want("two")
	call(t, dir, "somebody").want("two")
	old.say("still here")
	old.want("still here")
}

func TestLinkPassesOneAnswerOn(t *testing.T) {
	l, dir := linkTo(t)
	client := call(t, dir, "somebody")
	client.want("one")
	l.freeze(clientClass, answers, 1, nil)
	client.say("a")
	p, err := l.awaitAnswer(t.Context(), of(clientClass))
	if err != nil {
		t.Fatal(err)
	}
	client.wantSilence()
	next := make(chan error, 1)
	go func() { next <- l.awaitNext(t.Context(), p) }()
	client.want("a")
	client.say("b")
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	l.thawClass(followerClass)
	client.wantSilence()
	l.thawClass(clientClass)
	client.want("b")
}

func TestLinkTellsThatNoAnswerCame(t *testing.T) {
	l, dir := linkTo(t)
	client := call(t, dir, "somebody")
	client.want("one")
	l.freeze(clientClass, answers, 1, nil)
	ctx, cancel := context.WithTimeout(t.Context(), shortly)
	defer cancel()
	if _, err := l.awaitAnswer(ctx, of(clientClass)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that it waited in vain", err)
	}
}
