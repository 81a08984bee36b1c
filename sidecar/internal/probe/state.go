package probe

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// State is what a probe found on one connection to Postgres: everything besides the
// statement and its parameters that an answer can depend on. Two states with one ID give
// the same answers. It does not change once a session has taken it over.
type State struct {
	// found are the columns of the probe from which all follows but what it found of
	// the server.
	found []byte
	// ID names the role, the database, the search path and the settings.
	ID digest.Digest
	// Role is the OID of the current role, 0 if it is not known. It is in ID and in
	// Names.
	Role uint32
	// User is the name of the current role. It is in ID and in Names.
	User string
	// Names is of the part that decides what the names in a statement mean.
	Names digest.Digest
	// ParseTime names the settings that Postgres reads when it parses and plans.
	ParseTime digest.Digest
	// Statements are the names of those that the protocol made, nil if they were
	// not asked for.
	Statements map[string]bool
	// Cursors says whether there are cursors that outlive their transactions.
	Cursors Cursors
	// Reason, unless empty, says why this session must not be served.
	Reason  string
	Demands Demands
	// IdleMax is how long Postgres lets the connection be idle, and IdleInBlockMax a
	// transaction on it, 0 for ever.
	IdleMax, IdleInBlockMax time.Duration
	SearchPath              []string
	// Settings are the values of those that the analysis applies to its own session, as
	// far as the server has them.
	Settings map[string]string
	// Keyed are the values of the application's own settings that were asked for, nil for one
	// that there is not. They are in no ID.
	Keyed map[string][]byte
	Server
}

// Cursors is what is known of cursors that outlive their transactions.
type Cursors uint8

// What may be known of cursors.
const (
	CursorsNotAsked Cursors = iota
	NoCursors
	SomeCursors
)

// Server is what does not change as long as a connection leads to one server.
type Server struct {
	Incarnation fence.Incarnation
	// Standby names the server if it is a hot standby; empty otherwise.
	Standby  string
	Database string
	// objection, unless empty, is why no session is served that began as this one.
	objection string
}

// ParseAnswer reads the one DataRow (without its header) that answers a probe. One
// that did not ask for the server is of the server of before. nil means that it is
// not understood.
func ParseAnswer(row []byte, before *State) *State {
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
	keyed, ok := parseKeyed(columns[columnKeyed])
	if !ok {
		return nil
	}
	cursors := parseCursors(columns[columnCursors])
	found := foundColumns(row, columns)
	if before != nil && bytes.Equal(found, before.found) {
		same := *before
		same.Statements, same.Keyed, same.Cursors = statements, keyed, cursors
		return &same
	}
	s := &State{found: bytes.Clone(found), Statements: statements, Keyed: keyed, Cursors: cursors}
	if before != nil {
		s.Server = before.Server
	} else if s.Server, ok = parseServer(columns); !ok {
		return nil
	}
	if !s.take(columns) {
		return nil
	}
	return s
}

// take reads the columns that change with the session. It reports false if they are not
// understood.
func (s *State) take(columns [][]byte) bool {
	values, ok := parseValues(askedSettings, columns[columnSettings])
	if !ok {
		return false
	}
	s.Role, s.User = parseRole(string(columns[columnRole])), string(columns[columnUser])
	s.name(columns, values)
	s.Settings = make(map[string]string, len(settings.ForParsing))
	for _, name := range settings.ForParsing {
		if value := values[name]; value != nil {
			s.Settings[name] = string(value)
		}
	}
	s.Demands = parseDemands(values[demandSettings[0]], values[demandSettings[1]], values[demandSettings[2]], values[demandSettings[3]])
	s.IdleMax = parseIdleMax(string(values["idle_session_timeout"]))
	s.IdleInBlockMax = parseIdleMax(string(values["idle_in_transaction_session_timeout"]))
	resolved := columns[columnSearchPath] != nil
	schemas, ok := protocol.ParseTextArray(columns[columnSearchPath])
	if resolved && !ok {
		return false
	}
	for _, schema := range schemas {
		s.SearchPath = append(s.SearchPath, string(schema))
	}
	s.Reason = s.objection(values, resolved)
	return true
}

