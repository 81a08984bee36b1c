package main

import (
	"log/slog"
	"net"
	"os"
)

// notifySystemd tells the service manager about a change of state, if one asked
// to be told (systemd's Type=notify, sd_notify).
func notifySystemd(logger *slog.Logger, state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close()
	}
	if err != nil {
		logger.Warn("cannot tell the service manager", "state", state, "error", err)
	}
}
