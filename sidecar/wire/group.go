package wire

import (
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// handleGroup answers a group that ends in Sync, or passes it on as a whole.
func (s *session) handleGroup(unit []byte) error {
	obstacle := s.obstacle()
	if handled, err := s.planOrReadOn(unit, obstacle); handled {
		return err
	}
	if s.plan.controls && (obstacle == "" || s.block.Held) {
		if handled, err := s.handleControl(unit); handled {
			return err
		}
	}
	if obstacle == "" {
		s.beCertain(unit)
	}
	return s.serve(unit, obstacle)
}

// endOpenGroup has Postgres end a group whose beginning it was sent, and whose
// rest was answered here.
func (s *sending) endOpenGroup() error {
	if err := s.flushClient(); err != nil {
		return err
	}
	s.expectUnit(conversation.Expectation{Kind: conversation.Sync, Harmless: true, ShowsNothing: true})
	return s.sendUpstream(syncMessage)
}

// answerGroup answers every message of a group; each want has its entry.
func (s *session) answerGroup(unit []byte, how Outcome) error {
	p := &s.plan
	if p.consented() {
		how = Consented
	}
	wants := p.wants
	for kind, message := range protocol.Messages(unit) {
		switch kind {
		case 'P':
			s.out = append(s.out, protocol.ParseComplete...)
		case 'B':
			s.out = append(s.out, protocol.BindComplete...)
			s.ahead.rebind(message[protocol.HeaderLength:])
		case 'D':
			s.out = append(s.out, wants[0].entry.Payload.(*answer.Answer).Description...)
			if message[protocol.HeaderLength] == 'S' {
				wants = wants[1:]
			}
		case 'E':
			s.hits.note(&s.identity, wants[0].entry, how, s.arrival())
			s.noteRead(wants[0].entry, &wants[0])
			if err := s.appendRows(p, &wants[0]); err != nil {
				return err
			}
			wants = wants[1:]
		case 'C':
			s.portals.close(message[protocol.HeaderLength:])
			s.ahead.close(message[protocol.HeaderLength:])
			s.out = append(s.out, protocol.CloseComplete...)
		case 'S':
			if s.talk.MidGroup() {
				if err := s.endOpenGroup(); err != nil {
					return err
				}
				break
			}
			s.out = s.appendReady(s.out)
		}
		if err := s.limitOut(); err != nil { // a group may ask for one answer very often
			return err
		}
	}
	if len(wants) > 0 { // its Execute has yet to come
		s.hits.note(&s.identity, wants[0].entry, how, s.arrival())
		s.ahead.add(&wants[0], wants[0].entry.Payload.(*answer.Answer).Body)
	}
	if s.block.Held {
		s.portals.take(p)
	}
	p.noteTold(&s.statements)
	s.adoptUnnamed(p)
	s.noteUnseen(p)
	s.server.counters.queries[how].Add(uint64(p.executions))
	s.reading.reads += p.executions
	if s.untilVerified.passed(p.executions, s.server.verifier) {
		s.offerGroup(p)
	}
	if p.part {
		s.ahead.answered = true
	}
	if err := s.keepAlive(s.idleMax()); err != nil {
		return err
	}
	return s.limitOut()
}

// appendRows gathers the rows of a want, as far as the Execute at hand asks for them.
func (s *session) appendRows(p *plan, w *want) error {
	body := w.entry.Payload.(*answer.Answer).Body
	if !p.freely {
		return s.appendBody(body)
	}
	return s.appendPortion(s.ahead.add(w, body), w.first)
}

// adoptUnnamed makes the unnamed statement what a group, answered here, leaves it.
func (u *understanding) adoptUnnamed(p *plan) {
	if p.unnamed == nil {
		return
	}
	p.unnamed = u.statements.Adopt(p.unnamed, p.parsed)
	if p.parsed && !u.means(p.unnamed) {
		p.unnamed.Meaning.Store(u.meaning())
	}
}