// name names what answers, names and constants depend on. The incarnation is compared on
// its own, so that entries in Redis, which name it themselves, are found by every process;
// and what a session demands does not change an answer.
func (s *State) name(columns [][]byte, values map[string][]byte) {
	parts := [][]byte{columns[columnRole], columns[columnUser], columns[columnSessionUser], []byte(s.Database), columns[columnSearchPath]}
	s.Names = digest.Of(digest.AppendParts(nil, parts))
	parts = append(parts, namedCatalog(values["search_path"]))
	for _, name := range settings.Keyed {
		parts = append(parts, values[name])
	}
	s.ID = digest.Of(digest.AppendParts(nil, parts))
	s.ParseTime = parseTimeDigest(values)
}

// parseServer reads what a probe found of the server and of the connection.
func parseServer(columns [][]byte) (server Server, ok bool) {
	server.Incarnation = fence.Incarnation(columns[columnIncarnation])
	server.Standby = string(columns[columnStandby])
	server.Database = string(columns[columnDatabase])
	if columns[columnStart] == nil {
		return server, true
	}
	values, ok := parseValues(settings.AtStart, columns[columnStart])
	server.objection = settings.StartObjection(values)
	return server, ok
}

// Continue keeps what was found when the connection was new. What the settings of
// the role and the database are now, it did not begin with.
func (s *State) Continue(before *State) {
	s.Server.objection = before.Server.objection
	s.Refuse(s.Server.objection)
}

// Refuse has the session not be served, for a reason, if there is none yet.
func (s *State) Refuse(reason string) {
	if s.Reason == "" {
		s.Reason = reason
	}
}

// StandardStrings reports whether a backslash in a literal stands for itself. s is nil
// while the session's state is not known: that is Postgres' default.
func (s *State) StandardStrings() bool {
	return s == nil || s.Settings["standard_conforming_strings"] != "off"
}

// parseValues reads settings; ok is false if they are not as many as asked for.
func parseValues(names []string, array []byte) (values map[string][]byte, ok bool) {
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

// parseCursors reads how many cursors there are.
func parseCursors(column []byte) Cursors {
	switch {
	case column == nil:
		return CursorsNotAsked
	case string(column) == "0":
		return NoCursors
	default:
		return SomeCursors
	}
}

// parseKeyed reads names, and their values behind them.
func parseKeyed(array []byte) (values map[string][]byte, ok bool) {
	if array == nil {
		return nil, true
	}
	parts, ok := protocol.ParseTextArray(array)
	if !ok || len(parts)%2 != 0 {
		return nil, false
	}
	values, n := make(map[string][]byte, len(parts)/2), len(parts)/2
	for i, name := range parts[:n] {
		values[string(name)] = bytes.Clone(parts[n+i])
	}
	return values, true
}

// objection says why a session in this state must not be served; empty if nothing
// speaks against it.
func (s *State) objection(values map[string][]byte, resolved bool) string {
	switch {
	case len(s.Incarnation) == 0 && s.Standby == "":
		return reasons.ProbeFailed
	case s.Demands.Off:
		return reasons.SwitchedOff
	case s.Demands.Complaint != "":
		return reasons.Demands
	case s.Standby != "" && s.Demands.Level != fence.Bounded:
		return reasons.ReplicaLevel
	case slices.ContainsFunc(s.SearchPath, func(name string) bool { return strings.HasPrefix(name, settings.TemporaryPrefix) }):
		return reasons.Temporary
	case !resolved:
		return reasons.TemporaryPath
	case s.Server.objection != "":
		return s.Server.objection
	}
	return settings.Objection(values)
}

// namedCatalog is a search path that may name pg_catalog, and nil for others. What
// does not name it searches it first, as if it did, but current_schema tells.
func namedCatalog(path []byte) []byte {
	if bytes.Contains(bytes.ToLower(path), []byte("pg_catalog")) {
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

// parseIdleMax reads a duration as Postgres prints it: 0, 500ms, 30s, 5min, 2h, 1d.
// What it cannot read is taken for no limit.
func parseIdleMax(text string) time.Duration {
	unit := time.Duration(1)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text, unit = days+"h", 24
	}
	d, err := time.ParseDuration(strings.Replace(text, "min", "m", 1))
	if err != nil {
		return 0
	}
	return d * unit
}
