package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/freshet/freshet/sidecar/dashboard"
)

// What a terminal is told besides: its screen is another one until the end, so that what
// stood there before is there again.
const (
	beginScreen = "\x1b[?1049h\x1b[?25l" + clearScreen
	endScreen   = "\x1b[?25h\x1b[?1049l"
	// clearLineRaw is clearLine where the terminal translates nothing.
	clearLineRaw = "\x1b[K\r\n"
)

// topMode is what the screen shows, and what keys mean.
type topMode int

const (
	topList   topMode = iota // everything, with one of the shapes chosen
	topFilter                // the same, while a filter is typed
	topDetail                // the chosen shape
	topPurge                 // the same, while the shape's id is typed to purge
	topHelp
)

// topScreen is freshet top with a person before it. It belongs to one goroutine.
type topScreen struct {
	topView
	to       io.Writer
	interval time.Duration
	place    string
	read     readFunc
	// purge ends what depends on the tables of a shape, and says what came of it.
	purge func(ctx context.Context, shape string) string
	// size is that of the terminal.
	size func() (width, height int)

	mode topMode
	// typed is what was typed in the modes that ask for a text; message is shown until the next
	// key.
	typed   []rune
	message string
	// before and now are the last two readings. Until there are two, both are the same.
	before, now dashboard.Stats
}

// onTerminal runs with a person's keys, if both ends are a terminal. It reports false if not.
func (c *topCommand) onTerminal(ctx context.Context, out *output, read readFunc, place string) (was bool, err error) {
	screen, ok := out.stdout.(*os.File)
	if !ok || c.Once || c.JSON || !term.IsTerminal(int(screen.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) {
		return false, nil
	}
	state, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return false, nil // it is shown without keys
	}
	defer func() { _ = term.Restore(int(os.Stdin.Fd()), state) }()
	if _, err := io.WriteString(screen, beginScreen); err != nil {
		return true, err
	}
	defer func() { _, _ = io.WriteString(screen, endScreen) }()
	t := &topScreen{
		topView: c.view(), to: screen, interval: c.Interval, place: place, read: read, purge: c.purgeShape,
		size: func() (width, height int) {
			width, height, err := term.GetSize(int(screen.Fd()))
			if err != nil || width < 1 || height < 1 {
				return 80, 24
			}
			return width, height
		},
	}
	return true, t.run(ctx, keysFrom(ctx, os.Stdin))
}

