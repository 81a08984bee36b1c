package wire

import "bytes"

// tokenUnavailable is the token when none can be had. Nobody can use it by
// mistake: it is no token.
const tokenUnavailable = "unavailable"

// mentionsToken reports whether a message may ask for the token.
func mentionsToken(message []byte) bool {
	return bytes.Contains(message, []byte("freshet.token")) || bytes.Contains(message, []byte("FRESHET.TOKEN"))
}

// provideToken puts the token into the setting freshet.token, unseen, before a
// statement that reads it: Postgres then answers in whatever protocol and form
// the client asks. The token is a head that includes everything acknowledged
// before this moment.
func (s *session) provideToken() error {
	if !s.mayProbe() {
		return nil
	}
	set := "SET freshet.token = '" + s.token() + "'"
	s.server.counters.UpstreamProbes.Add(1)
	return s.ask(set)
}

func (s *session) token() string {
	token, err := s.server.cache.Token(s.ctx)
	if err != nil || s.state == nil || !s.sameServer() {
		return tokenUnavailable
	}
	return token
}
