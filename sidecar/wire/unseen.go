package wire

import (
	"strings"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Postgres does not see what is answered here. When a table has changed, be it by an
// ANALYZE, it analyses a statement anew at the next message that names it, under the
// settings of that moment:
//
//  1. a session prepares `… WHERE d = '01/02/2024'` under DateStyle MDY, and executes it;
//  2. autovacuum analyses the table;
//  3. the session executes the statement, which is answered here;
//  4. it sets DateStyle to DMY, and executes it: Postgres reads the date anew, as the 1st of
//     February. It would have read it at 3, and kept the 2nd of January.
//
// And it makes the plan when it is bound first:
//
//  1. the client parses `SELECT quote_ident('a')` and executes it, which is answered here;
//  2. it executes SET quote_all_identifiers, and binds the statement again: Postgres makes
//     the plan now, with a text that the one of 1 would not have had.
//
// So before anything is sent that may change a setting, Postgres is shown, unseen by the
// client, the uses of statements to which settings matter. Forced by
// TestConstantsAreThoseOfTheParse.
//
// When a table has changed since the use, and not before it, Postgres analyses the
// statement too early then, under the settings that it was used under. Only of a change of
// the schema that is known it can be told that it came later: see the list of differences.

// noteUnseen notes what a group, answered here, used statements for.
func (u *understanding) noteUnseen(p *plan) {
	unnamed := p.unnamed
	if p.parsed {
		unnamed.Unuse() // nothing is left of what it was before
	}
	for i := range p.wants {
		w := &p.wants[i]
		used := w.prepared
		if !used.Statement.KeepsSettings || p.parsed && !w.parsed && used == unnamed {
			continue
		}
		if w.parsed {
			used = unnamed // which may be another than when it was planned
		}
		use := statements.Executed
		if w.describes {
			use = statements.Described
		}
		u.statements.NoteUse(used, use)
	}
}

// catchUp has Postgres know what was done here, before a unit that may change something.
func (s *sending) catchUp() error {
	if err := s.sendHeldBack(); err != nil || !s.statements.SomeUnseen() || s.talk.MidGroup() {
		return err
	}
	m := s.certain()
	settled, err := s.awaitSettled()
	if err != nil || !settled || s.talk.TransactionStatus() != protocol.StatusIdle {
		return err
	}
	return s.sendUses(s.statements.TakeUnseen(s.meaning()), m)
}

// catchUpInBlock is catchUp, before a unit that may have to open the block that is held back.
// What was parsed under the block's own role and search path is not sent outside of it.
func (s *sending) catchUpInBlock() error {
	if p := s.statements.Waiting(); p != nil && s.block.Held && s.known.Local() {
		if m := p.Meaning.Load(); m == nil || m.Names != s.known.Base().Names {
			if err := s.open(); err != nil {
				return err
			}
		}
	}
	return s.catchUp()
}

// sendUses shows Postgres uses of statements, under m if that is certain.
func (a *asking) sendUses(all []statements.Unseen, m *statements.Meaning) error {
	for _, unseen := range all {
		if err := a.sendUse(unseen, m); err != nil {
			return err
		}
	}
	return nil
}

// sendUse shows Postgres the use of a statement, in a group of its own, so that its error
// harms nothing else. A statement with parameters is planned anew at each use, or nearly,
// and so it is enough to have it analysed.
func (a *asking) sendUse(unseen statements.Unseen, m *statements.Meaning) error {
	name, p := unseen.Name, unseen.Prepared
	a.statements.LookedAtUnder(p, m)
	e := conversation.Expectation{Kind: conversation.Describe, Hidden: true, Quiet: true, Statement: true, Prepared: p}
	message := protocol.AppendMessage(nil, 'D', []byte{'S'}, []byte(name), []byte{0})
	if unseen.Use == statements.Executed && !strings.Contains(p.Statement.SQL, "$") {
		a.statements.PlannedUnder(p, m)
		e = conversation.Expectation{Kind: conversation.Bind, Hidden: true, Quiet: true, Prepared: p, Effect: shapes.NoEffect}
		message = protocol.AppendMessage(nil, 'B', []byte{0}, []byte(name), make([]byte, 1+2*3))
	}
	a.talk.Owe(e)
	if err := a.sendUpstream(message); err != nil {
		return err
	}
	a.expectUnit(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Quiet: true, Harmless: true, ShowsNothing: true})
	return a.sendUpstream(syncMessage)
}
