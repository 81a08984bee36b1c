package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
)

// sessionState is what a probe found on one upstream connection: everything
// besides the statement and its parameters that an answer can depend on.
type sessionState struct {
	// found is what freshet.session gave, from which all but the server follows.
	found []byte
	// id names the role, the database, the search path and the settings.
	id digest
	// role is the OID of the current role, 0 if it is not known. It is in id and in
	// names.
	role uint32
	// names is of the part that decides what the names in a statement mean.
	names digest
	// parseTime names the settings that Postgres reads when it parses and plans.
	parseTime digest
	// statements are the names of those that the protocol made, nil if they were
	// not asked for.
	statements map[string]bool
	// reason, unless empty, says why this session must not be served.
	reason      string
	incarnation fence.Incarnation
	// standby names the server if it is a hot standby; empty otherwise.
	standby string
	demands demands
	// idleMax is how long Postgres lets the connection be idle, 0 for ever.
	idleMax    time.Duration
	searchPath []string
	settings   map[string]string
}

// keyedSettings can change the result of a statement that the analysis accepts,
// or the notices that come with it. They are part of every key. Settings that
// only choose a plan are not here: any order of rows that they lead to is one
// that Postgres could have answered.
var keyedSettings = []string{
	"array_nulls", "backslash_quote", "bytea_output", "client_encoding", "client_min_messages",
	"DateStyle", "default_text_search_config", "default_transaction_isolation",
	"escape_string_warning", "extra_float_digits", "IntervalStyle", "lc_messages",
	"lc_monetary", "lc_numeric", "lc_time", "quote_all_identifiers", "role", "row_security",
	"session_replication_role", "standard_conforming_strings", "TimeZone",
	"timezone_abbreviations", "transform_null_equals", "xmlbinary", "xmloption",
}

// parseSettings are those that the analysis applies to its own session, because
// they change what a text means before it is executed.
var parseSettings = []string{
	"array_nulls", "backslash_quote", "DateStyle", "default_text_search_config", "IntervalStyle",
	"lc_monetary", "standard_conforming_strings", "TimeZone", "timezone_abbreviations",
	"transform_null_equals", "xmloption",
}

// askedSettings are all that a probe asks for, in the order in which it gets them.
var askedSettings = slices.Concat(keyedSettings, demandSettings, []string{"idle_session_timeout"})

// The columns of a probe.
const (
	columnSession = iota
	columnNames   // NULL if they were not asked for
	columnIncarnation
	columnStandby
	probeColumns
)

// The parts of what freshet.session gives; the settings come behind them.
const (
	partTemporary = iota
	partRole
	partUser
	partSessionUser
	partDatabase
	partSearchPath
	partsFixed
)

const (
	schemaSeparator    = "\x01" // between the schemas of the search path
	utf8Encoding       = "UTF8"
	isolationCommitted = "read committed"
)

// probeForm is what a probe asks for besides what it always does: for the server
// that the connection leads to, for the role, which costs as much as all the rest
// and is of use only where there is row security, and for the names of prepared
// statements.
type probeForm struct{ server, role, names bool }

// probeQueries ask one upstream connection for its state. Everything is qualified:
// the search path is the client's.
var probeQueries = newProbes()

func newProbes() map[probeForm][]byte {
	all := map[probeForm][]byte{}
	for i := range 1 << 3 {
		form := probeForm{server: i&1 != 0, role: i&2 != 0, names: i&4 != 0}
		all[form] = form.query()
	}
	return all
}

func (f probeForm) query() []byte {
	server, names := "NULL, NULL", "NULL"
	if f.server {
		server = "freshet.incarnation(), CASE WHEN pg_catalog.pg_is_in_recovery() THEN " + invalidation.StandbyServerSQL + " END"
	}
	if f.names {
		names = namesSQL
	}
	sql := fmt.Sprintf("SELECT freshet.session('{%s}', %v), %s, %s", strings.Join(askedSettings, ","), f.role, names, server)
	return appendMessage(nil, 'Q', []byte(sql), []byte{0})
}

