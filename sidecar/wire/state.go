package wire

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// sessionState is what a probe found on one upstream connection: everything
// besides the statement and its parameters that an answer can depend on.
type sessionState struct {
	// found are the columns of the probe from which all follows but what it found of
	// the server.
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
	reason  string
	demands demands
	// idleMax is how long Postgres lets the connection be idle, 0 for ever.
	idleMax    time.Duration
	searchPath []string
	settings   map[string]string
	serverState
}

// serverState is what does not change as long as a connection leads to one server.
type serverState struct {
	incarnation fence.Incarnation
	// standby names the server if it is a hot standby; empty otherwise.
	standby  string
	database string
	// objection, unless empty, is why no session is served that began as this one.
	objection string
}

// askedSettings are those that each probe asks for, in the order in which it gets
// them.
var askedSettings = slices.Concat(settings.Keyed, settings.Conditional, demandSettings, []string{"idle_session_timeout", "search_path"})

// The columns of a probe. The first ones change with the session; the others are
// NULL if they were not asked for.
const (
	columnSettings = iota
	columnUser
	columnSessionUser
	columnRole
	columnSearchPath
	columnNames
	columnIncarnation
	columnDatabase
	columnStart
	columnStandby
	probeColumns

	columnsFound = columnNames
)

const catalogSchema = "pg_catalog"

// probeForm is what a probe asks for besides what it always does: for the server
// that the connection leads to, for what the connection began with, for whether row
// security applies to the role, which costs as much as all the rest, and for the
// names of prepared statements.
type probeForm struct{ server, start, role, names bool }

// probeQueries ask one upstream connection for its state, and leave no trace in it.
// Of the session's user an answer shows the name alone.
var probeQueries = newProbes()

func newProbes() map[probeForm][]byte {
	all := map[probeForm][]byte{}
	for i := range 1 << 4 {
		form := probeForm{server: i&1 != 0, role: i&2 != 0, names: i&4 != 0, start: i&8 != 0}
		all[form] = form.query()
	}
	return all
}

func (f probeForm) query() []byte {
	columns := [probeColumns]string{
		columnSettings:    settings.SQL(askedSettings),
		columnUser:        "CURRENT_USER",
		columnSessionUser: "SESSION_USER",
		columnRole:        settings.RoleSQL,
		columnSearchPath:  settings.SearchPathSQL,
		columnNames:       "NULL",
		columnIncarnation: "NULL",
		columnDatabase:    "NULL",
		columnStart:       "NULL",
		columnStandby:     "NULL",
	}
	if f.role {
		columns[columnRole] = settings.SecuredSQL
	}
	if f.names {
		columns[columnNames] = namesSQL
	}
	if f.server {
		columns[columnIncarnation] = "freshet.incarnation()"
		columns[columnDatabase] = "pg_catalog.current_database()"
		columns[columnStandby] = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN " + invalidation.StandbyServerSQL + " END"
	}
	if f.start {
		columns[columnStart] = settings.StartSQL()
	}
	return protocol.AppendMessage(nil, 'Q', []byte("SELECT "+strings.Join(columns[:], ", ")), []byte{0})
}

