package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pseudoTerminal is one with a program in it, and a person before it.
type pseudoTerminal struct {
	t      *testing.T
	person *os.File
	tty    *os.File
	shown  logBuffer
}

func newPseudoTerminal(t *testing.T) *pseudoTerminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	number := -1
	control(t, person, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		}
		return err
	})
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pseudoTerminal{t: t, person: person, tty: tty}
	control(t, tty, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 60, Col: 160})
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 1<<16)
		for {
			n, err := person.Read(buffer)
			_, _ = p.shown.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		tty.Close()
		person.Close()
		<-ended
	})
	return p
}

// control does something with a file's descriptor.
func control(t *testing.T, file *os.File, what func(fd int) error) {
	t.Helper()
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = what(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// settings are those of the terminal.
func (p *pseudoTerminal) settings() (s unix.Termios) {
	p.t.Helper()
	control(p.t, p.tty, func(fd int) error {
		now, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			s = *now
		}
		return err
	})
	return s
}

// press presses keys, and waits for a whole screen that has a text in it.
func (p *pseudoTerminal) press(keys, shows string) {
	p.t.Helper()
	seen := len(p.shown.String())
	if _, err := p.person.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, func() string {
		text := p.shown.String()[seen:]
		if end := strings.LastIndex(text, clearBelow); end < 0 || !strings.Contains(text[:end], shows) {
			return fmt.Sprintf("after %q there is no %q:\n%s", keys, shows, text)
		}
		return ""
	})
}

// A person before a terminal sorts, filters, looks closer and purges by keys; in the end the
// terminal is as it was.
func TestTopInATerminal(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*"))
	conn := client(t, s)
	eventually(t, func() string {
		if _, err := conn.Exec(t.Context(), "SELECT name FROM fruit WHERE id = 1"); err != nil || s.Report().Queries["hit_l1"] == 0 {
			return fmt.Sprint("no hits: ", err)
		}
		return ""
	})
	id := s.Report().Shapes[0].ID
	p := newPseudoTerminal(t)
	before := p.settings()
	top := exec.Command(program.Path(t), "top", "--admin", s.AdminAddress(), "--interval", "100ms")
	top.Stdin, top.Stdout, top.Stderr = p.tty, p.tty, p.tty
	if err := top.Start(); err != nil {
		t.Fatal(err)
	}
	p.press("", "? help")
	if raw := p.settings(); raw == before {
		t.Error("the terminal hands keys over by the line")
	}
	p.press("s", "sort (count)")
	p.press("fFROM fruit", "filter: FROM fruit_")
	p.press("\r", "filter (FROM fruit)")
	p.press("\x1b[B", ">"+id)
	p.press("\r", "ended by")
	p.press("p", "Type "+id+" to go on: _")
	p.press("no\r", "it was not confirmed")
	p.press("p"+id+"\r", "what depends on 1 table was ended (public.fruit)")
	var purges int
	if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM freshet.outbox WHERE 'own/freshet/purge' = ANY (tags)").Scan(&purges); err != nil || purges != 1 {
		t.Errorf("%d purges were written, error %v", purges, err)
	}
	p.press("\x1b", "arrows choose")
	p.press("?", "any key: back")
	p.press("q", "arrows choose")
	if _, err := p.person.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := top.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if after := p.settings(); after != before {
		t.Errorf("the terminal is %+v in the end, was %+v", after, before)
	}
	eventually(t, func() string {
		if !strings.HasSuffix(p.shown.String(), endScreen) {
			return "the screen of before is not there again"
		}
		return ""
	})
}
