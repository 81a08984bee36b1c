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
		if u == UnusedYet || later || p.Failed.Load() || name == "" && (s.replacing || p != s.held) {
			continue
		}
		all = append(all, Unseen{name, p, u})
	}
	return all
}
