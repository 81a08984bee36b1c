package servers

import (
	"os"

	"golang.org/x/sys/unix"
)

// copyAtOnceMax is how much the kernel is asked to copy with one call.
const copyAtOnceMax = 1 << 30

// copyContent has the kernel copy: bytes that passed through this process would be a third of
// what a server costs its test, under the race detector, which looks at each of them.
func copyContent(to, from *os.File) error {
	for {
		n, err := unix.Sendfile(int(to.Fd()), int(from.Fd()), nil, copyAtOnceMax)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return os.NewSyscallError("sendfile", err)
		case n == 0:
			return nil
		}
	}
}
