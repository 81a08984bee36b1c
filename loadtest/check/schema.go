package check

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is the name of the database that is checked.
const database = "promises"

// schema makes the tables. Versions and balances are narrow, so that sums of
// them are bigint. ledger keeps the versions of flickers, which have no row at
// odd ones; it is also what their writers lock. constants has a row for each meaning of
// each constant; an ANALYZE would have statements analysed anew, under the settings of
// that moment. shapes is altered.
var schema = fmt.Sprintf(`
CREATE TABLE registers (id int PRIMARY KEY, version int8 NOT NULL DEFAULT 0, mark int8 NOT NULL DEFAULT 0, filler text NOT NULL DEFAULT repeat('x', 40));
CREATE TABLE lefts (id int PRIMARY KEY, version int8 NOT NULL DEFAULT 0, mark int8 NOT NULL DEFAULT 0);
CREATE TABLE rights (id int PRIMARY KEY, version int8 NOT NULL DEFAULT 0, mark int8 NOT NULL DEFAULT 0);
CREATE TABLE flickers (id int PRIMARY KEY, version int8 NOT NULL DEFAULT 0, mark int8 NOT NULL DEFAULT 0);
CREATE TABLE ledger (id int PRIMARY KEY, version int8 NOT NULL DEFAULT 0);
CREATE TABLE accounts (id int PRIMARY KEY, branch int NOT NULL, balance int NOT NULL, version int NOT NULL DEFAULT 0);
CREATE TABLE counters (id int PRIMARY KEY, value int8 NOT NULL);
CREATE TABLE constants (id int PRIMARY KEY, day date, moment timestamptz, word text, version int8 NOT NULL DEFAULT 0, mark int8 NOT NULL DEFAULT 0) WITH (autovacuum_enabled = off);
CREATE TABLE shapes (id int PRIMARY KEY, v int NOT NULL);
CREATE INDEX ON accounts (branch);
INSERT INTO registers (id) SELECT generate_series(0, %d - 1);
INSERT INTO lefts (id) SELECT generate_series(0, %d - 1);
INSERT INTO rights (id) SELECT generate_series(0, %[2]d - 1);
INSERT INTO flickers (id) SELECT generate_series(0, %d - 1);
INSERT INTO ledger (id) SELECT generate_series(0, %[3]d - 1);
INSERT INTO accounts (id, branch, balance) SELECT i, i %% %d, %d FROM generate_series(0, %d - 1) AS i;
INSERT INTO constants (id, day, moment, word) VALUES
	(0, '2020-01-02', NULL, NULL), (1, '2020-02-01', NULL, NULL),
	(2, NULL, '2020-01-01 00:00+00', NULL), (3, NULL, '2020-01-01 00:00+09', NULL),
	(4, NULL, NULL, E'a\\\\b'), (5, NULL, NULL, E'a\\b');
INSERT INTO shapes SELECT i, i FROM generate_series(0, %d - 1) AS i;
`, rowCount, pairCount, flickerCount, branchCount, balanceEach, accountCount, shapeCount)

// truthWaitMax bounds asking a database for everything it has.
const truthWaitMax = 10 * time.Second

// truthSQL asks for the version of everything, in one snapshot.
const truthSQL = `
SELECT 0, id, version FROM registers UNION ALL
SELECT 1, id, version FROM lefts UNION ALL
SELECT 2, id, version FROM rights UNION ALL
SELECT 3, id, version FROM ledger UNION ALL
SELECT 4, 0, sum(version) / 2 FROM accounts UNION ALL
SELECT 5, id, version FROM constants`

// readTruth asks a database which version of everything it has.
func readTruth(ctx context.Context, dsn string) ([]reading, error) {
	ctx, cancel := context.WithTimeout(ctx, truthWaitMax)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("ask for the state of the database: %w", err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, truthSQL)
	if err != nil {
		return nil, fmt.Errorf("ask for the state of the database: %w", err)
	}
	truth, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (reading, error) {
		var what, id int
		var version int64
		err := r.Scan(&what, &id, &version)
		return reading{key: key{kind(what), id}, version: version}, err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the state of the database: %w", err)
	}
	return truth, nil
}
