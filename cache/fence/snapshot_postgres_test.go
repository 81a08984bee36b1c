package fence

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
)

// Postgres is the judge here: each test asks it about thousands of snapshots in
// one statement and compares its answers with ours.

func connect(t *testing.T) (context.Context, *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	conn, err := pgx.Connect(ctx, servers.SharedPostgres(t).DSN("postgres"))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	return ctx, conn
}

// snapshotBases are first ids of the ranges in which snapshots are drawn: small
// ones, both sides of the wrap of the 32-bit form, and far beyond. Ids whose
// lower 32 bits are 0, 1 or 2 are left out: Postgres assigns none of them.
var snapshotBases = []XID{3, 1<<32 - snapshotSpan - 1, 1<<32 + 3, 1<<40 + 3, 1<<62 + 3}

const snapshotSpan = 24

func drawBaseAndSnapshots(r *rand.Rand, n int) (base XID, snapshots []Snapshot) {
	base = pickOne(r, snapshotBases)
	for range n {
		snapshots = append(snapshots, drawSnapshot(r.IntN, base, snapshotSpan))
	}
	return base, snapshots
}

func TestSeesAgreesWithPostgres(t *testing.T) {
	t.Parallel()
	ctx, conn := connect(t)
	const pairs = 20_000
	r := rand.New(rand.NewPCG(3, 3))
	var snapshots []Snapshot
	var ids []XID
	var snapshotTexts, idTexts []string
	for range pairs {
		base, drawn := drawBaseAndSnapshots(r, 1)
		x := base + XID(r.IntN(snapshotSpan+4)) - 2
		snapshots, ids = append(snapshots, drawn[0]), append(ids, x)
		snapshotTexts = append(snapshotTexts, drawn[0].String())
		idTexts = append(idTexts, strconv.FormatUint(uint64(x), 10))
	}
	var visible []bool
	var printed []string
	err := conn.QueryRow(ctx, `
		SELECT array_agg(pg_visible_in_snapshot(x::xid8, s::pg_snapshot) ORDER BY n),
		       array_agg(s::pg_snapshot::text ORDER BY n)
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS pair(x, s, n)`,
		idTexts, snapshotTexts).Scan(&visible, &printed)
	if err != nil {
		t.Fatalf("ask Postgres: %v", err)
	}
	if len(visible) != pairs {
		t.Fatalf("%d answers for %d pairs", len(visible), pairs)
	}
	seen := 0
	for i, s := range snapshots {
		if s.Sees(ids[i]) != visible[i] {
			t.Errorf("%v sees %d: Postgres says %v", s, ids[i], visible[i])
		}
		if printed[i] != s.String() {
			t.Errorf("%v is printed by Postgres as %s", s, printed[i])
		}
		if visible[i] {
			seen++
		}
	}
	if seen < pairs/10 || seen > pairs*9/10 {
		t.Errorf("%d of %d are visible: the pairs prove little", seen, pairs)
	}
}

func TestIncludesAgreesWithPostgres(t *testing.T) {
	t.Parallel()
	ctx, conn := connect(t)
	const pairs = 5_000
	r := rand.New(rand.NewPCG(4, 4))
	var outer, inner []Snapshot
	var outerTexts, innerTexts, baseTexts []string
	for range pairs {
		base, drawn := drawBaseAndSnapshots(r, 2)
		outer, inner = append(outer, drawn[0]), append(inner, drawn[1])
		outerTexts, innerTexts = append(outerTexts, drawn[0].String()), append(innerTexts, drawn[1].String())
		baseTexts = append(baseTexts, strconv.FormatUint(uint64(base), 10))
	}
	var included []bool
	err := conn.QueryRow(ctx, `
		SELECT array_agg(NOT EXISTS (
			SELECT FROM generate_series(base::numeric, base::numeric + $4) AS id
			WHERE pg_visible_in_snapshot(id::text::xid8, i::pg_snapshot)
			  AND NOT pg_visible_in_snapshot(id::text::xid8, o::pg_snapshot)) ORDER BY n)
		FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS pair(o, i, base, n)`,
		outerTexts, innerTexts, baseTexts, snapshotSpan).Scan(&included)
	if err != nil {
		t.Fatalf("ask Postgres: %v", err)
	}
	if len(included) != pairs {
		t.Fatalf("%d answers for %d pairs", len(included), pairs)
	}
	yes := 0
	for i := range included {
		if outer[i].Includes(inner[i]) != included[i] {
			t.Errorf("%v includes %v: Postgres says %v", outer[i], inner[i], included[i])
		}
		if included[i] {
			yes++
		}
	}
	if yes < pairs/10 || yes > pairs*9/10 {
		t.Errorf("%d of %d are included: the pairs prove little", yes, pairs)
	}
}

// What Postgres refuses as a snapshot is refused by ParseSnapshot. (It refuses
// 0 too, and forgives an id listed twice and a comma at the end; it prints none
// of these.)
func TestMalformedTextAgreesWithPostgres(t *testing.T) {
	t.Parallel()
	ctx, conn := connect(t)
	for _, text := range []string{"", "1:2", "5:3:", "3:9:9", "3:9:2", "3:9:5,4", "3:9:x", "3:9:4:"} {
		var printed string
		if err := conn.QueryRow(ctx, `SELECT $1::text::pg_snapshot::text`, text).Scan(&printed); !invalidText(err) {
			t.Errorf("Postgres reads %q as %q, %v", text, printed, err)
		}
		if s, err := ParseSnapshot(text); err == nil {
			t.Errorf("%q was read as %v", text, s)
		}
	}
}

// invalidText reports whether Postgres has refused a text as that of a value.
func invalidText(err error) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refusal.Code == "22P02"
}

// Snapshots of a real server with open transactions are read, and ordered by
// inclusion.
func TestSnapshotsOfRunningServerAreOrdered(t *testing.T) {
	t.Parallel()
	ctx, conn := connect(t)
	read := func() Snapshot {
		var text string
		if err := conn.QueryRow(ctx, `SELECT pg_current_snapshot()::text`).Scan(&text); err != nil {
			t.Fatalf("read snapshot: %v", err)
		}
		s := parse(t, text)
		if s.String() != text {
			t.Errorf("%q is printed as %q", text, s)
		}
		return s
	}
	begin := func() (XID, *pgx.Conn) {
		_, writer := connect(t)
		if _, err := writer.Exec(ctx, `BEGIN`); err != nil {
			t.Fatalf("begin: %v", err)
		}
		var text string
		if err := writer.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&text); err != nil {
			t.Fatalf("assign id: %v", err)
		}
		x, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("read id: %v", err)
		}
		return XID(x), writer
	}
	first, firstWriter := begin()
	second, secondWriter := begin()
	before := read()
	if before.Sees(first) || before.Sees(second) {
		t.Errorf("%v sees the open %d or %d", before, first, second)
	}
	if _, err := secondWriter.Exec(ctx, `COMMIT`); err != nil {
		t.Fatalf("commit: %v", err)
	}
	between := read()
	if between.Sees(first) || !between.Sees(second) {
		t.Errorf("%v: want %d running and %d ended", between, first, second)
	}
	if _, err := firstWriter.Exec(ctx, `ROLLBACK`); err != nil {
		t.Fatalf("roll back: %v", err)
	}
	after := read()
	if !after.Sees(first) || !after.Sees(second) {
		t.Errorf("%v: want %d and %d ended", after, first, second)
	}
	if !after.Includes(between) || !between.Includes(before) || between.Includes(after) || before.Includes(between) {
		t.Errorf("%v, %v, %v are not in order", before, between, after)
	}
}
