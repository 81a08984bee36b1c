package wire

import (
	"syscall"
	"unsafe"
)

const readsUntilDrained = true

// readFD reads from a non-blocking descriptor. b is not empty. The scheduler is
// not told, which syscall.Read would do: the call returns at once.
func readFD(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// writeFD writes to a non-blocking descriptor. b is not empty.
func writeFD(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
