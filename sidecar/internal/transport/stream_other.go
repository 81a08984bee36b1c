//go:build !linux || 386 || s390x

package transport

import "syscall"

// Connections are read and written as usual where these calls do not exist, or
// nobody has measured that they are cheaper.
const readsUntilDrained = false

func readFD(fd int, b []byte) (int, error) { return syscall.Read(fd, b) }

func writeFD(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
