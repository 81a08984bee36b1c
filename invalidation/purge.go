package invalidation

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// purgeTagsMax bounds the tags of one event of a purge.
const purgeTagsMax = 256

// PurgeAll ends every answer that is kept of conn's database, in all processes and in
// Redis, with an event that each of them carries. A follower has received it when a look
// has completed that began after PurgeAll returned.
func PurgeAll(ctx context.Context, conn *pgx.Conn) error {
	return writePurge(ctx, conn, []string{fence.SchemaText}, purgedText)
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
	return writePurge(ctx, conn, tagsOf(roots), purgedText)
}

// EndTables is PurgeTables where nobody asked for it: FollowerOptions.OnPurge is not told.
func EndTables(ctx context.Context, conn *pgx.Conn, roots []uint32) error {
	return writePurge(ctx, conn, tagsOf(roots))
}

// tagsOf are those that a change of tables as a whole moves.
func tagsOf(roots []uint32) (tags []string) {
	for _, root := range roots {
		tags = append(tags, fence.TableText(root), fence.WholesaleText(root))
	}
	return tags
}

// writePurge writes events with the tags, all of them or none, each with the marks too.
func writePurge(ctx context.Context, conn *pgx.Conn, tags []string, marks ...string) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for some := range slices.Chunk(tags, purgeTagsMax) {
			if _, err := tx.Exec(ctx, "INSERT INTO freshet.outbox (tags) VALUES ($1)", slices.Concat(some, marks)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the event that ends answers: %w", explainMissing(err, conn.Config().User))
	}
	return nil
}

// PurgeEvent says what somebody has asked to end.
type PurgeEvent struct {
	// All is set if it is every answer.
	All bool
	// Roots are the tables otherwise, by the OIDs of the roots of their trees.
	Roots []uint32
}

// newPurgeEvent reads the tags of purges.
func newPurgeEvent(texts []string) (p PurgeEvent) {
	for _, text := range texts {
		p.All = p.All || text == fence.SchemaText
		if root, err := strconv.ParseUint(text, 10, 32); err == nil {
			p.Roots = append(p.Roots, uint32(root))
		}
	}
	return p
}

// Concerns reports whether answers end that depend on one of the tables.
func (p PurgeEvent) Concerns(roots []uint32) bool {
	return p.All || slices.ContainsFunc(roots, func(root uint32) bool { return slices.Contains(p.Roots, root) })
}
