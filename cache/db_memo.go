package cache

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/fence"
)

// memo is what is known of one connection of the pool, as long as it lasts. It belongs to
// who has acquired that.
type memo struct {
	// prepared is the probe as a prepared statement of the connection, nil if it has none: to
	// parse it takes three times as long as all the rest.
	prepared *pgconn.StatementDescription
	// incarnation is what the process of the server with this id said that it is in; empty
	// if it was not asked, or what it said is not to be relied on. To ask takes as long as
	// ten reads, and a process stays in one; behind a pooler a connection gets another
	// process.
	incarnation fence.Incarnation
	process     string
	// statements are those that were prepared, by their names; nil for one that is not to be
	// used.
	statements map[string]*pgconn.StatementDescription
}

// memoPrefix begins the names of memos, and of prepared probes.
const memoPrefix = "freshet_probe_"

// memoOf returns the memo of a connection for the probe that has a name.
func memoOf(conn *pgconn.PgConn, name string) *memo {
	known := conn.CustomData()
	if m, ok := known[name].(*memo); ok {
		return m
	}
	m := &memo{}
	known[name] = m
	return m
}

// reaches reports whether a connection that answered a probe with row leads to an
// incarnation of the database, as far as that was asked.
func (m *memo) reaches(row [][]byte, in fence.Incarnation) bool {
	if said := row[columnIncarnation]; said != nil {
		m.incarnation, m.process = fence.Incarnation(said), string(row[columnProcess])
	}
	if m.process != string(row[columnProcess]) || m.incarnation != in {
		m.incarnation = "" // to be asked the next time
		return false
	}
	return m.incarnation != ""
}

// The errors of prepared statements: there is one of that name already, or none.
const (
	codePrepared   = "42P05"
	codeUnprepared = "26000"
)

// fails takes in how the probe of a name failed.
func (m *memo) fails(name, code string) {
	m.incarnation = ""
	switch code {
	case codePrepared:
		m.prepared = &pgconn.StatementDescription{Name: name} // pgx asks for its columns
	case codeUnprepared:
		m.prepared = nil
	}
}
