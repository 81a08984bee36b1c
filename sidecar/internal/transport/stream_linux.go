//go:build !386 && !s390x

package transport

import (
	"syscall"
	"unsafe"
)

const readsUntilDrained = true

// readFD reads from a socket. b is not empty.
func readFD(fd int, b []byte) (int, error) {
	return transfer(syscall.SYS_RECVFROM, fd, b, syscall.MSG_DONTWAIT)
}

// writeFD writes to a socket. b is not empty.
func writeFD(fd int, b []byte) (int, error) {
	return transfer(syscall.SYS_SENDTO, fd, b, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

// transfer does not tell the scheduler, which package syscall would do: the call
// returns at once. recvfrom and sendto take a shorter way through the kernel than
// read and write do.
func transfer(call uintptr, fd int, b []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
