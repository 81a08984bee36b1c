// Package mutant makes copies of the product with mistakes in them, for tests that
// prove that a check finds such mistakes.
//
// It guarantees that the source tree is left alone, and that a mutant holds every
// change asked for: one that no longer fits the source is an error, not a product
// without the mistake. It builds the mutant, or leaves that to go test, which takes
// the overlay too.
//
// Its functions may be called concurrently, for different directories.
package mutant

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/freshet/freshet/loadtest/compiling"
)

// Edit replaces Old, which must stand exactly once in a file, by New. File is the
// path below the root that Overlay is given.
type Edit struct {
	File, Old, New string
	// As says what Old and New are.
	As Form
}

// Form is what is replaced: any text, or what can be switched while the program
// runs (see BuildSwitched).
type Form uint8

const (
	Text       Form = iota // any text
	Statements             // whole statements of Go that declare nothing used below
	Condition              // an expression of Go of type bool
	Switching              // New is Go that switches itself: it asks mutantIs(NAME)
)

// Overlay writes the changed copies of root's files to dir, which must exist, and
// the list of them that go build takes as -overlay. It returns the list's path.
// Edits of the same file are made one after the other.
func Overlay(root, dir string, edits []Edit) (string, error) {
	return overlay(root, dir, edits, func(map[string]string) error { return nil })
}

// overlay is Overlay of the changed texts, by the paths of their files, to which add
// may add.
func overlay(root, dir string, edits []Edit, add func(texts map[string]string) error) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	texts, err := changed(root, edits)
	if err != nil {
		return "", err
	}
	if err := add(texts); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range texts {
		// Numbered, as files of several folders may have one name.
		written := filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(written, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write changed source: %w", err)
		}
		replace[path] = written
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("encode overlay: %w", err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	return path, nil
}

// changed returns the changed texts by the paths of their files.
func changed(root string, edits []Edit) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(root, e.File)
		if _, known := texts[path]; !known {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read source: %w", err)
			}
			texts[path] = string(text)
		}
		if n := strings.Count(texts[path], e.Old); n != 1 {
			return nil, fmt.Errorf("change %s: it holds the text %d times, want once: the rule has moved, so must the mutant:\n%s", e.File, n, e.Old)
		}
		texts[path] = strings.Replace(texts[path], e.Old, e.New, 1)
	}
	return texts, nil
}

// Build builds the mutant of a command of the module at root and returns the path of
// the program, which is in dir.
func Build(ctx context.Context, root, dir, pkg string, edits []Edit) (program string, err error) {
	list, err := Overlay(root, dir, edits)
	if err != nil {
		return "", err
	}
	return build(ctx, root, dir, list, "build", pkg)
}

// build has go make a program: of a command by "build", or of a package's tests by
// "test", "-c".
func build(ctx context.Context, root, dir, overlay, command string, pkg ...string) (program string, err error) {
	program = filepath.Join(dir, "mutant")
	// What debuggers read takes a third of the time to write.
	arguments := append([]string{command, "-ldflags=-s", "-overlay", overlay, "-o", program}, pkg...)
	if text, err := compiling.Go(ctx, root, arguments...); err != nil {
		return "", fmt.Errorf("%s %s: %w; it said:\n%s", command, strings.Join(pkg, " "), err, text)
	}
	return program, nil
}
