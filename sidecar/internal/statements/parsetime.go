package statements

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/sidecar/internal/block"
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
// Forced by TestConstantsAreThoseOfTheParse, in sidecar/wire.

// BeginEpoch notes that the settings have changed. Statements are relied on in the epoch
// alone in which they were parsed.
func (s *Set) BeginEpoch() { s.epoch++; s.doubting = false }

// Doubt notes that the settings may have been others than was believed for a while, by no
// doing of the client's. What Postgres has looked at by now, and what it looks at up to
// EndDoubt, is relied on again when it was analysed anew: see MayDiscardPlans.
func (s *Set) Doubt() {
	s.doubting, s.someDoubted = true, true
	for _, p := range s.byName {
		p.doubted = p.doubted || p.epoch == s.epoch && p.keepsSettings()
	}
}

// EndDoubt notes that the settings are known, and are those of the epoch.
func (s *Set) EndDoubt() { s.doubting = false }

// MayChange notes that the client may change a setting. What was doubted by then is relied on
// no more: it may have been read under what the client puts right now.
func (s *Set) MayChange() {
	s.doubting = false
	if !s.someDoubted {
		return
	}
	s.someDoubted = false
	for _, p := range s.byName {
		if p.doubted {
			p.epoch, p.doubted = 0, false
		}
	}
}

// ParsedUnder notes that Postgres parses a statement, under m if that is certain.
func (s *Set) ParsedUnder(p *Prepared, m *Meaning) {
	p.epoch, p.doubted = s.epoch, false
	s.LookedAtUnder(p, m)
	s.keepsSettings = s.keepsSettings || p.keepsSettings()
}

// LookedAtUnder notes that Postgres may analyse a statement anew.
func (s *Set) LookedAtUnder(p *Prepared, m *Meaning) {
	switch {
	case p == nil || m != nil && p.epoch == s.epoch:
	case p.epoch == s.epoch && s.doubting:
		p.doubted = p.keepsSettings()
	default:
		p.epoch, p.doubted = 0, false
	}
}

// PlannedUnder notes that Postgres may analyse a statement anew and plans it, if need be:
// it has seen a use.
func (s *Set) PlannedUnder(p *Prepared, m *Meaning) {
	s.LookedAtUnder(p, m)
	p.unseen, p.planned = UnusedYet, true
}

// MayExecute notes that a statement is bound, which may execute any other by its name
// in SQL. A function of the user's that does so goes unnoticed.
func (s *Set) MayExecute(p *Prepared) {
	switch {
	case p == nil || !s.keepsSettings:
	case p.Statement == nil:
		s.doubtAll() // too long to be kept
	default:
		s.MayExecuteIn([]byte(p.Statement.SQL), true)
	}
}

// MayExecuteIn is MayExecute for a Query message, or if it is not whole for its beginning.
func (s *Set) MayExecuteIn(text []byte, whole bool) {
	if !s.keepsSettings {
		return
	}
	if !whole || slices.Contains(strings.FieldsFunc(strings.ToLower(string(text)), notInWord), "execute") {
		s.doubtAll()
	}
}

// doubtAll notes that Postgres may have looked at any statement.
func (s *Set) doubtAll() {
	for _, p := range s.byName {
		p.epoch, p.doubted = 0, false
	}
}

// notInWord tells the bytes between words, the header of a message among them.
func notInWord(r rune) bool { return r < 0x80 && !block.IsWordByte(byte(r)) }

// ReadsNow reports whether Postgres reads the constants of a prepared statement as it
// would read them now, for certain.
func (s *Set) ReadsNow(p *Prepared) bool { return s.MayReadNow(p) && !p.doubted }

// MayReadNow is ReadsNow, but for doubt.
func (s *Set) MayReadNow(p *Prepared) bool {
	return p.Statement == nil || !p.Statement.KeepsSettings || p.epoch == s.epoch
}
