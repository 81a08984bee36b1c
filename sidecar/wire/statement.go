package wire

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// statement is the text and the declared parameter types of a Parse message:
// what a prepared statement means under given settings. It belongs to one session.
type statement struct {
	id         digest.Digest
	sql        string
	paramTypes []uint32
	shows      shown // what it may ask for that only the sidecar knows
	// keepsSettings is set if what Postgres makes of the text may depend on settings of
	// the moment when it does.
	keepsSettings bool
	control       block.Control
	refusal       refusal
	judged        judged
}

// refusal remembers why a statement is not cacheable, under one state and until
// the schema changes.
type refusal struct {
	state      digest.Digest
	generation uint64
	reason     string
}

// judged remembers the verdict on a statement that is cacheable, under one state and
// until the schema changes. The zero value remembers none.
type judged struct {
	state    digest.Digest
	slot     *verdictSlot
	verdict  *analysis.Verdict
	literals []analysis.Literal
}

// parseStatement reads the body of a Parse message behind the statement name.
func parseStatement(body []byte) (*statement, bool) {
	sql, rest, ok := protocol.CutString(body)
	if !ok || len(rest) < 2 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if len(rest) != 4*n {
		return nil, false
	}
	s := &statement{id: digest.Of(body), sql: string(sql), paramTypes: make([]uint32, n), shows: shownBy(sql)}
	for i := range s.paramTypes {
		s.paramTypes[i] = binary.BigEndian.Uint32(rest[4*i:])
	}
	if n == 0 {
		s.control = block.ParseControl(s.sql)
	}
	s.keepsSettings = analysis.BeginsLikeRead(s.sql) && probe.KeptBy(s.sql)
	return s, true
}

// prepared is a prepared statement of one session as its client sees it.
type prepared struct {
	statement *statement // nil if it was too long to be kept
	// parse is the Parse message of an unnamed statement, kept so that it can be
	// sent later. Named statements are always sent at once.
	parse []byte
	// accepted becomes true when Postgres has acknowledged the Parse, failed when
	// it has refused it.
	accepted, failed atomic.Bool
	// noticed becomes true when a notice came with its Parse or a Bind. Who binds it
	// anew, with the plan made, gets none: that answer is not everybody's.
	noticed atomic.Bool
	// meaning is that under which Postgres accepted it last; nil if that is not
	// certain.
	meaning atomic.Pointer[meaning]
	// told is what the client was told of its columns and parameters; nil: nothing.
	told atomic.Pointer[description.Description]
	// epoch is that of the session's settings in which alone Postgres has parsed and
	// looked at it, 0 if that is not certain. It belongs to the downstream goroutine.
	epoch uint64
	// unseen is what it was used for here since Postgres was last shown a use. It belongs
	// to the downstream goroutine.
	unseen use
	// planned is set if Postgres may have made a plan for it. It belongs to the downstream
	// goroutine.
	planned bool
}

// again is the unnamed statement of a Parse as it was before Postgres got it.
func (p *prepared) again() *prepared { return &prepared{statement: p.statement, parse: p.parse} }

// textsMax bounds the texts that one session keeps: more distinct ones than that, and
// the set is begun anew.
const textsMax = 512

// internedLengthMax is the longest Parse body, in bytes, that is interned.
const internedLengthMax = 8 << 10

// texts interns the Parse bodies of one session, so that a client that parses the same
// text for every query does not cost a hash and a copy of it.
type texts map[string]*statement

func (m *texts) intern(body []byte) (*statement, bool) {
	if s, ok := (*m)[string(body)]; ok {
		return s, true
	}
	s, ok := parseStatement(body)
	if ok && len(body) <= internedLengthMax {
		if *m == nil || len(*m) >= textsMax {
			*m = texts{}
		}
		(*m)[string(body)] = s
	}
	return s, ok
}
