package view

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// refreshEvery is the time between two drawings on a terminal, plainEvery
	// between two reports elsewhere.
	refreshEvery = 300 * time.Millisecond
	plainEvery   = 5 * time.Second
	// recent is the time over which rates and the hit ratio are taken.
	recent = 5 * time.Second
	// framesMax bounds the frames that are kept for that.
	framesMax = int(recent/refreshEvery) + 1
)

// View shows frames as they come.
type View struct {
	out    io.Writer
	size   func() (width, height int) // nil where lines cannot be drawn in place
	frames []Frame                    // the newest last
	drawn  int                        // lines on the screen
}

// New makes a view on out. It draws in place if out is a terminal and the
// environment, as os.Getenv gives it, does not ask for plain text.
func New(out io.Writer, getenv func(string) string) *View {
	v := &View{out: out}
	file, ok := out.(*os.File)
	if !ok || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" || getenv("TERM") == "" {
		return v
	}
	if _, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err != nil {
		return v
	}
	v.size = func() (int, int) {
		size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col == 0 || size.Row == 0 {
			return 80, 24
		}
		return int(size.Col), int(size.Row)
	}
	return v
}

// Interval is how often Show should be called.
func (v *View) Interval() time.Duration {
	if v.size == nil {
		return plainEvery
	}
	return refreshEvery
}

// Show shows a frame.
func (v *View) Show(f Frame) {
	v.frames = append(v.frames, f)
	if extra := len(v.frames) - framesMax; extra > 0 {
		v.frames = v.frames[extra:]
	}
	if v.size == nil {
		v.print(plainReport(f, v.earlier()))
		return
	}
	width, height := v.size()
	v.draw(fit(header(f), sections(f, v.earlier()), height-1), width)
}

// earlier is the frame that rates are taken from. Plain reports come so seldom
// that it is the one before.
func (v *View) earlier() Frame {
	if v.size == nil && len(v.frames) > 1 {
		return v.frames[len(v.frames)-2]
	}
	if len(v.frames) > 1 {
		return v.frames[0]
	}
	return Frame{}
}

// Sum replaces what is shown by the sum of everything, which stays.
func (v *View) Sum(f Frame) {
	lines := fit(line{}.add(bold, "In %s", f.Shop.Elapsed.Round(100*time.Millisecond)), sections(f, Frame{}), 0)
	if v.size == nil {
		v.print(append([]line{{}}, lines...))
		return
	}
	width, _ := v.size()
	v.draw(lines, width)
	v.drawn = 0
}

// Close gives the cursor back. What was drawn stays.
func (v *View) Close() {
	if v.size != nil {
		v.write("\x1b[?25h")
	}
}

func (v *View) print(lines []line) {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text() + "\n")
	}
	v.write(b.String())
}

// draw writes the lines over those drawn before, in one piece, with the cursor
// hidden.
func (v *View) draw(lines []line, width int) {
	var b strings.Builder
	b.WriteString("\x1b[?25l")
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dF", v.drawn)
	}
	for _, l := range lines {
		b.WriteString("\r" + l.coloured(width) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	v.drawn = len(lines)
	v.write(b.String())
}

// write ignores errors: there is nowhere else to tell of them, and the business
// goes on without a spectator.
func (v *View) write(text string) { _, _ = io.WriteString(v.out, text) }

func header(f Frame) line {
	elapsed := min(f.Shop.Elapsed, f.Length)
	return line{}.add(bold, "Freshet demo").column(columnA).
		add(dim, "%d s of %d s, Ctrl-C ends it", int(elapsed.Seconds()), int(f.Length.Seconds()))
}

// fit joins sections with empty lines between them. Where that is higher than
// height, dispensable sections are left out, then the empty lines, then the end
// of what comes before the verdict. A height of 0 fits everything.
func fit(head line, all []section, height int) []line {
	lines := join(head, all, true)
	if height <= 0 || len(lines) <= height {
		return lines
	}
	var needed []section
	for _, s := range all {
		if !s.dispensable {
			needed = append(needed, s)
		}
	}
	if lines = join(head, needed, true); len(lines) <= height {
		return lines
	}
	if lines = join(head, needed, false); len(lines) <= height {
		return lines
	}
	last := needed[len(needed)-1].lines
	last = last[:min(len(last), height)]
	return append(lines[:height-len(last):height-len(last)], last...)
}

func join(head line, all []section, spaced bool) []line {
	lines := []line{head}
	for _, s := range all {
		if spaced {
			lines = append(lines, line{})
		}
		lines = append(lines, s.lines...)
	}
	return lines
}
