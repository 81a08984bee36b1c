//go:build !linux

package fence

import "golang.org/x/sys/unix"

// clockID counts suspended time on macOS and the BSDs, where there is no
// CLOCK_BOOTTIME.
const clockID = unix.CLOCK_MONOTONIC
