package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
)

// sessionState is what a probe found on one upstream connection: everything
// besides the statement and its parameters that an answer can depend on.
type sessionState struct {
	// id names the role, the database, the search path and the settings.
	id digest
	// role is the OID of the current role, 0 if it is not known. It is in id and in
	// names.
	role uint32
	// names is of the part that decides what the names in a statement mean.
	names digest
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

const (
	// The columns of a probe: first those that are no part of the key.
	probeIncarnation = 0
	probeStandby     = 1
	probeDemands     = 2 // three of them
	probeIdle        = 5
	probeTemporary   = 6
	probeRole        = 7
	probeSearchPath  = 11
	probeSettings    = 12

	schemaSeparator    = "\x01" // between the schemas of the search path
	utf8Encoding       = "UTF8"
	isolationCommitted = "read committed"
)

// roleSQL is the OID of the current role and whether row security applies to it
// anywhere. A name may be another role's tomorrow. What row security depends on
// besides, no probe could tell: whose privileges the role has. It costs half of
// what a probe costs, so it is asked only where there is row security.
const roleSQL = "(SELECT pg_catalog.concat(r.oid, ' ', r.rolsuper OR r.rolbypassrls) FROM pg_catalog.pg_roles r" +
	" WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER)"

// probeForm is what a probe asks for besides what it always does: for the role,
// and for the names of prepared statements.
type probeForm struct{ role, names bool }

// probeQueries ask one upstream connection for its state. Everything is qualified:
// the search path is the client's.
var probeQueries = map[probeForm][]byte{
	{}:                        newProbe("NULL", ""),
	{role: true}:              newProbe(roleSQL, ""),
	{names: true}:             newProbe("NULL", probeNames),
	{role: true, names: true}: newProbe(roleSQL, probeNames),
}

func newProbe(role, more string) []byte {
	var b strings.Builder
	b.WriteString("SELECT freshet.incarnation(), CASE WHEN pg_catalog.pg_is_in_recovery() THEN " + invalidation.StandbyServerSQL + " END")
	for _, name := range demandSettings {
		fmt.Fprintf(&b, ", pg_catalog.current_setting('%s', true)", name)
	}
	b.WriteString(", pg_catalog.current_setting('idle_session_timeout', true)")
	b.WriteString(", pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid," +
		" " + role + ", CURRENT_USER, SESSION_USER, pg_catalog.current_database()," +
		" pg_catalog.array_to_string(pg_catalog.current_schemas(true), pg_catalog.chr(1))")
	for _, name := range keyedSettings {
		fmt.Fprintf(&b, ", pg_catalog.current_setting('%s', true)", name)
	}
	return appendMessage(nil, 'Q', []byte(b.String()), []byte(more), []byte{0})
}

// parseProbe reads the one DataRow (without its header) that answers a probe.
// nil means that it is not understood.
func parseProbe(row []byte) *sessionState {
	columns, ok := dataRow(row)
	if !ok || len(columns) < probeSettings+len(keyedSettings) {
		return nil
	}
	var statements map[string]bool
	switch more := columns[probeSettings+len(keyedSettings):]; len(more) {
	case 0:
	case 1:
		if statements, ok = parseNames(more[0]); !ok {
			return nil
		}
		row = row[:len(row)-4-len(more[0])]
	default:
		return nil
	}
	s := &sessionState{
		statements:  statements,
		id:          digestOf(keyedColumns(row)),
		names:       digestOf(bytes.Join(columns[probeTemporary:probeSettings], []byte{0})),
		role:        parseRole(string(columns[probeRole])),
		incarnation: fence.Incarnation(columns[probeIncarnation]),
		standby:     string(columns[probeStandby]),
		demands:     parseDemands(columns[probeDemands], columns[probeDemands+1], columns[probeDemands+2]),
		idleMax:     parseIdleMax(string(columns[probeIdle])),
		searchPath:  strings.Split(string(columns[probeSearchPath]), schemaSeparator),
		settings:    make(map[string]string, len(parseSettings)),
	}
	all := make(map[string]string, len(keyedSettings))
	for i, name := range keyedSettings {
		if value := columns[probeSettings+i]; value != nil {
			all[name] = string(value)
		}
	}
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
	case string(columns[probeTemporary]) != "f":
		s.reason = reasonTemporary
	case all["default_transaction_isolation"] != isolationCommitted:
		s.reason = reasonIsolation
	case all["client_encoding"] != utf8Encoding:
		s.reason = reasonEncoding
	}
	return s
}

// parseRole reads the OID of what roleSQL gave.
func parseRole(text string) uint32 {
	number, _, _ := strings.Cut(text, " ")
	oid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(oid)
}

// keyedColumns is the part of a probe's row that belongs to the key. The
// incarnation is compared on its own, so that entries in Redis, which name it
// themselves, are found by every process; and what a session demands does not
// change an answer.
func keyedColumns(row []byte) []byte {
	at := 2
	for range probeTemporary {
		n := int(int32(binary.BigEndian.Uint32(row[at:])))
		at += 4 + max(n, 0)
	}
	return row[at:]
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
