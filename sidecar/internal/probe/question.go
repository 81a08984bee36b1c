package probe

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// askedSettings are those that each probe asks for, in the order in which it gets
// them.
var askedSettings = slices.Concat(settings.Keyed, settings.Conditional, demandSettings, []string{"idle_session_timeout", "idle_in_transaction_session_timeout", "search_path"})

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
	columnKeyed
	columnCursors
	probeColumns

	columnsFound = columnNames
)

// Question is what a probe asks for besides what it always does. The zero value asks
// for what a session itself can change.
type Question struct {
	// Server asks for the server that the connection leads to, Start for what the
	// connection began with.
	Server, Start bool
	// Role asks for whether row security applies to the role, which costs as much as all
	// the rest.
	Role bool
	// Names asks for the names of prepared statements.
	Names bool
	// Cursors asks for cursors that outlive their transactions.
	Cursors bool
}

// queries are the messages that ask a connection for its state, and leave no trace in it.
// Of the session's user an answer shows the name alone.
var queries = newQueries()

func newQueries() map[Question][]byte {
	all := map[Question][]byte{}
	for i := range 1 << 5 {
		q := Question{Server: i&1 != 0, Start: i&2 != 0, Role: i&4 != 0, Names: i&8 != 0, Cursors: i&16 != 0}
		all[q] = q.query()
	}
	return all
}

// Message returns the Query message that asks it. Its one row is for ParseAnswer.
func (q Question) Message() []byte { return queries[q] }

// With is Message that asks for settings of the application's own besides, by names that
// consist of letters, digits, underscores and dots: see State.Keyed.
func (q Question) With(names []string) []byte {
	if len(names) == 0 {
		return q.Message()
	}
	return q.asking("ARRAY['" + strings.Join(names, "','") + "'] OPERATOR(pg_catalog.||) " + settings.SQL(names))
}

func (q Question) query() []byte { return q.asking("NULL") }

func (q Question) asking(keyed string) []byte {
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
		columnKeyed:       keyed,
		columnCursors:     "NULL",
	}
	if q.Role {
		columns[columnRole] = settings.SecuredSQL
	}
	if q.Names {
		columns[columnNames] = namesSQL
	}
	if q.Cursors {
		columns[columnCursors] = cursorsSQL
	}
	if q.Server {
		columns[columnIncarnation] = "freshet.incarnation()"
		columns[columnDatabase] = "pg_catalog.current_database()"
		columns[columnStandby] = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN " + invalidation.StandbyServerSQL + " END"
	}
	if q.Start {
		columns[columnStart] = settings.StartSQL()
	}
	return protocol.AppendMessage(nil, 'Q', []byte("SELECT "+strings.Join(columns[:], ", ")), []byte{0})
}
