// Command results prints what go test -json tells: each package when its tests have ended,
// where go test itself prints them in the order of its arguments, and the name of each test
// when it has failed. Like go test, it prints what tests have said only where one failed.
//
//	go test -json ./... -args -test.v=false | go run ./.ci/results
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := show(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// show prints what the events from in tell. What is no event it prints as it is. Packages
// that have not ended when the events do come last.
func show(in io.Reader, out io.Writer) error {
	said := map[string][]string{} // by packages that have begun and not ended
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			if _, err := io.WriteString(out, shown(line, said)); err != nil {
				return fmt.Errorf("print results: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read results: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if _, err := fmt.Fprintf(out, "%sNOT ENDED\t%s\n", strings.Join(said[name], ""), name); err != nil {
			return fmt.Errorf("print results: %w", err)
		}
	}
	return nil
}

// shown returns what is to be printed for one line, and keeps in said what may be later.
func shown(line string, said map[string][]string) string {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		return line
	}
	switch {
	case e.Package == "":
		return e.Output // of what does not compile
	case e.Action == "output":
		said[e.Package] = append(said[e.Package], e.Output)
		if strings.HasPrefix(e.Output, "--- FAIL: ") {
			return e.Package + ": " + e.Output
		}
	case e.Test != "":
	case e.Action == "start":
		said[e.Package] = nil
	case e.Action == "fail":
		defer delete(said, e.Package)
		return strings.Join(said[e.Package], "")
	case e.Action == "pass", e.Action == "skip":
		defer delete(said, e.Package)
		return strings.Join(slices.DeleteFunc(said[e.Package], func(text string) bool {
			return !strings.HasPrefix(text, "ok  \t") && !strings.HasPrefix(text, "?   \t")
		}), "")
	}
	return ""
}