// parseProbe reads the one DataRow (without its header) that answers a probe. One
// that did not ask for the server is of the server of before. nil means that it is
// not understood.
func parseProbe(row []byte, before *sessionState) *sessionState {
	columns, ok := protocol.DataRow(row)
	if !ok || len(columns) != probeColumns {
		return nil
	}
	var statements map[string]bool
	if names := columns[columnNames]; names != nil {
		if statements, ok = parseNames(names); !ok {
			return nil
		}
	}
	found := foundColumns(row, columns)
	if before != nil && bytes.Equal(found, before.found) {
		same := *before
		same.statements = statements
		return &same
	}
	values, ok := parseSettingsFound(askedSettings, columns[columnSettings])
	if !ok {
		return nil
	}
	s := &sessionState{found: bytes.Clone(found), statements: statements, role: parseRole(string(columns[columnRole]))}
	if before != nil {
		s.serverState = before.serverState
	} else if s.serverState, ok = parseServer(columns); !ok {
		return nil
	}
	// The incarnation is compared on its own, so that entries in Redis, which name it
	// themselves, are found by every process; and what a session demands does not
	// change an answer.
	parts := [][]byte{columns[columnRole], columns[columnUser], columns[columnSessionUser], []byte(s.database), columns[columnSearchPath]}
	s.names = digestOf(appendParts(nil, parts))
	parts = append(parts, namedCatalog(values["search_path"]))
	for _, name := range settings.Keyed {
		parts = append(parts, values[name])
	}
	s.id = digestOf(appendParts(nil, parts))
	s.parseTime = parseTimeDigest(values)
	s.settings = make(map[string]string, len(settings.ForParsing))
	for _, name := range settings.ForParsing {
		if value := values[name]; value != nil {
			s.settings[name] = string(value)
		}
	}
	s.demands = parseDemands(values[demandSettings[0]], values[demandSettings[1]], values[demandSettings[2]])
	s.idleMax = parseIdleMax(string(values["idle_session_timeout"]))
	resolved := columns[columnSearchPath] != nil
	schemas, ok := protocol.ParseTextArray(columns[columnSearchPath])
	if resolved && !ok {
		return nil
	}
	for _, schema := range schemas {
		s.searchPath = append(s.searchPath, string(schema))
	}
	s.reason = s.objection(values, resolved)
	return s
}

// parseServer reads what a probe found of the server and of the connection.
func parseServer(columns [][]byte) (server serverState, ok bool) {
	server.incarnation = fence.Incarnation(columns[columnIncarnation])
	server.standby = string(columns[columnStandby])
	server.database = string(columns[columnDatabase])
	if columns[columnStart] == nil {
		return server, true
	}
	values, ok := parseSettingsFound(settings.AtStart, columns[columnStart])
	server.objection = settings.StartObjection(values)
	return server, ok
}

// continues keeps what was found when the connection was new. What the settings of
// the role and the database are now, it did not begin with.
func (s *sessionState) continues(before *sessionState) {
	s.serverState.objection = before.serverState.objection
	if s.reason == "" {
		s.reason = s.serverState.objection
	}
}

// parseSettingsFound reads settings; ok is false if they are not as many as asked for.
func parseSettingsFound(names []string, array []byte) (values map[string][]byte, ok bool) {
	parts, ok := protocol.ParseTextArray(array)
	if !ok || len(parts) != len(names) {
		return nil, false
	}
	values = make(map[string][]byte, len(names))
	for i, name := range names {
		values[name] = parts[i]
	}
	return values, true
}

// objection says why a session in this state must not be served; empty if nothing
// speaks against it.
func (s *sessionState) objection(values map[string][]byte, resolved bool) string {
	switch {
	case len(s.incarnation) == 0 && s.standby == "":
		return reasons.ProbeFailed
	case s.demands.complaint != "":
		return reasons.Demands
	case s.standby != "" && s.demands.level != fence.Bounded:
		return reasons.ReplicaLevel
	case slices.ContainsFunc(s.searchPath, func(name string) bool { return strings.HasPrefix(name, settings.TemporaryPrefix) }):
		return reasons.Temporary
	case !resolved:
		return reasons.TemporaryPath
	case s.serverState.objection != "":
		return s.serverState.objection
	}
	return settings.Objection(values)
}

// namedCatalog is a search path that may name pg_catalog, and nil for others. What
// does not name it searches it first, as if it did, but current_schema tells.
func namedCatalog(path []byte) []byte {
	if bytes.Contains(bytes.ToLower(path), []byte(catalogSchema)) {
		return path
	}
	return nil
}

// foundColumns is the part of a row that holds the columns that change with the
// session.
func foundColumns(row []byte, columns [][]byte) []byte {
	end := 2
	for _, column := range columns[:columnsFound] {
		end += 4 + len(column)
	}
	return row[2:end]
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

// parseRole reads the OID of the role. Behind it may come whether row security
// applies to the role anywhere. What that depends on besides, no probe could tell: whose
// privileges the role has.
func parseRole(text string) uint32 {
	number, _, _ := strings.Cut(text, " ")
	oid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(oid)
}
