package wire

import (
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Some drivers put BEGIN, or a savepoint, before a statement in one simple query:
// "BEGIN;SELECT …". Postgres performs one behind the other and is ready once. Here the first
// ones are held back as if they had come alone, and the last is a Query of its own, if it is
// answered from the cache, or loaded. Otherwise nothing has happened, and the text goes to
// Postgres as it is: where it is not even SQL, Postgres would not perform the BEGIN either.
// The analysis has had Postgres parse what is loaded. (TestBlocksAreAnsweredAsPostgresDoes)

// handleSeveral answers a Query that begins with statements which are held back. It reports
// false if Postgres has to deal with all of it.
func (s *session) handleSeveral(sql string) (handled bool, err error) {
	several, ok := block.ParseSeveral(sql)
	if !ok || several.Rest != "" && (!surelyOne(several.Rest) || !analysis.BeginsLikeRead(several.Rest)) {
		return false, nil
	}
	before := s.block
	said, ok := s.performAll(&several)
	if !ok {
		s.unperform(&before)
		return false, nil
	}
	if several.Rest == "" {
		s.out = append(s.out, said...)
		return true, s.endPerformed()
	}
	s.rest = protocol.AppendMessage(s.rest[:0], 'Q', []byte(several.Rest), []byte{0})
	s.planQuery(s.rest[protocol.HeaderLength:len(s.rest)-1], true)
	d := s.decide(s.rest, s.obstacle())
	if d.reason != "" {
		s.unperform(&before)
		s.planQuery([]byte(sql), true)
		return false, nil
	}
	s.out = append(s.out, said...)
	return true, s.carryOut(s.rest, d)
}

// performAll performs the statements that a text begins with, and returns the answers to them. It
// reports false if Postgres has to perform one of them.
func (s *session) performAll(several *block.Several) (said []byte, ok bool) {
	for i := range several.First {
		c := &several.First[i]
		shown, ok := s.perform(*c, several.Texts[i])
		if !ok {
			return nil, false
		}
		said = appendPerformed(said, c, shown, s.performed)
	}
	return said, true
}

// appendPerformed appends the answer to a control statement of a Query: the values that it shows, if
// any, and its tag.
func appendPerformed(dst []byte, c *block.Control, shown [][]byte, tag string) []byte {
	if len(c.Columns) > 0 {
		dst = protocol.AppendRow(protocol.AppendTextColumns(dst, c.Columns, nil), shown)
	}
	return protocol.AppendComplete(dst, tag)
}

// endPerformed ends the answer to a Query all of whose statements were performed.
func (s *session) endPerformed() error {
	s.statements.SimpleQuery(statements.AnsweredHere)
	s.out = s.appendReady(s.out)
	return s.limitOut()
}

// unperform takes back what was performed since the block was as it was before. Only steps
// were added to it, or it was begun.
func (s *session) unperform(before *block.Block) {
	if s.block.Held && !before.Held {
		s.talk.LetBlockGo()
		s.server.counters.TransactionsHeld.Add(^uint64(0))
	}
	s.block = *before
	s.noteLocal()
}
