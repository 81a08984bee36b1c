package wire

import (
	"strconv"
	"strings"
	"sync"

	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/block"
)

// Programs begin a transaction and say for whom, or for how long: SET LOCAL app.tenant,
// SET LOCAL statement_timeout, SELECT set_config('request.jwt.claims', …, true). Such a
// setting is held back with the BEGIN, and sent behind it, in its place among the savepoints,
// when the transaction is opened; reads in between are served. What is loaded runs under it:
// so with a setting held back, a load opens the transaction, goes along with it, and is
// captured in it (see openblock.go). Forced by TestLoadRunsUnderTheSettingsBeforeIt.
//
// A setting that Postgres refuses must fail where it stands. So only what the session's
// Postgres has accepted once is held back, be it in a rehearsal (see rehearse.go): for one of
// Postgres' own the name and the value; for one of the application's the name, as every text
// is a value then. Of the settings that change answers, the role and the search path are held
// back, others are not: see settings.Local.

// provenMax bounds what a session keeps of settings that were accepted. Beyond it all is
// forgotten, and sent once more.
const provenMax = 256

// provenLocals are the settings of transactions that Postgres has accepted in a session, and
// what set_config shows of each, nil where that is not known.
type provenLocals struct {
	mu    sync.Mutex
	known map[string][]byte
}

func (p *provenLocals) find(proof string) (shown []byte, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shown, ok = p.known[proof]
	return shown, ok
}

func (p *provenLocals) add(proof string, shown []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= provenMax {
		p.known = map[string][]byte{}
	}
	if _, ok := p.known[proof]; !ok || shown != nil {
		p.known[proof] = shown
	}
}

// changesState reports whether a setting is one of those that change answers and are held
// back all the same.
func changesState(name string) bool { return name == "role" || name == "search_path" }

// proofOf is what has to have been accepted before the setting is held back, empty if
// it never is, or if it is rehearsed each time. anyValue is set if another value needs no
// other proof.
func proofOf(x *block.Setting) (proof string, anyValue bool) {
	switch changes, free := settings.Local(x.Name); {
	case changes:
		return "", false
	case free && !x.Written && ascii(x.Value):
		return x.Name, true
	default:
		return x.Name + "=" + x.Value, false
	}
}

// ascii reports whether a text is the same in every encoding.
func ascii(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= 0x80 }) < 0
}

// held is what is known of settings that are held back.
type held struct {
	// changes names those that change answers: see block.Standing.
	changes string
	// shown are the values that set_config shows.
	shown [][]byte
}

// mayHold reports whether settings are known to be such as Postgres would accept, and what
// comes of them. text is the statement that sets them.
func (a *asking) mayHold(c *block.Control, text string) (h held, ok bool) {
	proven := true
	for i := range c.Settings {
		x := &c.Settings[i]
		if changesState(x.Name) {
			h.changes += x.Name + "=" + strconv.Quote(x.Value) + strconv.FormatBool(x.Written) + ";"
			h.shown = append(h.shown, []byte(x.Value))
			continue
		}
		proof, anyValue := proofOf(x)
		if proof == "" {
			return held{}, false
		}
		shown, known := a.proven.find(proof)
		if anyValue {
			shown = []byte(x.Value)
		}
		proven = proven && known && (c.Columns == nil || shown != nil)
		h.shown = append(h.shown, shown)
	}
	before := a.block.Changes()
	if a.known.Lacks() {
		return held{}, false
	}
	if h.changes != "" || c.Columns != nil {
		// What rests on a probe holds as long as that.
		if !a.known.BaseHolds() && !a.mayRehearse() {
			return held{}, false
		}
		proven = proven && (c.Columns == nil || a.rehearsed.calls[before])
	}
	if h.changes != "" {
		state, tried := a.rehearsed.states[before+h.changes]
		if tried && state == nil {
			return held{}, false
		}
		proven = proven && tried
	}
	if proven {
		return h, true
	}
	return a.proveByRehearsal(c, text, h)
}

// proveByRehearsal is mayHold for what has to be rehearsed.
func (a *asking) proveByRehearsal(c *block.Control, text string, h held) (held, bool) {
	if !a.mayRehearse() || a.known.Lacks() {
		return held{}, false
	}
	before := a.block.Changes()
	refused := before + "refused " + text
	if _, tried := a.rehearsed.states[refused]; tried {
		return held{}, false
	}
	names := namesOf(c)
	a.values.place(names, false) // what it comes to, if it fails
	found, ok := a.rehearse(append(a.block.Settings(), text), len(c.Columns))
	a.values.place(names, ok)
	if ok = ok && (c.Columns == nil || found.calls); !ok {
		a.rehearsed.note(refused, nil)
		return held{}, false
	}
	for i := range c.Settings {
		x := &c.Settings[i]
		var shown []byte
		if c.Columns != nil {
			shown = found.shown[i]
		}
		proof, anyValue := proofOf(x)
		if c.Columns != nil && (shown == nil || (anyValue || proof == "") && string(shown) != x.Value) {
			a.rehearsed.note(refused, nil)
			return held{}, false
		}
		if proof != "" {
			a.proven.add(proof, shown)
		}
		h.shown[i] = shown
	}
	if h.changes != "" {
		a.rehearsed.note(before+h.changes, found.state)
	}
	if c.Columns != nil {
		a.rehearsed.noteCalls(before)
	}
	return h, true
}

// namesOf are the settings that a statement sets.
func namesOf(c *block.Control) (names []string) {
	for i := range c.Settings {
		names = append(names, c.Settings[i].Name)
	}
	return names
}

// proves returns what notes that Postgres has accepted a setting, nil if there is nothing to
// be noted. What set_config may mean only a rehearsal tells.
func (p *provenLocals) proves(c block.Control) func() {
	if c.Kind != block.SetLocal || c.Columns != nil {
		return nil
	}
	if proof, _ := proofOf(&c.Settings[0]); proof != "" {
		return func() { p.add(proof, nil) }
	}
	return nil
}

// changesAnswers reports whether a statement that sets something in a transaction that
// Postgres knows of may change the session's state.
func (u *understanding) changesAnswers(c *block.Control) bool {
	for i := range c.Settings {
		if x := &c.Settings[i]; x.NameParam > 0 {
			return true
		} else if changes, _ := settings.Local(x.Name); changes {
			return true
		}
	}
	return c.Columns != nil && !u.rehearsed.calls[u.block.Changes()]
}
