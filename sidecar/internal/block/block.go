package block

import (
	"slices"

	"github.com/freshet/freshet/cache/fence"
)

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
	// steps are the savepoints that stand and the settings that hold, the oldest first.
	steps []step
}

// step is a savepoint, or without a name a statement that sets something. changes names what
// it sets that answers depend on, empty if that is nothing.
type step struct {
	name, text, changes string
	settings            []Setting
}

// stepLengthMax bounds the text of a step, in bytes.
const stepLengthMax = 64 << 10

// StepsMax bounds the savepoints and settings held back; with more, the block is opened.
const StepsMax = 64

// Standing is what else decides what a control statement does.
type Standing struct {
	// MayBegin is set if a BEGIN may be held back.
	MayBegin bool
	// MayHold is set if settings are known to be such as Postgres would accept. Changes names
	// those that answers depend on, with their values.
	MayHold bool
	Changes string
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
		return b.hold(step{name: c.Savepoint, text: text}, c.Tag, now.Failed)
	case SetLocal:
		return b.hold(step{text: text, changes: now.Changes, settings: c.Settings}, c.Tag, now.Failed || !now.MayHold)
	case Release, RollbackTo:
		i := b.find(c.Savepoint)
		if i < 0 || now.Failed && c.Kind == Release {
			return b, Effects{} // Postgres says what is wrong
		}
		if c.Kind == RollbackTo {
			b.steps = b.steps[:i+1] // the savepoint itself stays
			return b, Effects{Answered: true, Tag: c.Tag, Recovers: true}
		}
		b.release(i)
		return b, Effects{Answered: true, Tag: c.Tag}
	default:
		return b, Effects{}
	}
}

// hold adds a step, unless Postgres has to perform it.
func (b Block) hold(s step, tag string, refused bool) (Block, Effects) {
	if refused || len(b.steps) >= StepsMax || len(s.text) > stepLengthMax {
		return b, Effects{}
	}
	b.steps = append(b.steps, s)
	return b, Effects{Answered: true, Tag: tag}
}

// release ends a savepoint and those behind it. Settings go on to hold.
func (b *Block) release(i int) {
	kept := b.steps[:i]
	for _, s := range b.steps[i:] {
		if s.name == "" {
			kept = append(kept, s)
		}
	}
	b.steps = kept
}

// HoldsSettings reports whether a setting is held back.
func (b *Block) HoldsSettings() bool {
	return slices.ContainsFunc(b.steps, func(s step) bool { return s.name == "" })
}

// Changes names what is set in the block that answers depend on, empty if that is nothing.
func (b *Block) Changes() string {
	changes := ""
	for i := range b.steps {
		changes += b.steps[i].changes
	}
	return changes
}

// Setting returns what a setting of the application's own was set to last, if it was.
func (b *Block) Setting(name string) (value string, set bool) {
	for i := range b.steps {
		for _, s := range b.steps[i].settings {
			if s.Name == name {
				value, set = s.Value, true
			}
		}
	}
	return value, set
}

// Names are the settings that were set.
func (b *Block) Names() (names []string) {
	for i := range b.steps {
		for _, s := range b.steps[i].settings {
			names = append(names, s.Name)
		}
	}
	return names
}

// Settings are the statements held back that set something, in their order.
func (b *Block) Settings() (list []string) {
	for i := range b.steps {
		if b.steps[i].name == "" {
			list = append(list, b.steps[i].text)
		}
	}
	return list
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
	return Block{Held: true, begin: append(b.begin[:0], text...), steps: b.steps[:0], ReadOnly: readOnly}
}

// find returns the place of the youngest savepoint of a name, -1 if there is none.
func (b *Block) find(name string) int {
	for i := len(b.steps) - 1; i >= 0; i-- {
		if b.steps[i].name == name {
			return i
		}
	}
	return -1
}

// Statements are what makes a transaction of Postgres what the block is. They are appended to
// list. takesSnapshot is set if Postgres takes a snapshot for the statement behind them.
func (b *Block) Statements(list []string, takesSnapshot bool) []string {
	list = append(list, string(b.begin))
	if b.Chained {
		// Postgres keeps the modes of a transaction that was chained to another
		// differently: a ROLLBACK AND CHAIN after an error shows it.
		list = append(list, "COMMIT AND CHAIN")
	}
	for i := range b.steps {
		list = append(list, b.steps[i].text)
	}
	if b.Read && (!takesSnapshot || b.hasSavepoint()) {
		// A transaction that has read takes no other isolation level any more: Postgres
		// refuses one as soon as it has taken a snapshot. The statement behind has it do so,
		// or fails, and nothing but a savepoint saves the transaction then.
		list = append(list, "SELECT 1")
	}
	return list
}

func (b *Block) hasSavepoint() bool {
	return slices.ContainsFunc(b.steps, func(s step) bool { return s.name != "" })
}
