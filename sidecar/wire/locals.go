package wire

import (
	"sync"

	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/block"
)

// Programs begin a transaction and say for whom, or for how long: SET LOCAL app.tenant,
// SET LOCAL statement_timeout. Such a setting is held back with the BEGIN, and sent behind
// it, in its place among the savepoints, when the transaction is opened; reads in between
// are served. What is loaded runs under it: so with a setting held back, a load opens the
// transaction, goes along with it, and is captured in it (see openblock.go). Forced by
// TestLoadRunsUnderTheSettingsBeforeIt.
//
// A setting that Postgres refuses must fail where it stands. So only what the session's
// Postgres has accepted once is held back: for one of Postgres' own the name and the value;
// for one of the application's the name, as every text is a value then. Settings that change
// answers (a role, a search path, a time zone) are not held back: see settings.Local.

// provenMax bounds what a session keeps of settings that were accepted. Beyond it all is
// forgotten, and sent once more.
const provenMax = 256

// provenLocals are the settings of transactions that Postgres has accepted in a session.
type provenLocals struct {
	mu    sync.Mutex
	known map[string]struct{}
}

func (p *provenLocals) has(proof string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.known[proof]
	return ok
}

func (p *provenLocals) add(proof string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= provenMax {
		p.known = map[string]struct{}{}
	}
	p.known[proof] = struct{}{}
}

// proofOf is what has to have been accepted before the setting is held back, empty if
// it never is.
func proofOf(c block.Control) string {
	switch changes, free := settings.Local(c.Setting); {
	case c.Kind != block.SetLocal || changes:
		return ""
	case free:
		return c.Setting
	default:
		return c.Setting + "=" + c.Value
	}
}

// mayHold reports whether a setting is known to be one that Postgres would accept.
func (s *session) mayHold(c block.Control) bool {
	proof := proofOf(c)
	return proof != "" && s.proven.has(proof)
}

// proves returns what notes that Postgres has accepted a setting, nil if there is nothing to
// be noted.
func (s *session) proves(c block.Control) func() {
	if proof := proofOf(c); proof != "" {
		return func() { s.proven.add(proof) }
	}
	return nil
}