// parseProbe reads the one DataRow (without its header) that answers a probe. One
// that did not ask for the server is of the server of before. nil means that it is
// not understood.
func parseProbe(row []byte, before *sessionState) *sessionState {
	columns, ok := dataRow(row)
	if !ok || len(columns) != probeColumns {
		return nil
	}
	var statements map[string]bool
	if names := columns[columnNames]; names != nil {
		if statements, ok = parseNames(names); !ok {
			return nil
		}
	}
	if before != nil && bytes.Equal(columns[columnSession], before.found) {
		same := *before
		same.statements = statements
		return &same
	}
	parts, ok := parseTextArray(columns[columnSession])
	if !ok || len(parts) != partsFixed+len(askedSettings) {
		return nil
	}
	// The incarnation is compared on its own, so that entries in Redis, which name it
	// themselves, are found by every process; and what a session demands does not
	// change an answer.
	keyed, others := parts[:partsFixed+len(keyedSettings)], parts[partsFixed+len(keyedSettings):]
	s := &sessionState{
		found:       bytes.Clone(columns[columnSession]),
		statements:  statements,
		id:          digestOf(appendParts(nil, keyed)),
		names:       digestOf(appendParts(nil, keyed[:partsFixed])),
		role:        parseRole(string(parts[partRole])),
		incarnation: fence.Incarnation(columns[columnIncarnation]),
		standby:     string(columns[columnStandby]),
		demands:     parseDemands(others[0], others[1], others[2]),
		idleMax:     parseIdleMax(string(others[len(demandSettings)])),
		searchPath:  strings.Split(string(parts[partSearchPath]), schemaSeparator),
		settings:    make(map[string]string, len(parseSettings)),
	}
	if before != nil {
		s.incarnation, s.standby = before.incarnation, before.standby
	}
	all := make(map[string]string, len(keyedSettings))
	for i, name := range keyedSettings {
		if value := keyed[partsFixed+i]; value != nil {
			all[name] = string(value)
		}
	}
	s.parseTime = parseTimeDigest(all)
	for _, name := range parseSettings {
		if value, known := all[name]; known {
			s.settings[name] = value
		}
	}
	switch {
	case len(s.incarnation) == 0 && s.standby == "":
		s.reason = reasonProbeFailed
	case s.demands.complaint != "":
		s.reason = reasonDemands
	case s.standby != "" && s.demands.level != fence.Bounded:
		s.reason = reasonReplicaLevel
	case string(parts[partTemporary]) != "false":
		s.reason = reasonTemporary
	case all["default_transaction_isolation"] != isolationCommitted:
		s.reason = reasonIsolation
	case all["client_encoding"] != utf8Encoding:
		s.reason = reasonEncoding
	}
	return s
}

// parseTextArray reads an array of texts as Postgres prints it; a NULL is nil.
func parseTextArray(text []byte) (parts [][]byte, ok bool) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, false
	}
	for rest := text[1 : len(text)-1]; len(rest) > 0; {
		var part []byte
		if rest[0] == '"' {
			part, rest, ok = cutQuoted(rest)
		} else {
			n := bytes.IndexByte(rest, ',')
			if n < 0 {
				n = len(rest)
			}
			part, rest, ok = rest[:n], rest[n:], n > 0
			if string(part) == "NULL" {
				part = nil
			}
		}
		if !ok || len(rest) > 0 && (rest[0] != ',' || len(rest) == 1) {
			return nil, false
		}
		parts = append(parts, part)
		rest = rest[min(1, len(rest)):]
	}
	return parts, true
}

// cutQuoted cuts off the quoted element that text begins with.
func cutQuoted(text []byte) (element, rest []byte, ok bool) {
	element = []byte{}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return element, text[i+1:], true
		case '\\':
			i++
			if i == len(text) {
				return nil, nil, false
			}
		}
		element = append(element, text[i])
	}
	return nil, nil, false
}

// appendParts appends texts, some of them NULL, so that no others give the same.
func appendParts(dst []byte, parts [][]byte) []byte {
	for _, part := range parts {
		length := int32(len(part))
		if part == nil {
			length = -1
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(length)), part...)
	}
	return dst
}

// parseRole reads the OID of the role. Behind it comes whether row security applies
// to the role anywhere. What that depends on besides, no probe could tell: whose
// privileges the role has.
func parseRole(text string) uint32 {
	number, _, _ := strings.Cut(text, " ")
	oid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(oid)
}

// dataRow splits the body of a DataRow. A NULL column is nil.
func dataRow(body []byte) ([][]byte, bool) {
	if len(body) < 2 {
		return nil, false
	}
	columns := make([][]byte, binary.BigEndian.Uint16(body))
	body = body[2:]
	for i := range columns {
		if len(body) < 4 {
			return nil, false
		}
		n := int(int32(binary.BigEndian.Uint32(body)))
		body = body[4:]
		if n < 0 {
			continue
		}
		if n > len(body) {
			return nil, false
		}
		columns[i] = body[:n:n]
		body = body[n:]
	}
	return columns, len(body) == 0
}
