package dashboard

import (
	"net"
	"net/http"
	"net/netip"
)

// loopbackOnly refuses requests whose Host is not a loopback name. A web site
// whose name was made to point at 127.0.0.1 (DNS rebinding) makes its visitors'
// browsers send its own name here, and would be allowed to read the answer.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackHost(r.Host) {
			http.Error(w, "This address answers only to localhost, 127.0.0.1 and [::1]. To reach it under another name, bind it to another address with --admin.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopbackHost reports whether a Host header, with or without a port, names
// this machine and nothing else.
func isLoopbackHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if name == "localhost" {
		return true
	}
	if len(name) > 2 && name[0] == '[' && name[len(name)-1] == ']' {
		name = name[1 : len(name)-1]
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
