package transport

import "golang.org/x/sys/unix"

// peerCredential asks the kernel who was at the other end of a Unix socket when it
// was connected.
func peerCredential(fd int) (uid uint32, err error) {
	credential, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return credential.Uid, nil
}
