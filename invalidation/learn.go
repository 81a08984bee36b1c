package invalidation

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

const (
	// columnsLearnedMax bounds the watched columns of a table up to which columns
	// that nobody named are added: each costs every writer of the table a little.
	columnsLearnedMax = 12
	// lessonsMax bounds the columns that wait to be added. One beyond it is
	// forgotten, and asked for again by whoever needs it.
	lessonsMax = 16
	// learnPause is how long a column that could not be added is left alone.
	learnPause = 5 * time.Minute
)

// lesson is a column that readers look rows up by, and that is not watched.
type lesson struct {
	root   uint32
	column string
}

// Learn asks for a column of a watched table to be watched too. It returns at
// once; State shows it when it is so. The table must match a pattern of Watch that
// leaves the choice of columns to us, and have few enough of them; the column must
// be of a type whose values can have tags. Otherwise nothing happens. The triggers
// are replaced under the table's lock, waited for 100 ms at a time, in one
// transaction with the event that tells all followers. Nothing already watched is
// given up meanwhile, but the table is not served while its partitions differ.
func (f *Follower) Learn(root uint32, column string) {
	select {
	case f.lessons <- lesson{root, column}:
	default:
	}
}

// learn adds a column, if it may be.
func (k *keeper) learn(ctx context.Context, conn *pgx.Conn, l lesson) error {
	now := fence.Now()
	if k.mayNotInstall || now < k.learnAfter[l] {
		return nil
	}
	name, ok := k.f.teachable(l)
	if !ok {
		return nil
	}
	if len(k.learnAfter) >= lessonsMax*columnsLearnedMax { // columns come and go
		clear(k.learnAfter)
	}
	if k.learnAfter == nil {
		k.learnAfter = map[lesson]fence.Instant{}
	}
	k.learnAfter[l] = now.Add(learnPause)
	exact := pattern{
		text: name.String(), schema: regexp.MustCompile("^" + regexp.QuoteMeta(name.Schema) + "$"),
		table: regexp.MustCompile("^" + regexp.QuoteMeta(name.Name) + "$"), columns: []string{l.column}, literal: true,
	}
	may, err := mayInstall(ctx, conn)
	if err != nil {
		return err
	}
	if k.mayNotInstall = !may; !may {
		columns := append(k.f.watchedColumns(l.root), l.column)
		return fmt.Errorf("role %s has no right to install; statements look rows of %s up by %s: to watch that too run, as the role that installed, %s",
			conn.Config().User, name, l.column, installCommand([]string{exact.text + "(" + strings.Join(columns, ",") + ")"}, conn.Config().User))
	}
	report, err := install(ctx, conn, []pattern{exact}, nil, true)
	if err != nil {
		k.mayNotInstall = sqlState(err) == "42501"
		return err
	}
	for _, t := range report.Watched {
		k.f.logger.Info("watch another column, by which rows are often looked up", "table", t.Schema+"."+t.Name, "columns", t.Columns)
	}
	for _, s := range report.Skipped {
		k.f.logger.Info("cannot watch another column now", "table", s.Schema+"."+s.Name, "column", l.column, "reason", s.Reason)
	}
	k.f.audience.ring()
	return nil
}

// watchedColumns are a table's, in an order that does not change.
func (f *Follower) watchedColumns(root uint32) []string {
	t, _ := f.State().Table(root)
	return slices.Sorted(slices.Values(t.Columns))
}

// teachable returns the table of a lesson, if its column may be added.
func (f *Follower) teachable(l lesson) (relationName, bool) {
	t, ok := f.State().Table(l.root)
	if !ok || t.Root != l.root || len(t.Columns) >= columnsLearnedMax || slices.Contains(t.Columns, l.column) || len(f.watch) == 0 {
		return relationName{}, false
	}
	patterns, err := parsePatterns(f.watch)
	if err != nil {
		return relationName{}, false // NewFollower has read them, so this cannot be
	}
	name := relationName{t.Schema, t.Name}
	p, matched := match(patterns, name)
	return name, matched && p.columns == nil
}
