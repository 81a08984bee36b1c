package statements

import (
	"bytes"
	"encoding/binary"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// Statement is the text and the declared parameter types of a Parse message:
// what a prepared statement means under given settings. It belongs to one session.
type Statement struct {
	ID         digest.Digest // of text and types
	SQL        string
	ParamTypes []uint32
	SpeaksOfUs bool // it may name a setting of ours
	// KeepsSettings is set if what Postgres makes of the text may depend on settings of
	// the moment when it does.
	KeepsSettings bool
	Control       block.Control
	refusal       refusal
	// Judged is what it remembers of its verdict.
	Judged shapes.Judged
}

// refusal remembers why a statement is not cacheable, under one state and until
// the schema changes.
type refusal struct {
	state      digest.Digest
	generation uint64
	reason     string
}

// Refuse remembers why the statement is not cacheable.
func (s *Statement) Refuse(state digest.Digest, generation uint64, reason string) {
	s.refusal = refusal{state, generation, reason}
}

// Refused is the reason that is remembered for a state in a generation of the schema,
// empty if there is none.
func (s *Statement) Refused(state digest.Digest, generation uint64) string {
	if r := &s.refusal; r.state == state && r.generation == generation {
		return r.reason
	}
	return ""
}

// SpeaksOfUs reports whether a text, or a message, may name a setting of ours. Most do
// not, and are looked through no further.
func SpeaksOfUs(text []byte) bool {
	return bytes.Contains(text, []byte("freshet.")) || bytes.Contains(text, []byte("FRESHET."))
}

// parse reads the body of a Parse message behind the statement name.
func parse(body []byte) (*Statement, bool) {
	sql, rest, ok := protocol.CutString(body)
	if !ok || len(rest) < 2 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if len(rest) != 4*n {
		return nil, false
	}
	s := &Statement{ID: digest.Of(body), SQL: string(sql), ParamTypes: make([]uint32, n), SpeaksOfUs: SpeaksOfUs(sql)}
	for i := range s.ParamTypes {
		s.ParamTypes[i] = binary.BigEndian.Uint32(rest[4*i:])
	}
	if c := block.ParseControl(s.SQL); c.Params >= n && takesTexts(s.ParamTypes) {
		s.Control = c
	}
	s.KeepsSettings = analysis.BeginsLikeRead(s.SQL) && probe.KeptBy(s.SQL)
	return s, true
}

// takesTexts reports whether parameters of these types, of which 0 is undeclared, are read as
// texts where a text is wanted.
func takesTexts(types []uint32) bool {
	for _, t := range types {
		if t != 0 && t != oidText && t != oidUnknown && t != oidVarchar {
			return false
		}
	}
	return true
}

const (
	oidText    = 25
	oidUnknown = 705
	oidVarchar = 1043
)

// textsMax bounds the texts that one session keeps: more distinct ones than that, and
// the set is begun anew.
const textsMax = 512

// internedLengthMax is the longest Parse body, in bytes, that is interned.
const internedLengthMax = 8 << 10

// texts interns the Parse bodies of one session, so that a client that parses the same
// text for every query does not cost a hash and a copy of it.
type texts map[string]*Statement

func (m *texts) intern(body []byte) (*Statement, bool) {
	if s, ok := (*m)[string(body)]; ok {
		return s, true
	}
	s, ok := parse(body)
	if ok && len(body) <= internedLengthMax {
		if *m == nil || len(*m) >= textsMax {
			*m = texts{}
		}
		(*m)[string(body)] = s
	}
	return s, ok
}
