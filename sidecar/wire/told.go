package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A client reads rows by the description that it was told of their statement, which
// Postgres keeps to: what a statement gives is fixed when it is parsed, and when a
// change of its tables would change that, it fails. An entry of the cache may be older
// or newer than the description:
//
//  1. a session prepares a statement and has it described, with two columns;
//  2. a column is added; the follower does not know yet;
//  3. another session loads three columns under the same statement and values;
//  4. the first session would be answered these, and read them as two.
//
// So what a client was told is part of the key of rows without a description of their
// own, and a description is answered only where it cannot be another than the one that
// Postgres keeps to. What was told before Postgres was asked at all is compared with
// what Postgres says before it is relied on. Forced by
// TestRowsFitTheDescriptionThatTheClientHas.

// described is what a client was told of a statement. It does not change.
type described struct {
	// rows is of the names and types of its columns, params of the types of its
	// parameters, zero if the client was told only of the columns.
	rows, params digest.Digest
	// key stands for both in keys.
	key digest.Digest
	// types is the body of the ParameterDescription, nil as params is zero.
	types []byte
	// own is set if Postgres itself has said so of this very statement, as it holds it.
	own bool
}

func newDescribed(rows digest.Digest, types []byte, own bool) *described {
	d := &described{rows: rows, key: rows, types: types, own: own}
	if types != nil {
		d.params = paramsDigest(types)
		d.key = digest.Of(d.params[:], rows[:])
	}
	return d
}

// agrees reports whether a client can have been told both of one statement.
func (d *described) agrees(other *described) bool {
	return d.rows == other.rows && (d.params == other.params || d.params == digest.Digest{} || other.params == digest.Digest{})
}

// toldKey is what keys have of what was told; d may be nil.
func (d *described) toldKey() digest.Digest {
	if d == nil {
		return digest.Digest{}
	}
	return d.key
}

// rowsDigest names what the body of a RowDescription, or of NoData, says of columns:
// all but their formats, and the table's columns that they are of, which may be
// replaced by others of the same name and type. A body that is not whole is like no
// other.
func rowsDigest(kind byte, body []byte) digest.Digest {
	if kind == 'n' {
		return digest.Of([]byte{kind})
	}
	if len(body) < 2 {
		return likeNoOther()
	}
	n := int(binary.BigEndian.Uint16(body))
	named := make([]byte, 0, len(body))
	body = body[2:]
	for range n {
		name, rest, ok := protocol.CutString(body)
		if !ok || len(rest) < 18 {
			return likeNoOther()
		}
		named = append(append(named, name...), 0)
		named = append(named, rest[6:16]...) // type, its length, its modifier
		body = rest[18:]
	}
	return digest.Of([]byte{kind}, named)
}

// paramsDigest is of the body of a ParameterDescription.
func paramsDigest(body []byte) digest.Digest {
	if len(body) < 2 || len(body) != 2+4*int(binary.BigEndian.Uint16(body)) {
		return likeNoOther()
	}
	return digest.Of([]byte{'t'}, body)
}

func likeNoOther() (d digest.Digest) {
	_, _ = rand.Read(d[:]) // which never fails
	return d
}

// told is what an answer tells of its statement. It is found out once.
func (a *answer) told() *described {
	if d := a.described.Load(); d != nil {
		return d
	}
	var rows digest.Digest
	var types []byte
	for kind, message := range protocol.Messages(a.description) {
		switch kind {
		case 't':
			types = message[protocol.HeaderLength:]
		default:
			rows = rowsDigest(kind, message[protocol.HeaderLength:])
		}
	}
	d := newDescribed(rows, types, false)
	a.described.Store(d)
	return d
}

// tells is what an entry would tell of the statement of a want, nil if nothing.
func (w *want) tells(a *answer) *described {
	if w.describes || w.described {
		return a.told()
	}
	return nil
}

// toldBefore is what the client was told of the statement of a want, by the group so
// far or before it.
func (s *session) toldBefore(w *want) *described {
	switch {
	case s.plan.toldOf == w.prepared:
		return s.plan.told
	case w.parsed:
		return nil
	default:
		return w.prepared.told.Load()
	}
}

// takes has a want answered with an entry, unless the client was told something else of
// its statement before, or perhaps by Postgres, which keeps to it.
func (s *session) takes(w *want, entry *engine.Entry) bool {
	w.entry = entry
	tells := w.tells(entry.Payload.(*answer))
	if tells == nil {
		return true // what was told is in the key
	}
	told := s.toldBefore(w)
	if told != nil && !told.agrees(tells) {
		return false
	}
	if w.describes && !w.parsed && !s.statements.heldBack(w.prepared) &&
		(told == nil || !told.own || told.params != tells.params) {
		return false
	}
	s.plan.toldOf, s.plan.told = w.prepared, tells
	return true
}

// noteTold notes what the group, answered here, tells the client.
func (s *session) noteTold() {
	p := &s.plan
	for i := range p.wants {
		w := &p.wants[i]
		tells := w.tells(w.entry.Payload.(*answer))
		if tells == nil {
			continue
		}
		u := w.prepared
		told := u.told.Load()
		if told != nil && told.agrees(tells) && (told.params == tells.params || tells.params == digest.Digest{}) {
			continue
		}
		if told != nil && u == p.unnamed && u == s.statements.held {
			// Parsed anew, it tells something else: Postgres has to parse it anew too.
			u = u.again()
			p.unnamed = u
		}
		u.told.Store(tells)
	}
}

// noteDescription notes what Postgres says of the statement that a Describe is of; params
// is the body of the ParameterDescription before.
func (e *expect) noteDescription(kind byte, body, params []byte) {
	var types []byte
	if e.statement {
		types = bytes.Clone(params)
	}
	p := e.prepared
	if p == nil {
		return
	}
	said := newDescribed(rowsDigest(kind, body), types, true)
	told := p.told.Load()
	if e.hidden { // the client was told as much as before, or something else
		if told != nil && told.agrees(said) {
			p.told.Store(newDescribed(told.rows, told.types, true))
		}
		return
	}
	if told != nil && said.params == (digest.Digest{}) && told.params != said.params && told.agrees(said) {
		return // less of the same
	}
	p.told.Store(said)
}
