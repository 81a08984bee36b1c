//go:build !linux

package servers

import "time"

// Alarm sleeps as exactly as is possible here.
type Alarm struct{}

// NewAlarm returns an alarm. The caller must Close it.
func NewAlarm() *Alarm { return &Alarm{} }

// SleepUntil sleeps.
func (*Alarm) SleepUntil(at time.Time) { time.Sleep(time.Until(at)) }

// Close gives nothing back.
func (*Alarm) Close() {}
