package servers

import (
	"fmt"
	"net"
	"strings"
)

const (
	// portAttemptsMax bounds how many free ports are tried: another process may
	// take one between our choosing it and the server's binding it.
	portAttemptsMax = 5
	// portLogLines is how far back a log is read for what such a server said.
	portLogLines = 20
)

// onFreePorts calls start, which chooses the ports of a server and starts it, and
// calls it again if another process has taken one of them meanwhile.
func onFreePorts(logTail func(lines int) string, start func() error) error {
	for attempt := 1; ; attempt++ {
		err := start()
		if err == nil || attempt == portAttemptsMax || !addressTaken(logTail(portLogLines)) {
			return err
		}
	}
}

// freePort returns a port of the loopback address that nobody uses just now.
func freePort() (int, error) {
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// addressTaken reports whether a server's log says that its port was in use.
func addressTaken(log string) bool {
	return strings.Contains(strings.ToLower(log), "address already in use")
}
