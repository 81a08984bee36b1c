package main

import (
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySystemd tells the service manager about a change of state, if one asked
// to be told (systemd's Type=notify).
func notifySystemd(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("cannot tell the service manager", "state", state, "error", err)
	}
}
