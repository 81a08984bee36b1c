package invalidation

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

//go:embed schema/purge.sql
var purgeTemplate string

// purgeSQL makes freshet.purge. What fails in it counts as a change of everything.
var purgeSQL = strings.NewReplacer("{{triggers}}", triggerPrefix, "{{everything}}", "{"+fence.SchemaText+"}", "{{purged}}", purgedText).Replace(fillRecording(purgeTemplate))

// purgedText is among the tags of each event that somebody asked for by a purge. It tells these
// from changes, and no answer depends on it.
const purgedText = fence.OwnPrefix + fence.OwnReserved + "purge"

// recordEventSQL writes an event with the tags $1.
const recordEventSQL = "INSERT INTO freshet.outbox (tags) VALUES ($1)"

// purgeTagsMax bounds the tags of one event of a purge.
const purgeTagsMax = 256

// PurgeAll ends every answer that is kept of conn's database, in all processes and in
// Redis, with an event that each of them carries. A follower has received it when a look
// has completed that began after PurgeAll returned.
func PurgeAll(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM freshet.distrusted"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, recordEventSQL, []string{fence.SchemaText, purgedText})
		return err
	})
	return endingError(err, conn)
}

// Purge ends every answer that depends on a watched table which matches one of the
// patterns, as PurgeAll does, and returns the tables' names. None matching is no error.
func Purge(ctx context.Context, conn *pgx.Conn, patterns []string) (names []string, err error) {
	wanted, err := parsePatterns(patterns)
	if err != nil {
		return nil, err
	}
	return purgeWhere(ctx, conn, func(t Table) bool {
		name := relationName{t.Schema, t.Name}
		return slices.ContainsFunc(wanted, func(p pattern) bool { return p.matches(name) })
	})
}

// purgeWhere is Purge of the watched tables that are wanted.
func purgeWhere(ctx context.Context, conn *pgx.Conn, wanted func(Table) bool) (names []string, err error) {
	text, at, err := readCatalog(ctx, conn)
	if err != nil {
		return nil, err
	}
	c, err := parseCatalog(text)
	if err != nil {
		return nil, err
	}
	roots := map[uint32]bool{}
	for _, t := range newState(c, at).Tables() {
		if wanted(t) {
			names = append(names, relationName{t.Schema, t.Name}.String())
			roots[t.Root] = true
		}
	}
	slices.Sort(names)
	return names, PurgeTables(ctx, conn, slices.Sorted(maps.Keys(roots)))
}

// readableSQL lists the relations that role $1 may read, and those behind the views among
// them, which are read with the rights of the views' owners.
const readableSQL = `WITH RECURSIVE readable AS (
	SELECT c.oid FROM pg_catalog.pg_class c
	WHERE c.relkind IN ('r', 'p', 'v', 'm') AND pg_catalog.has_any_column_privilege($1::name, c.oid, 'SELECT')
	UNION
	SELECT d.refobjid FROM readable r
	JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
		AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.oid
) SELECT array_agg(oid) FROM readable`

// PurgeRole ends every answer that a role can have been given: what depends on the watched
// tables that it may read, for whomever it was loaded. It returns the tables' names.
func PurgeRole(ctx context.Context, conn *pgx.Conn, role string) (names []string, err error) {
	var readable []uint32
	if err := conn.QueryRow(ctx, readableSQL, role).Scan(&readable); err != nil {
		return nil, fmt.Errorf("ask what role %s may read: %w", role, err)
	}
	return purgeWhere(ctx, conn, func(t Table) bool { return slices.Contains(readable, t.OID) })
}

// PurgeTables ends every answer that depends on one of the tables, as PurgeAll does. roots
// are the OIDs of the roots of their trees.
func PurgeTables(ctx context.Context, conn *pgx.Conn, roots []uint32) error {
	return writeEnd(ctx, conn, roots, true)
}

// EndTables is PurgeTables where nobody asked for it: what is distrusted stays so.
func EndTables(ctx context.Context, conn *pgx.Conn, roots []uint32) error {
	return writeEnd(ctx, conn, roots, false)
}

// tagsOf are those that a change of tables as a whole moves.
func tagsOf(roots []uint32) (tags []string) {
	for _, root := range roots {
		tags = append(tags, fence.TableText(root), fence.WholesaleText(root))
	}
	return tags
}

// trustSQL has shapes trusted again that are distrusted and read one of the tables.
const trustSQL = "DELETE FROM freshet.distrusted WHERE roots && $1::oid[]"

// writeEnd writes events that end what depends on tables, all of them or none. asked says that
// somebody purges them: then each has the mark of that, and shapes are trusted again.
func writeEnd(ctx context.Context, conn *pgx.Conn, roots []uint32, asked bool) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var marks []string
		if asked {
			marks = []string{purgedText}
			if _, err := tx.Exec(ctx, trustSQL, roots); err != nil {
				return err
			}
		}
		for some := range slices.Chunk(tagsOf(roots), purgeTagsMax) {
			if _, err := tx.Exec(ctx, recordEventSQL, slices.Concat(some, marks)); err != nil {
				return err
			}
		}
		return nil
	})
	return endingError(err, conn)
}

// endingError says what failed, and what to do; nil if nothing did.
func endingError(err error, conn *pgx.Conn) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write the event that ends answers: %w", explainMissing(err, conn.Config().User))
}
