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
func (a *asking) provideShown(unit []byte, asked shown) error {
	asked |= shownBy(unit)
	demands := statements.SpeaksOfUs(unit) && mentionsDemands(unit)
	if asked == 0 && !demands || !a.mayProbe() {
		return nil
	}
	if demands {
		if err := a.provideDemands(); err != nil {
			return err
		}
	}
	if asked&showsToken != 0 {
		if err := a.provideToken(); err != nil {
			return err
		}
	}
	return a.provideReports(asked)
}

// provideDemands sets what a client that never made a demand gets: before the first
// SET Postgres knows of no such setting, and fails. Not in a transaction, whose first
// snapshot would be taken by that.
func (a *asking) provideDemands() error {
	if !a.talk.Idle() {
		return nil
	}
	a.db.counters.UpstreamProbes.Add(1)
	return a.ask("SELECT pg_catalog.set_config(name, value, false)" +
		" FROM (VALUES ('freshet.consistency', 'session'), ('freshet.cache', 'on'), ('freshet.staleness', '" + a.db.cache.Staleness().String() + "')) AS demands (name, value)" +
		" WHERE coalesce(pg_catalog.current_setting(name, true), '') OPERATOR(pg_catalog.=) ''")
}

// provideToken puts the token into the setting freshet.token. It is a head that
// includes everything acknowledged before this moment.
func (a *asking) provideToken() error {
	set := "SET freshet.token = '" + a.token() + "'"
	a.db.counters.UpstreamProbes.Add(1)
	return a.ask(set)
}

func (a *asking) token() string {
	token, err := a.db.cache.Token(a.ctx)
	if err != nil || a.state() == nil || !a.sameServer() {
		return tokenUnavailable
	}
	return token
}
