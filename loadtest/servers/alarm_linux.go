package servers

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Alarm sleeps to within some 100 µs, where time.Sleep is off by a millisecond. It is a timer of
// the kernel's that the runtime waits for as for a connection: a thread that slept by itself
// would keep a processor from other goroutines meanwhile. Without such a timer it sleeps by
// time.Sleep. It belongs to one goroutine.
type Alarm struct {
	timer *os.File // nil without a timer
	rung  [8]byte
}

// NewAlarm returns an alarm. The caller must Close it.
func NewAlarm() *Alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return &Alarm{}
	}
	return &Alarm{timer: os.NewFile(uintptr(fd), "timer")}
}

// SleepUntil sleeps.
func (a *Alarm) SleepUntil(at time.Time) {
	if !a.wait(time.Until(at)) {
		time.Sleep(time.Until(at))
	}
}

// wait waits for the timer. It reports false if there is nothing to wait for, or no timer.
func (a *Alarm) wait(length time.Duration) bool {
	if a.timer == nil || length <= 0 {
		return false
	}
	raw, err := a.timer.SyscallConn()
	if err != nil {
		return false
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(length))}, nil)
	})
	if err != nil || set != nil {
		return false
	}
	_, err = a.timer.Read(a.rung[:])
	return err == nil
}

// Close gives the timer back.
func (a *Alarm) Close() {
	if a.timer != nil {
		_ = a.timer.Close() // nothing is lost with it
	}
}
