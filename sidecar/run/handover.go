package run

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"

	"github.com/freshet/freshet/sidecar/internal/transport"
)

// The names of listeners, among those of Options.Listeners and of what one process hands
// over to the next.
const (
	ClientListener  = "client"
	TCPListener     = "tcp"
	AdminListener   = "admin"
	MetricsListener = "metrics"
	lockFile        = "lock"
)

// inherit takes the listeners that the service manager has opened, or the place of the
// process that runs now.
func (s *Sidecar) inherit() (transport.Inherited, error) {
	var i transport.Inherited
	i.Client, i.TCP = s.options.Listeners[ClientListener], s.options.Listeners[TCPListener]
	if !s.options.TakeOver || i.Client != nil {
		return i, nil
	}
	taken, lock, err := transport.TakeOver(s.options.SocketDir, s.options.Port)
	if err != nil || taken == nil {
		i.Lock = lock
		return i, err
	}
	s.taken = taken
	listeners := map[string]net.Listener{}
	s.options.Listeners = listeners
	wanted := map[string]bool{ClientListener: true, TCPListener: s.options.ListenTCP != "", AdminListener: s.options.Admin != "", MetricsListener: s.options.Metrics != ""}
	for name, file := range taken.Files {
		if !wanted[name] {
			continue
		}
		if listeners[name], err = net.FileListener(file); err != nil {
			delete(listeners, name)
			return i, fmt.Errorf("take over %s: %w", name, err)
		}
	}
	lock = taken.Files[lockFile]
	delete(taken.Files, lockFile) // it is the socket's now
	return transport.Inherited{Client: listeners[ClientListener], TCP: listeners[TCPListener], Lock: lock}, nil
}

// closeListeners lets go of what was inherited, whether a part has taken it over or not.
func (o *Options) closeListeners() {
	for _, l := range o.Listeners {
		_ = l.Close() // closed already if a part has failed that had taken it over
	}
}

// succeed tells the process whose place this one takes that it serves, once it follows
// or has tried to, and then offers its own place.
func (s *Sidecar) succeed(ctx context.Context, leave func()) {
	select {
	case <-s.ready:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return
	}
	if s.taken != nil {
		if err := s.taken.Ready(); err != nil {
			s.logger.Warn("the process before does not hear that this one serves", "error", err)
		}
		s.server.Own()
		s.taken.Close()
		s.logger.Info("took over the sockets of the process before")
	}
	offer, err := transport.NewOffer(s.options.socket())
	if err != nil {
		s.logger.Warn("no other process can take over without a gap", "error", err)
		return
	}
	if offer.Serve(ctx, s.files, s.server.TakeBack) {
		s.logger.Info("another process took over: clients that are connected may stay for a while")
		s.server.Leave()
		leave()
	}
}

// files are copies of all that is listened on.
func (s *Sidecar) files() (map[string]*os.File, error) {
	files, err := s.server.Files()
	if err != nil {
		return files, err
	}
	all := maps.Clone(files)
	if s.admin != nil {
		if all[AdminListener], err = s.admin.File(); err != nil {
			return files, err
		}
	}
	if s.probes != nil {
		if all[MetricsListener], err = s.probes.File(); err != nil {
			all[AdminListener].Close()
			return files, err
		}
	}
	return all, nil
}
