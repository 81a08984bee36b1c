package wire

import (
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// The Parse of an unnamed statement that was answered here reaches Postgres late. Two
// things may have happened in between.
//
// The client's own doing:
//
//  1. Parse and Describe of `… WHERE d = '01/02/2024'` are answered here;
//  2. the client executes SET DateStyle, by a named statement;
//  3. it binds the unnamed one: parsed now, it would mean another day.
//
// So before anything is sent that may change something, what is held back is sent.
// Forced by TestHeldBackParseIsSentBeforeChanges. It is sent then even if Postgres holds
// the statement, from an earlier Parse:
//
//  1. the client parses `SELECT quote_ident('a')` and executes it: Postgres plans it, and
//     keeps the text that the function gave;
//  2. it parses it again, which is answered here, and executes SET quote_all_identifiers;
//  3. it binds it: Postgres would plan the statement of now, not show the plan of before.
//
// Forced by TestConstantsAreThoseOfTheParse. And others' doing:
//
//  1. Parse and Describe are answered here: a column is an int4;
//  2. another session makes it a float4;
//  3. the client binds: parsed now, the statement would give float4, read as int4.
//
// So what the client was told is compared with what Postgres says now, before rows are
// shown. Where they differ, Postgres would have refused, and so it is refused here.
// Forced by TestRowsFitTheDescriptionOfAHeldBackParse.

// changedStatement is the name of a statement that there is not: whoever binds it fails.
const changedStatement = "freshet changed"

// bindOfNothing fails wherever it is sent.
var bindOfNothing = protocol.AppendMessage(nil, 'B', []byte("\x00"+changedStatement+"\x00"), make([]byte, 6))

// changedResponse is what Postgres says where a prepared statement would give other
// columns than those described.
var changedResponse = protocol.ErrorResponse("ERROR", "0A000", "cached plan must not change result type", "")

// sendParse sends the Parse of the unnamed statement that was held back, unseen; quiet
// hides its errors too.
func (s *sending) sendParse(p *statements.Prepared, m *statements.Meaning, quiet bool) error {
	parse := p.Parse
	if told := p.Told.Load(); told != nil && told.Types != nil {
		parse = withTypes(parse, told.Types)
	}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Parse, Hidden: true, Quiet: quiet, Prepared: p, Change: s.statements.Reparse(p, m)})
	return s.sendUpstream(parse)
}

// withTypes is a Parse that declares all types of its parameters, as they were told: those
// that Postgres would have found for itself at the time.
func withTypes(parse, types []byte) []byte {
	_, rest, _ := protocol.CutString(parse[protocol.HeaderLength:])
	_, declared, ok := protocol.CutString(rest)
	if !ok {
		return parse
	}
	return protocol.AppendMessage(nil, 'P', parse[protocol.HeaderLength:len(parse)-len(declared)], types)
}

// sendHeldBack sends the Parse that is held back, if there is one, before a unit that may
// change something. It goes in a group of its own, so that its error, which is for who
// uses the statement, harms nothing else. Within a transaction of Postgres it would:
// there it is sent only if settings matter to it.
func (s *sending) sendHeldBack() error {
	p := s.statements.Waiting()
	if p == nil || s.talk.MidGroup() {
		return nil
	}
	m := s.certain()
	settled, err := s.awaitSettled()
	if err != nil || !settled {
		return err
	}
	if status := s.talk.TransactionStatus(); status != protocol.StatusIdle && (status != protocol.StatusInBlock || !p.Statement.KeepsSettings) {
		return nil
	}
	if err := s.sendParse(p, m, true); err != nil {
		return err
	}
	s.expectUnit(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Quiet: true, Harmless: true, ShowsNothing: true})
	if err := s.sendUpstream(syncMessage); err != nil {
		return err
	}
	err = s.awaitAnswers() // the unit may use it
	s.takeBack()
	return err
}

// confirmTold compares what the client was told of a statement with what Postgres says of
// it, if that was not done yet. It waits for the answer, so there it costs a round trip.
func (s *sending) confirmTold(name string, p *statements.Prepared) (changed bool, err error) {
	told := p.Told.Load()
	if told == nil || told.Own {
		return false, nil
	}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Describe, Hidden: true, Statement: true, Prepared: p})
	if err := s.sendUpstream(protocol.AppendMessage(nil, 'D', []byte{'S'}, []byte(name), []byte{0})); err != nil {
		return false, err
	}
	if err := s.sendUpstream(flushMessage); err != nil {
		return false, err
	}
	settled, err := s.awaitSettled()
	if err != nil || !settled {
		return false, err // what comes next is skipped
	}
	if now := p.Told.Load(); now.Own {
		return false, nil
	}
	s.statements.Distrust(p)
	return true, nil
}

var flushMessage = protocol.AppendMessage(nil, 'H')

// refuseChanged has a Bind or a Describe fail, at its place among the messages and with
// all that an error brings about in Postgres.
func (s *sending) refuseChanged(kind conversation.Kind, told *description.Description) error {
	message, instead := bindOfNothing, changedResponse
	if kind == conversation.Describe {
		message = protocol.AppendMessage(nil, 'D', []byte("S"+changedStatement+"\x00"))
		if told.Types != nil { // Postgres tells them first
			instead = append(protocol.AppendMessage(nil, 't', told.Types), changedResponse...)
		}
	}
	s.talk.Owe(conversation.Expectation{Kind: kind, Instead: instead, Effect: shapes.NoEffect})
	return s.sendUpstream(message)
}
