package fence

import "golang.org/x/sys/unix"

// clockID counts suspended time on Linux.
const clockID = unix.CLOCK_BOOTTIME
