package invalidation

import "fmt"

// holdGrantsSQL begins a transaction that puts triggers on a table. The first trigger
// of a table changes its row in pg_class (relhastriggers). GRANT and REVOKE change the
// same row, alone among the commands that do in taking no lock on the table:
//
//  1. GRANT reads the row
//  2. we change the row and commit, or have changed it already and commit now
//  3. GRANT changes what it read, and fails with "tuple concurrently updated"
//
// They take pg_class itself for writing before they read a row, and release it when
// they have changed it. So we take it in a mode that writers wait for, from before our
// change until our commit, and they read what we left. That is a few milliseconds, in
// which other DDL waits too; to keep it short the table's lock comes first, which may
// have to be waited for, and the commit does not wait for the disk or for standbys: a
// crash that loses it loses all that was committed later, too, and is a new
// incarnation. Where they are first it is we who fail, and try again.
//
// Tables that had a trigger before are not locked so, nor is pg_class for those who
// may not: they are no superusers, and wait until a table is no longer young
// (quietPeriod). Forced by TestGrantWaitsUntilTriggersAreInPlace and
// TestInstallGivesWayToAGrant.
func holdGrantsSQL(table relationName) string {
	return fmt.Sprintf(`DO $freshet$
BEGIN
	IF (SELECT NOT c.relhastriggers FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = %[1]s AND c.relname = %[2]s) THEN
		LOCK TABLE ONLY %[3]s IN SHARE ROW EXCLUSIVE MODE;
		LOCK TABLE pg_catalog.pg_class IN SHARE MODE;
		SET LOCAL synchronous_commit = off;
	END IF;
EXCEPTION WHEN insufficient_privilege THEN
	NULL;
END
$freshet$;
`, literal(table.Schema), literal(table.Name), table.sql())
}
