package wire

import "github.com/freshet/freshet/sidecar/internal/shapes"

// missed counts a load, and asks for the columns that would have spared many like it.
func (d *database) missed(slot *shapes.Slot) {
	if d.learnFunc == nil {
		return
	}
	for _, wish := range slot.Missed() {
		d.learnFunc(wish.Root, wish.Column)
	}
}
