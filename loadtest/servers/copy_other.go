//go:build !linux

package servers

import (
	"io"
	"os"
)

// copyContent copies.
func copyContent(to, from *os.File) error {
	_, err := io.Copy(to, from)
	return err
}
