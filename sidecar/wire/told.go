package wire

import (
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// tells is what an entry would tell of the statement of a want, nil if nothing.
func (w *want) tells(a *answer.Answer) *description.Description {
	if w.describes || w.described {
		return a.Tells()
	}
	return nil
}

// toldBefore is what the client was told of the statement of a want, by the group so
// far or before it.
func (p *plan) toldBefore(w *want) *description.Description {
	switch {
	case p.toldOf == w.prepared:
		return p.told
	case w.parsed:
		return nil
	default:
		return w.prepared.Told.Load()
	}
}

// takes has a want answered with an entry, unless its portal would be read on, or the client
// was told something else of its statement before, or perhaps by Postgres, which keeps to it.
func (p *plan) takes(known *statements.Set, w *want, entry *engine.Entry) bool {
	w.entry = entry
	a := entry.Payload.(*answer.Answer)
	if w.whole && a.Suspended() {
		return false
	}
	tells := w.tells(a)
	if tells == nil {
		return true // what was told is in the key
	}
	told := p.toldBefore(w)
	if told != nil && !told.Agrees(tells) {
		return false
	}
	if w.describes && !w.parsed && !known.HeldBack(w.prepared) &&
		(told == nil || !told.Own || told.Params != tells.Params) {
		return false
	}
	p.toldOf, p.told = w.prepared, tells
	return true
}

// noteTold notes what the group, answered here, tells the client.
func (p *plan) noteTold(known *statements.Set) {
	for i := range p.wants {
		w := &p.wants[i]
		tells := w.tells(w.entry.Payload.(*answer.Answer))
		if tells == nil {
			continue
		}
		u := w.prepared
		told := u.Told.Load()
		if told != nil && told.Agrees(tells) && (told.Params == tells.Params || tells.Params == digest.Digest{}) {
			continue
		}
		if told != nil && u == p.unnamed && known.Holds(u) {
			// Parsed anew, it tells something else: Postgres has to parse it anew too.
			u = u.Again()
			p.unnamed = u
		}
		u.Told.Store(tells)
	}
}
