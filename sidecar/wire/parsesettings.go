package wire

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// Postgres reads the constants of a statement when it parses it, and folds
// expressions of them when it plans it. It keeps both for the life of a prepared
// statement, whatever SET says later, until it has a reason to analyse the statement
// anew: any change, even an ANALYZE, of a table in it. That happens at the next
// message that names the statement, under the settings of that moment.
//
//  1. a session prepares `… WHERE d = '01/02/2024'` under DateStyle MDY;
//  2. it sets DateStyle to DMY, and executes: Postgres looks for January the 2nd;
//  3. the answer would be kept under DMY, where others look for the 1st of February.
//
// So a statement whose constants such a setting may touch is relied on only if
// Postgres has looked at it under the present settings and no others, for certain.
// Forced by TestConstantsAreThoseOfTheParse.

// noteParseTime begins a new epoch if the settings have changed. Statements are
// relied on in the epoch alone in which they were parsed.
func (s *session) noteParseTime(found *probe.State) {
	if s.state() == nil || s.state().ParseTime != found.ParseTime {
		s.statements.epoch++
	}
}

// parsedUnder notes that Postgres parses a statement, under m if that is certain.
func (s *statements) parsedUnder(p *prepared, m *meaning) {
	p.epoch = 0
	if m != nil {
		p.epoch = s.epoch
	}
	s.keepsSettings = s.keepsSettings || p.statement != nil && p.statement.keepsSettings
}

// lookedAtUnder notes that Postgres may analyse a statement anew.
func (s *statements) lookedAtUnder(p *prepared, m *meaning) {
	if p != nil && (m == nil || p.epoch != s.epoch) {
		p.epoch = 0
	}
}

// mayExecute notes that a statement is bound, which may execute any other by its name
// in SQL. A function of the user's that does so goes unnoticed.
func (s *statements) mayExecute(p *prepared) {
	switch {
	case p == nil || !s.keepsSettings:
	case p.statement == nil:
		s.doubtAll() // too long to be kept
	default:
		s.mayExecuteIn([]byte(p.statement.sql))
	}
}

// mayExecuteIn is mayExecute for a Query message, or its beginning.
func (s *statements) mayExecuteIn(text []byte) {
	if !s.keepsSettings {
		return
	}
	whole := len(text) < transport.BufferLengthMax
	if !whole || slices.Contains(strings.FieldsFunc(strings.ToLower(string(text)), notInWord), "execute") {
		s.doubtAll()
	}
}

// doubtAll notes that Postgres may have looked at any statement.
func (s *statements) doubtAll() {
	for _, p := range s.byName {
		p.epoch = 0
	}
}

// notInWord tells the bytes between words, the header of a message among them.
func notInWord(r rune) bool { return r < 0x80 && !block.IsWordByte(byte(r)) }

// someReadOtherwise reports whether some statement has constants that Postgres would
// read otherwise if it analysed the statement anew, or may.
func (s *statements) someReadOtherwise() bool {
	for _, p := range s.byName {
		if !s.readsNow(p) {
			return true
		}
	}
	return false
}

// readsNow reports whether Postgres reads the constants of a prepared statement as it
// would read them now.
func (s *statements) readsNow(p *prepared) bool {
	return p.statement == nil || !p.statement.keepsSettings || p.epoch == s.epoch
}

// readsAllNow is readsNow for all statements of the plan that were parsed before.
func (s *session) readsAllNow() bool {
	for i := range s.plan.wants {
		if w := &s.plan.wants[i]; !w.parsed && !s.statements.readsNow(w.prepared) {
			return false
		}
	}
	return true
}

// beCertain asks for the session's state before a statement is parsed that will be
// relied on only if it is known under which settings. The plan may have changed then.
func (s *session) beCertain(unit []byte) {
	if s.plan.keepsSettings && !s.known.Holds() && s.refreshState() == "" {
		s.planGroup(unit)
	}
}
