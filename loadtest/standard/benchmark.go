package standard

import (
	"context"
	"fmt"
	"strings"

	"github.com/freshet/freshet/loadtest/target"
)

// rowsOfScale are the rows of a scale of 1: pgbench's accounts.
const rowsOfScale = 100_000

// benchmark is a program, and what it does.
type benchmark struct {
	name, about, keys string
	protocols         []target.Protocol
	// fill fills a database, as its owner.
	fill func(context.Context, *target.Ground, target.Place, *Options) error
	// run measures one place for some seconds.
	run func(ctx context.Context, on *target.Ground, at target.Place, seconds int, o *Options) (outcome, error)
	// checks are what has to be the same through a target as in Postgres.
	checks []string
}

var benchmarks = []*benchmark{
	pgbench("pgbench-select", "pgbench -S: one account by its key", "-S"),
	pgbench("pgbench-simple-update", "pgbench -N: BEGIN, an account changed and read, history, END", "-N"),
	pgbench("pgbench-tpcb", "pgbench's TPC-B: BEGIN, three changes, a read, history, END"),
	pgbench("pgbench-hot", "pgbench: one of 1 000 accounts by its key", "-f", hotScript),
	sysbench("oltp_point_select", "one row by its key"),
	sysbench("oltp_read_only", "BEGIN, ten rows by their keys, four ranges of 100, COMMIT"),
	sysbench("oltp_read_write", "oltp_read_only's reads, two changes, a row deleted and put back, COMMIT"),
}

// hotScript stands for the file of pgbench-hot's transaction.
const hotScript = "hot.sql"

// Names are the benchmarks' names.
func Names() []string {
	var names []string
	for _, b := range benchmarks {
		names = append(names, b.name)
	}
	return names
}

func find(name string) (*benchmark, error) {
	for _, b := range benchmarks {
		if b.name == name {
			return b, nil
		}
	}
	return nil, fmt.Errorf("find benchmark %q: there are %s", name, strings.Join(Names(), ", "))
}
