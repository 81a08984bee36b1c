package main

import (
	"log/slog"
	"syscall"
)

const (
	// filesOfClient and filesBeside are the file descriptors that each client takes, and those
	// that the sidecar needs besides.
	filesOfClient, filesBeside = 2, 64
	// clientsUsual are as many as Postgres lets, unless its configuration says otherwise.
	clientsUsual = 100
)

// clientsExpected is how many clients may be connected.
func (c *config) clientsExpected() int {
	switch {
	case c.MaxUpstream > 0 && c.MaxClients > 0:
		return min(c.MaxClients, c.MaxUpstream)
	case c.MaxUpstream > 0:
		return c.MaxUpstream
	case c.MaxClients > 0:
		return c.MaxClients
	}
	return clientsUsual
}

// warnOfFiles says that there are too few file descriptors for so many clients. Go has raised
// the soft limit to the hard one.
func warnOfFiles(logger *slog.Logger, clients int) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return // nothing is known
	}
	if needed := uint64(filesOfClient*clients + filesBeside); files.Cur < needed {
		logger.Warn("too few file descriptors: clients beyond will be refused", "limit", files.Cur, "clients", clients, "needed", needed, "remedy", "raise LimitNOFILE (ulimit -n)")
	}
}
