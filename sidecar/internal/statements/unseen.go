package statements

// Unseen is a use that Postgres has not seen.
type Unseen struct {
	Name     string
	Prepared *Prepared
	Use      Use
}

// NoteUse notes what a statement to which settings matter was used for, answered here.
func (s *Set) NoteUse(p *Prepared, u Use) { p.unseen, s.someUnseen = max(p.unseen, u), true }

// Unuse forgets what a statement was used for, which was parsed anew.
func (p *Prepared) Unuse() { p.unseen = UnusedYet }

// SomeUnseen reports whether some statement may have been used unseen by Postgres.
func (s *Set) SomeUnseen() bool { return s.someUnseen }

// TakeUnseen returns the uses that Postgres is to be shown, each once; now is what texts
// are understood under. A statement that was planned, and whose schema has changed since it
// was used, is not to be shown: Postgres would analyse it under the settings of its use,
// which comes later. Nor is an unnamed one that Postgres does not hold, or not for long.
func (s *Set) TakeUnseen(now *Meaning) (all []Unseen) {
	s.someUnseen = false
	for name, p := range s.byName {
		u := p.unseen
		p.unseen = UnusedYet
		later := p.planned && !p.Means(now)
		if u == UnusedYet || later || !s.canBeShown(name, p) {
			continue
		}
		all = append(all, Unseen{name, p, u})
	}
	return all
}

// MayDiscardPlans reports whether what Postgres makes of every statement it keeps is what it
// would make of the text now: of none is the text unknown, or read under other settings. What
// is doubted may be discarded, too: of settings that were not the client's doing Postgres
// keeps what it read, if it has, only until the next ANALYZE of a table.
func (s *Set) MayDiscardPlans() bool {
	if len(s.byName) >= preparedMax {
		return false // there may be more
	}
	for _, p := range s.byName {
		if p.Statement == nil || !s.MayReadNow(p) {
			return false
		}
	}
	return true
}

// TakeDiscarded returns, once Postgres has discarded all plans, what it is to be shown before
// a setting may change: of each statement that settings matter to as much as Postgres had
// made of it, or would have by now. It is like TakeUnseen, but for statements whose schema has
// changed since: Postgres analyses those anew, too.
func (s *Set) TakeDiscarded() (all []Unseen) {
	s.someUnseen = false
	for name, p := range s.byName {
		u := max(p.unseen, Described)
		if p.planned {
			u = Executed
		}
		p.unseen = UnusedYet
		if p.Statement.KeepsSettings && s.canBeShown(name, p) {
			p.doubted = false
			all = append(all, Unseen{name, p, u})
		}
	}
	return all
}

// canBeShown reports whether Postgres holds a statement, and not as an unnamed one that is
// about to be replaced.
func (s *Set) canBeShown(name string, p *Prepared) bool {
	return !p.Failed.Load() && (name != "" || !s.replacing && p == s.held)
}
