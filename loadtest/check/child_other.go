//go:build !linux

package check

import "syscall"

// childAttributes makes a child; where there is no signal at a parent's death it
// may outlive a killed one.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
