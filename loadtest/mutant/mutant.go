// Package mutant makes copies of the product with mistakes in them, for tests that
// prove that a check finds such mistakes.
//
// It guarantees that the source tree is left alone, and that a mutant holds every
// change asked for: one that no longer fits the source is an error, not a product
// without the mistake. It does not build the mutant; go build and go test do, with
// the overlay.
//
// Its function may be called concurrently, for different directories.
package mutant

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Edit replaces Old, which must stand exactly once in a file, by New. File is the
// path below the root that Overlay is given.
type Edit struct{ File, Old, New string }

// Overlay writes the changed copies of root's files to dir, which must exist, and
// the list of them that go build takes as -overlay. It returns the list's path.
// Edits of the same file are made one after the other.
func Overlay(root, dir string, edits []Edit) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	texts, err := changed(root, edits)
	if err != nil {
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
