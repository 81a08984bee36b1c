package wire

import (
	"syscall"
	"unsafe"
)

const readsUntilDrained = true

// readNow reads from a non-blocking descriptor. b is not empty. The scheduler is
// not told, which syscall.Read would do: the call returns at once.
func readNow(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// writeNow writes to a non-blocking descriptor. b is not empty.
func writeNow(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
