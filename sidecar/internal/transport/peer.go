package transport

import (
	"errors"
	"net"
)

// ErrPeerUnknown is why nothing is known of a client's operating system user.
var ErrPeerUnknown = errors.New("only a Unix socket tells who connects")

// PeerOf returns the number of the operating system user at the other end of a
// connection.
func PeerOf(client net.Conn) (uid uint32, err error) {
	socket, ok := client.(*net.UnixConn)
	if !ok {
		return 0, ErrPeerUnknown
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	if failed := raw.Control(func(fd uintptr) { uid, err = peerCredential(int(fd)) }); failed != nil {
		return 0, failed
	}
	return uid, err
}