// keysFrom returns the keys that are pressed, until there is nobody any more. What waits for
// the next one ends with the process.
func keysFrom(ctx context.Context, from io.Reader) <-chan key {
	keys := make(chan key)
	go func() {
		defer close(keys)
		sent := make([]byte, 256)
		for {
			n, err := from.Read(sent)
			for _, k := range readKeys(sent[:n]) {
				select {
				case keys <- k:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return keys
}

// run shows until somebody has had enough.
func (t *topScreen) run(ctx context.Context, keys <-chan key) (err error) {
	if t.now, _, err = t.read(ctx); err != nil {
		return err
	}
	t.before = t.now
	ticker := time.NewTicker(t.interval)
	defer ticker.Stop()
	for {
		if err := t.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case k, pressed := <-keys:
			if !pressed || t.press(ctx, k) {
				return nil
			}
		case <-ticker.C:
			now, _, err := t.read(ctx)
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			t.before, t.now = t.now, now
			if now.UptimeSeconds < t.before.UptimeSeconds {
				t.before = dashboard.Stats{} // of another process
			}
		}
	}
}

// press does what a key means, and reports whether that is the end.
func (t *topScreen) press(ctx context.Context, k key) (end bool) {
	t.message = ""
	if k == keyInterrupt {
		return true
	}
	switch t.mode {
	case topFilter:
		t.filter(k)
	case topPurge:
		t.confirm(ctx, k)
	case topHelp:
		t.mode = topList
	case topDetail:
		t.detail(k)
	default:
		return t.list(k)
	}
	return false
}

// list is press while everything is shown.
func (t *topScreen) list(k key) (end bool) {
	switch k {
	case 'q':
		return true
	case 's':
		t.Sort = map[string]string{"time": "count", "count": "time"}[t.Sort]
	case 'f', '/':
		t.mode, t.typed = topFilter, []rune(t.Filter)
	case keyUp, 'k':
		t.choose(-1)
	case keyDown, 'j':
		t.choose(1)
	case keyEnter:
		t.toShape(topDetail)
	case 'p':
		t.toShape(topPurge)
	case keyEscape:
		t.Filter, t.chosen = "", ""
	case '?', 'h':
		t.mode = topHelp
	}
	return false
}

// detail is press while one shape is shown.
func (t *topScreen) detail(k key) {
	switch k {
	case 'p':
		t.toShape(topPurge)
	case 'q', keyEscape, keyEnter, keyBackspace:
		t.mode = topList
	}
}

// filter is press while a filter is typed, which holds as it is typed.
func (t *topScreen) filter(k key) {
	switch k {
	case keyEnter:
		t.mode = topList
	case keyEscape:
		t.mode, t.Filter = topList, ""
	default:
		t.typed = typed(t.typed, k)
		t.Filter = string(t.typed)
	}
}

// confirm is press while the id of the shape is typed that is to be purged.
func (t *topScreen) confirm(ctx context.Context, k key) {
	switch k {
	case keyEnter:
		t.mode, t.message = topDetail, errUnconfirmed.Error()
		if string(t.typed) == t.chosen {
			t.message = t.purge(ctx, t.chosen)
		}
	case keyEscape:
		t.mode, t.message = topDetail, errUnconfirmed.Error()
	default:
		t.typed = typed(t.typed, k)
	}
}

// typedMax bounds what is typed, in characters.
const typedMax = 64

// typed is a text after one more key.
func typed(text []rune, k key) []rune {
	switch {
	case k == keyBackspace && len(text) > 0:
		return text[:len(text)-1]
	case k > 0 && len(text) < typedMax:
		return append(text, rune(k))
	}
	return text
}

// choose moves the choice among the shapes that are shown.
func (t *topScreen) choose(by int) {
	shown := t.shapesOf(&t.now, &t.before)
	if len(shown) == 0 {
		return
	}
	at := slices.IndexFunc(shown, func(s shapeShown) bool { return s.ID == t.chosen })
	switch {
	case at < 0 && by < 0:
		at = len(shown) - 1
	case at < 0:
		at = 0
	default:
		at = min(max(at+by, 0), len(shown)-1)
	}
	t.chosen = shown[at].ID
}

// toShape goes on with the chosen shape, the first if none is.
func (t *topScreen) toShape(mode topMode) {
	if _, known := t.shape(); !known {
		t.chosen = ""
		t.choose(1)
	}
	if t.chosen == "" {
		t.message = "no statement is kept yet"
		return
	}
	t.mode, t.typed = mode, nil
}

// shape is the chosen one.
func (t *topScreen) shape() (dashboard.Shape, bool) {
	at := slices.IndexFunc(t.now.Shapes, func(s dashboard.Shape) bool { return s.ID == t.chosen })
	if at < 0 {
		return dashboard.Shape{}, false
	}
	return t.now.Shapes[at], true
}

// draw writes the screen: as much of it as there is room for, and below what keys there are.
func (t *topScreen) draw() error {
	width, height := t.size()
	lines := strings.Split(strings.TrimRight(t.text(), "\n"), "\n")
	lines = append(lines[:min(len(lines), max(height-1, 0))], t.footer())
	for i, line := range lines {
		if runes := []rune(line); len(runes) >= width {
			lines[i] = string(runes[:width-1])
		}
	}
	_, err := io.WriteString(t.to, homeCursor+strings.Join(lines, clearLineRaw)+"\x1b[K"+clearBelow)
	return err
}

// footer is the last line: what is asked, or which keys mean something.
func (t *topScreen) footer() string {
	switch {
	case t.mode == topFilter:
		return "filter: " + string(t.typed) + "_   (enter: keep it, escape: none)"
	case t.mode == topPurge:
		return fmt.Sprintf("Every sidecar will ask Postgres again. Type %s to go on: %s_", t.chosen, string(t.typed))
	case t.message != "":
		return t.message
	case t.mode == topDetail:
		return "escape back   p purge"
	case t.mode == topHelp:
		return "any key: back"
	}
	return fmt.Sprintf("q quit   s sort (%s)   f filter (%s)   arrows choose   enter detail   p purge   ? help", t.Sort, cmp.Or(t.Filter, "none"))
}

func (t *topScreen) text() string {
	switch t.mode {
	case topDetail, topPurge:
		return t.detailText()
	case topHelp:
		return topHelpText
	}
	return t.screen(&t.now, &t.before, t.place)
}

const topHelpText = `freshet top

  s            sort what passed through, and the statements, by time or by count
  f or /       show the reasons and statements alone that have a text in them
  up, down     choose a statement (also k and j)
  enter        what is known of it
  p            end what depends on the tables that it reads: its id has to be typed
  escape       no filter, nothing chosen; back
  ?            this
  q            quit (also control and C)

Figures are of the last interval, but for those of a single statement, which are since the
start or the last change of the schema.
`

// detailText is what is known of the chosen shape.
func (t *topScreen) detailText() string {
	shape, known := t.shape()
	if !known {
		return t.chosen + " is not among the statements any more: the schema has changed, or others are used more\n"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n%s\n\n", shape.ID, oneLine(shape.Statement))
	line := func(name, format string, arguments ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, fmt.Sprintf(format, arguments...))
	}
	line("reads", "%s", strings.Join(shape.Tables, ", "))
	line("hits", "%d, which saved %s of Postgres' time", shape.Hits, duration(shape.SavedSeconds))
	line("loads", "%d, which took %s", shape.Loads, duration(shape.LoadingSeconds))
	for _, cause := range slices.Sorted(maps.Keys(shape.Misses)) {
		line("  "+cause, "%d", shape.Misses[cause])
	}
	line("in memory", "%d answers, %s; half of the hits' were at most %s old", shape.Entries, humanize.IBytes(uint64(max(shape.Bytes, 0))), duration(shape.AgeP50Seconds))
	if shape.OutOfDate {
		line("out of date", "as accepted; the last one was %s old", duration(shape.AgeSeconds))
	}
	if slices.Contains(t.now.Verify.Distrusted, shape.ID) {
		line("found stale", "it passes through until its tables are purged")
	}
	line("ended by", "%s", strings.Join(shape.Tags, ", "))
	for _, command := range shape.Watch {
		line("better with", "%s", command)
	}
	return b.String()
}

// purgeShape asks the page to purge, and says what came of it.
func (c *topCommand) purgeShape(ctx context.Context, shape string) string {
	if c.Socket != "" {
		return "a client of the socket purges nothing: freshet top --admin, or freshet purge"
	}
	tables, err := c.adminFlags.purgeShape(ctx, c.Database, shape)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("what depends on %s was ended (%s)", plural(len(tables), "table"), strings.Join(tables, ", "))
}

// purgeShape has a sidecar end what depends on the tables that the statements of a shape read,
// and returns their names.
func (a adminFlags) purgeShape(ctx context.Context, database, shape string) (tables []string, err error) {
	below, err := a.below(ctx, database)
	if err != nil {
		return nil, err
	}
	status, body, err := a.act(ctx, below, "/api/v1/purge", dashboard.PurgeRequest{Shape: shape, Confirm: shape})
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusUnprocessableEntity:
		return nil, codedError{errors.New("nothing was purged: " + oneLine(string(body))), exitNothing}
	case status != http.StatusOK:
		return nil, errors.New(oneLine(string(body)))
	}
	var purged dashboard.Purged
	if err := json.Unmarshal(body, &purged); err != nil {
		return nil, fmt.Errorf("read the sidecar's answer: %w", err)
	}
	return purged.Tables, nil
}
