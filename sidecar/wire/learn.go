package wire

import "github.com/freshet/freshet/sidecar/internal/shapes"

// missed counts a load, and asks for the columns that would have spared many like it.
func (s *Server) missed(slot *shapes.Slot) {
	if s.learnFunc == nil {
		return
	}
	for _, wish := range slot.Missed() {
		s.learnFunc(wish.Root, wish.Column)
	}
}
