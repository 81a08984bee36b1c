package drivers

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
)

// repeatedHitMin is the part of a client's repeated reads that a warm sidecar
// must keep away from Postgres. A client without a row fails its test.
var repeatedHitMin = map[string]float64{
	"psql":                               1,
	"psycopg2, autocommit":               1,
	"psycopg2, transactions":             1,
	"psycopg 3, autocommit":              0.94, // names prepared within a pipeline
	"psycopg 3, transactions":            0.94, // pipelines behind a write of the same transaction
	"asyncpg, connection":                0.94, // the first use of each statement follows a Flush
	"asyncpg, pool":                      0.94,
	"SQLAlchemy, sessions":               1,
	"SQLAlchemy, autocommit":             1,
	"Django, autocommit":                 1,
	"Django, atomic requests":            0.99,
	"lib/pq":                             1,
	"lib/pq, binary":                     1,
	"database/sql, pgx":                  0.98,
	"database/sql, pgx, simple protocol": 1,
	"pgx":                                1,
	"pgx, cache_describe":                1,
	"pgx, describe_exec":                 1,
	"pgx, exec":                          1,
	"pgx, simple_protocol":               0.91, // a batch is one message of several statements
	"GORM":                               0.99,
	"bun":                                0.98,
	"sqlc":                               0.98,
	"PDO, prepares":                      0.95, // each statement is named anew, and deallocated by a simple query
	"PDO, no prepares":                   0.99,
	"Ruby pg":                            1,
	"DBD::Pg":                            1,
	"JDBC, autocommit":                   0.95, // names on the server from the fifth run on
	"JDBC, transactions":                 0.88, // names on the server, BEGIN among them
	"postgres.js":                        0.8,  // it pipelines
	"Drizzle":                            0.96, // names as node-postgres does
	"node-postgres":                      0.95, // a name and its first use come in one group
}

// warmPass is the run that is measured: every shape is known, and what nobody
// changed is in memory.
const warmPass = "warm"

// measured is what one client's run through a warm sidecar came to.
type measured struct {
	client, version string
	stats           stats
	// reads are the repeated ones, of which Postgres counted scanned.
	reads, scanned int64
}

var (
	measuredMu  sync.Mutex
	allMeasured []measured
)

func record(m measured) {
	measuredMu.Lock()
	defer measuredMu.Unlock()
	allMeasured = append(allMeasured, m)
}

// statements are those that the client executed and Postgres did not refuse.
func (m measured) statements() uint64 {
	return m.stats.hits() + m.stats.Queries["miss"] + m.stats.Queries["bypass"]
}

func (m measured) hitRatio() float64 {
	return float64(m.stats.hits()) / float64(max(m.statements(), 1))
}

// topReason is why most of the statements that passed through did.
func (m measured) topReason() string {
	reasons := slices.Sorted(maps.Keys(m.stats.Bypasses))
	if len(reasons) == 0 {
		return "none"
	}
	top := slices.MaxFunc(reasons, func(a, b string) int { return cmp.Compare(m.stats.Bypasses[a], m.stats.Bypasses[b]) })
	return fmt.Sprintf("%s (%d)", top, m.stats.Bypasses[top])
}

// printMeasured prints a row for each client that was measured, or one line if
// the tests are to be brief.
func printMeasured(to io.Writer) {
	measuredMu.Lock()
	defer measuredMu.Unlock()
	if len(allMeasured) == 0 {
		return
	}
	var hits, statements uint64
	for _, m := range allMeasured {
		hits, statements = hits+m.stats.hits(), statements+m.statements()
	}
	if testing.Verbose() {
		printTable(to)
	}
	fmt.Fprintf(to, "%d clients, unchanged: %d of their %d statements were hits\n", len(allMeasured), hits, statements)
}

func printTable(to io.Writer) {
	slices.SortFunc(allMeasured, func(a, b measured) int { return cmp.Compare(a.client, b.client) })
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "client\tversion\tstatements\thits\tmisses\tbypasses\thit ratio\trepeated reads that hit\ttop reason for a bypass")
	for _, m := range allMeasured {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%.0f %%\t%d of %d\t%s\n", m.client, m.version, m.statements(),
			m.stats.hits(), m.stats.Queries["miss"], m.stats.Queries["bypass"], 100*m.hitRatio(), m.reads-m.scanned, m.reads, m.topReason())
	}
	_ = table.Flush() // standard output is nobody's test
}
