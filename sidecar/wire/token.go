package wire

import (
	"bytes"

	"github.com/freshet/freshet/sidecar/internal/statements"
)

// tokenUnavailable is the token when none can be had. Nobody can use it by
// mistake: it is no token.
const tokenUnavailable = "unavailable"

// mentionsToken reports whether a message may ask for the token.
func mentionsToken(message []byte) bool {
	return bytes.Contains(message, []byte("freshet.token")) || bytes.Contains(message, []byte("FRESHET.TOKEN"))
}

// mentionsDemands reports whether a message may ask what the demands of the session
// are.
func mentionsDemands(message []byte) bool {
	text := bytes.ToLower(message)
	return (bytes.Contains(text, []byte("freshet.consistency")) || bytes.Contains(text, []byte("freshet.staleness")) || bytes.Contains(text, []byte("freshet.cache"))) &&
		(bytes.Contains(text, []byte("show")) || bytes.Contains(text, []byte("current_setting")))
}

// provideShown makes ready, unseen, what a unit may ask for: the token, reports, and the
// demands in force where none was made. Postgres then answers in whatever protocol and
// form the client asks. asked is what statements of the unit are known to ask for.
func (s *session) provideShown(unit []byte, asked shown) error {
	asked |= shownBy(unit)
	demands := statements.SpeaksOfUs(unit) && mentionsDemands(unit)
	if asked == 0 && !demands || !s.mayProbe() {
		return nil
	}
	if demands {
		if err := s.provideDemands(); err != nil {
			return err
		}
	}
	if asked&showsToken != 0 {
		if err := s.provideToken(); err != nil {
			return err
		}
	}
	return s.provideReports(asked)
}

// provideDemands sets what a client that never made a demand gets: before the first
// SET Postgres knows of no such setting, and fails. Not in a transaction, whose first
// snapshot would be taken by that.
func (s *session) provideDemands() error {
	if !s.talk.Idle() {
		return nil
	}
	s.server.counters.UpstreamProbes.Add(1)
	return s.ask("SELECT pg_catalog.set_config(name, value, false)" +
		" FROM (VALUES ('freshet.consistency', 'session'), ('freshet.cache', 'on'), ('freshet.staleness', '" + s.server.cache.Staleness().String() + "')) AS demands (name, value)" +
		" WHERE coalesce(pg_catalog.current_setting(name, true), '') OPERATOR(pg_catalog.=) ''")
}

// provideToken puts the token into the setting freshet.token. It is a head that
// includes everything acknowledged before this moment.
func (s *session) provideToken() error {
	set := "SET freshet.token = '" + s.token() + "'"
	s.server.counters.UpstreamProbes.Add(1)
	return s.ask(set)
}

func (s *session) token() string {
	token, err := s.server.cache.Token(s.ctx)
	if err != nil || s.state() == nil || !s.sameServer() {
		return tokenUnavailable
	}
	return token
}
