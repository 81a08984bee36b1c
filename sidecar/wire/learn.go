package wire

// learnMisses is how many misses of one shape, with a tag of a whole table that a
// watched column would make precise, it takes to ask for that column. A shape
// that is seen less costs less than the change of the triggers.
const learnMisses = 100

// missed counts a miss, for the columns that would have spared it. It asks again after as many more, since asking promises
// nothing.
func (s *Server) missed(slot *verdictSlot) {
	if s.learnFunc == nil || slot.verdict == nil || len(slot.verdict.Wishes) == 0 || slot.misses.Add(1)%learnMisses != 0 {
		return
	}
	for _, wish := range slot.verdict.Wishes {
		s.learnFunc(wish.Root, wish.Column)
	}
}
