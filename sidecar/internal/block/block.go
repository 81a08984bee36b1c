package block

import "github.com/freshet/freshet/cache/fence"

// Block is a transaction block of a client whose BEGIN is held back, or the last one
// that was. The zero value is that of a client which has begun none.
type Block struct {
	// Held is set while BEGIN is held back.
	Held bool
	// Chained is set if it was COMMIT AND CHAIN that began the block.
	Chained  bool
	ReadOnly bool
	// Read is set by the session when something was read in the block.
	Read bool
	// Began is when the BEGIN had arrived; the session says so.
	Began fence.Instant

	// begin is the statement that begins the block, as the client wrote it.
	begin []byte
	// savepoints are those that stand, the oldest first.
	savepoints []savepoint
}

type savepoint struct{ name, text string }

// SavepointsMax bounds the savepoints held back; with more, the block is opened.
const SavepointsMax = 64

// Standing is what else decides what a control statement does.
type Standing struct {
	// MayBegin is set if a BEGIN may be held back.
	MayBegin bool
	// Failed is set if a statement has failed in the block that is held back.
	Failed bool
}

// Effects are what a control statement does besides changing the block.
type Effects struct {
	// Answered is set if the client gets tag in a CommandComplete. Otherwise Postgres
	// has to perform the statement, and nothing has changed.
	Answered bool
	Tag      string
	// Ends and Begins are set if a block that was held back has ended, and if one is
	// held back that was not before.
	Ends, Begins bool
	// Recovers is set if the block has not failed any more.
	Recovers bool
}

// Perform returns the block behind a control statement, whose text is as the client
// wrote it. The result takes over what b refers to: b is void unless nothing changed.
func (b Block) Perform(c Control, text string, now Standing) (Block, Effects) {
	if c.Kind == Begin {
		if b.Held || !now.MayBegin {
			return b, Effects{}
		}
		return b.next(text, c.ReadOnly), Effects{Answered: true, Tag: c.Tag, Begins: true}
	}
	if !b.Held {
		return b, Effects{}
	}
	switch c.Kind {
	case Commit, Rollback:
		return b.end(c, now.Failed)
	case Savepoint:
		if now.Failed || len(b.savepoints) >= SavepointsMax {
			return b, Effects{}
		}
		b.savepoints = append(b.savepoints, savepoint{c.Savepoint, text})
		return b, Effects{Answered: true, Tag: c.Tag}
	case Release, RollbackTo:
		i := b.find(c.Savepoint)
		if i < 0 || now.Failed && c.Kind == Release {
			return b, Effects{} // Postgres says what is wrong
		}
		back := c.Kind == RollbackTo
		if back {
			i++ // the savepoint itself stays
		}
		b.savepoints = b.savepoints[:i]
		return b, Effects{Answered: true, Tag: c.Tag, Recovers: back}
	default:
		return b, Effects{}
	}
}

// end ends the block, and begins the next if that is chained to it.
func (b Block) end(c Control, failed bool) (Block, Effects) {
	does := Effects{Answered: true, Tag: c.Tag, Ends: true, Begins: c.Chain}
	if failed {
		does.Tag = "ROLLBACK"
	}
	if !c.Chain {
		b.Held = false
		return b, does
	}
	chained := b.next(string(b.begin), b.ReadOnly)
	chained.Chained = true
	return chained, does
}

// next is a block that begins, in the memory of b.
func (b Block) next(text string, readOnly bool) Block {
	return Block{Held: true, begin: append(b.begin[:0], text...), savepoints: b.savepoints[:0], ReadOnly: readOnly}
}

// find returns the place of the youngest savepoint of a name, -1 if there is none.
func (b *Block) find(name string) int {
	for i := len(b.savepoints) - 1; i >= 0; i-- {
		if b.savepoints[i].name == name {
			return i
		}
	}
	return -1
}

// Statements are what makes a transaction of Postgres what the block is.
func (b *Block) Statements() []string {
	list := append(make([]string, 0, 4), string(b.begin))
	if b.Chained {
		// Postgres keeps the modes of a transaction that was chained to another
		// differently: a ROLLBACK AND CHAIN after an error shows it.
		list = append(list, "COMMIT AND CHAIN")
	}
	for i := range b.savepoints {
		list = append(list, b.savepoints[i].text)
	}
	if b.Read {
		// A transaction that has read takes no other isolation level any more.
		list = append(list, "SELECT 1")
	}
	return list
}
