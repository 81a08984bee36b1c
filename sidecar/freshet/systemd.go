package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/freshet/freshet/sidecar/run"
)

// notifySystemd tells the service manager about a change of state, if one asked
// to be told (systemd's Type=notify).
func notifySystemd(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("cannot tell the service manager", "state", state, "error", err)
	}
}

// feedWatchdog tells the service manager again and again that the sidecar is alive, twice
// as often as it wants to hear that (systemd's WatchdogSec), until ctx ends. A sidecar that
// cannot say how it is any more says nothing.
func feedWatchdog(ctx context.Context, s *run.Sidecar, logger *slog.Logger) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		logger.Warn("cannot tell how often the service manager wants to hear of the sidecar", "error", err)
	}
	if within == 0 {
		return
	}
	ticker := time.NewTicker(within / 2)
	defer ticker.Stop()
	for {
		s.Report() // takes the locks that a stuck sidecar would hold
		notifySystemd(logger, daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// systemdListeners are the sockets that the service manager has opened and keeps open
// while the sidecar is restarted, by their FileDescriptorName: client, tcp, admin and metrics. A
// single Unix socket is the clients', whatever its name.
func systemdListeners() (map[string]net.Listener, error) {
	given, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take the sockets of the service manager: %w", err)
	}
	listeners := map[string]net.Listener{}
	for name, some := range given {
		if len(some) != 1 {
			return nil, usage("the service manager has opened %d sockets of the name %s: give each a FileDescriptorName of its own", len(some), name)
		}
		switch name {
		case run.ClientListener, run.TCPListener, run.AdminListener, run.MetricsListener:
		default:
			if _, unix := some[0].(*net.UnixListener); !unix || len(given) > 1 {
				return nil, usage("the service manager has opened a socket of the name %s: set FileDescriptorName to client, tcp, admin or metrics", name)
			}
			name = run.ClientListener
		}
		listeners[name] = some[0]
	}
	return listeners, nil
}
