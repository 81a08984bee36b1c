package accesslog

import (
	"io"
	"os"
)

// fileMode lets the group read the log, and nobody else.
const fileMode = 0o640

// File opens a file, made if it is not there, to add lines to it; "-" is standard output.
func File(path string) OpenFunc {
	return func() (io.WriteCloser, error) {
		if path == "-" {
			return standardOutput{}, nil
		}
		return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, fileMode)
	}
}

// standardOutput stays open.
type standardOutput struct{}

func (standardOutput) Write(b []byte) (int, error) { return os.Stdout.Write(b) }
func (standardOutput) Close() error                { return nil }
