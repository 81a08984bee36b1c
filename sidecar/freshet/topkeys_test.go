package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/dashboard"
)

func TestReadKeys(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string][]key{
		"q":             {'q'},
		"\x1b[A\x1bOB":  {keyUp, keyDown},
		"\x1b":          {keyEscape},
		"\x1b?":         {keyEscape, '?'},
		"\x1b[3~x":      {keyNone, 'x'},
		"\x1b[1;5":      {keyNone},
		"é\r\n\x7f\b":   {'é', keyEnter, keyEnter, keyBackspace, keyBackspace},
		"\x03\x01\xff~": {keyInterrupt, '�', '~'},
	} {
		if got := readKeys([]byte(sent)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q is read as %v, want %v", sent, got, want)
		}
	}
}

// Keys change what is shown; nothing is purged whose id was not typed; and no line is longer,
// and no screen higher, than the terminal.
func TestTopKeys(t *testing.T) {
	t.Parallel()
	var shown bytes.Buffer
	var purged []string
	stats := dashboard.Stats{
		Queries: map[string]uint64{"hit_l1": 9}, Bypasses: map[string]uint64{"not_select": 5, "volatile": 7}, BypassSeconds: map[string]float64{"not_select": 2, "volatile": 1},
		Shapes: []dashboard.Shape{
			{ID: "aaaaaaaa", Statement: "SELECT a FROM t", Hits: 2, Tables: []string{"public.t"}, Tags: []string{"public.t/id=…"}},
			{ID: "bbbbbbbb", Statement: "SELECT b FROM u", Hits: 5, Tables: []string{"public.u"}, Watch: []string{"freshet install --watch 'public.u(b)'"}},
		},
	}
	width, height := 200, 60
	s := &topScreen{
		topView: topView{Sort: "time"}, to: &shown, place: "here", now: stats, before: dashboard.Stats{},
		size:  func() (int, int) { return width, height },
		purge: func(_ context.Context, shape string) string { purged = append(purged, shape); return "it is done" },
	}
	before := func(a, b string) func(string) bool {
		return func(text string) bool {
			return strings.Contains(text, a) && strings.Index(text, a) < strings.Index(text, b)
		}
	}
	has := func(part string) func(string) bool {
		return func(text string) bool { return strings.Contains(text, part) }
	}
	lacks := func(part string) func(string) bool {
		return func(text string) bool { return !strings.Contains(text, part) }
	}
	for _, step := range []struct {
		keys string
		want []func(string) bool
	}{
		{"", []func(string) bool{before("aaaaaaaa", "bbbbbbbb"), before("not_select", "volatile"), has("sort (time)"), lacks(">aaaaaaaa")}},
		{"s", []func(string) bool{before("bbbbbbbb", "aaaaaaaa"), before("volatile", "not_select"), has("sort (count)")}},
		{"s\x1b[B", []func(string) bool{has(">aaaaaaaa")}},
		{"j", []func(string) bool{has(">bbbbbbbb")}},
		{"\x1b[B", []func(string) bool{has(">bbbbbbbb")}},
		{"k", []func(string) bool{has(">aaaaaaaa")}},
		{"fFROM uu", []func(string) bool{lacks("aaaaaaaa"), lacks("bbbbbbbb"), has("filter: FROM uu_")}},
		{"\x7f", []func(string) bool{lacks("aaaaaaaa"), has("bbbbbbbb"), lacks("volatile")}},
		{"\r", []func(string) bool{has("filter (FROM u)")}},
		{"\x1b", []func(string) bool{has("filter (none)"), has("volatile"), lacks(">aaaaaaaa"), lacks(">bbbbbbbb")}},
		{"\r", []func(string) bool{has("SELECT a FROM t"), has("ended by       public.t/id=…"), lacks("bbbbbbbb")}},
		{"p", []func(string) bool{has("Type aaaaaaaa to go on: _")}},
		{"aaaa\r", []func(string) bool{has("nothing was purged")}},
		{"p\x1b", []func(string) bool{has("nothing was purged")}},
		{"paaaaaaaa\r", []func(string) bool{has("it is done"), has("SELECT a FROM t")}},
		{"\x1b", []func(string) bool{has(">aaaaaaaa"), has("bbbbbbbb")}},
		{"j\r", []func(string) bool{has("better with    freshet install --watch 'public.u(b)'")}},
		{"q?", []func(string) bool{has("any key: back")}},
		{"x", []func(string) bool{has("PASSED THROUGH")}},
	} {
		for _, k := range readKeys([]byte(step.keys)) {
			if s.press(t.Context(), k) {
				t.Fatalf("%q ends it", step.keys)
			}
		}
		shown.Reset()
		if err := s.draw(); err != nil {
			t.Fatal(err)
		}
		for i, want := range step.want {
			if !want(shown.String()) {
				t.Errorf("after %q: not what is wanted (%d):\n%s", step.keys, i, shown.String())
			}
		}
	}
	if fmt.Sprint(purged) != "[aaaaaaaa]" {
		t.Errorf("%v were purged", purged)
	}
	width, height = 40, 10
	shown.Reset()
	if err := s.draw(); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(homeCursor, "", "\x1b[K", "", clearBelow, "").Replace(shown.String())
	lines := strings.Split(text, "\r\n")
	for _, line := range lines {
		if n := len([]rune(line)); n >= width {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	if len(lines) != height {
		t.Errorf("%d lines", len(lines))
	}
	if !s.press(t.Context(), 'q') {
		t.Error("q does not end it")
	}
}
