package invalidation

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// Distrusted is a shape of statements of which an answer was found to be stale. Table
// freshet.distrusted keeps them until somebody purges, so that every sidecar knows them, and
// knows them again after a restart.
type Distrusted struct {
	// Shape names the shape; DistrustedAll stands for every statement.
	Shape string
	// Roots are the OIDs of the roots of its tables, none of every statement. A purge of one
	// of these, or of everything, ends it.
	Roots []uint32
}

// DistrustedAll is the Shape of every statement.
const DistrustedAll = "all"

// distrustedMax bounds the shapes that are distrusted one by one. With one beyond, every
// statement is, until everything is purged.
const distrustedMax = 256

// distrustedText is among the tags of the event that says that freshet.distrusted has a row
// more. No answer depends on it.
const distrustedText = fence.OwnPrefix + fence.OwnReserved + "distrusted"

const distrustSQL = `INSERT INTO freshet.distrusted AS d (shape, roots)
	SELECT CASE WHEN known.fits THEN $1 ELSE $4 END, CASE WHEN known.fits THEN $2::oid[] ELSE '{}' END
	FROM (SELECT count(*) < $3 OR coalesce(bool_or(shape = $1), false) FROM freshet.distrusted) AS known (fits)
	ON CONFLICT (shape) DO UPDATE SET roots = ARRAY(SELECT DISTINCT unnest(d.roots || excluded.roots))`

// Distrust has all followers of the database told of a shape. It is for who has ended its
// answers already (EndTables), in a transaction of its own: where a purge that is not
// committed has the row, this waits for it, and what is stale must not.
//
//  1. verification finds an answer of a table to be stale, and ends what depends on it;
//  2. an operator purges the table;
//  3. the shape is distrusted, though somebody has purged since it was found.
//
// Then it is so until the next purge: what was found may have outlived the one of 2.
func Distrust(ctx context.Context, conn *pgx.Conn, d Distrusted) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, distrustSQL, d.Shape, d.Roots, distrustedMax, DistrustedAll); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, recordEventSQL, []string{distrustedText})
		return err
	})
	if err != nil {
		return fmt.Errorf("note that a shape is distrusted: %w", explainMissing(err, conn.Config().User))
	}
	return nil
}

// tellDistrusted tells of the shapes that are distrusted if they may be others than before:
// where a look brought a mark of theirs or of a purge, after an installation, and where
// something may have been missed. They are read behind that look and told before its head is
// published. Where their table is gone, which the next audit says, those stay that are known.
func (l *looker) tellDistrusted(ctx context.Context, s *sighting, cause string) error {
	if l.f.onDistrusted == nil || !s.marked && !s.schema && cause == "" || !l.f.State().Installed() {
		return nil
	}
	rows, _ := l.conn.Query(ctx, "SELECT shape, roots FROM freshet.distrusted ORDER BY shape LIMIT $1", distrustedMax+1) // its error is the rows'
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Distrusted])
	if sqlState(err) == "42P01" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read which shapes are distrusted: %w", explainMissing(err, l.conn.Config().User))
	}
	l.f.onDistrusted(list)
	return nil
}

// marks reports whether an event says that the shapes that are distrusted may be others.
func marks(texts []string) bool {
	return slices.Contains(texts, purgedText) || slices.Contains(texts, distrustedText)
}
