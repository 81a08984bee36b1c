package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tpcbScript is the script that pgbench brings, for a database of scale 1.
const tpcbScript = `\set aid random(1, 100000)
\set bid 1
\set tid random(1, 10)
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
`

// BenchmarkNotHittingInTransactions compares transactions that write with the same through
// PgBouncer in session mode, which only relays. b.N is the number of rounds.
func BenchmarkNotHittingInTransactions(b *testing.B) {
	bed, s, direct, relayed := newPgbenchBed(b)
	through := place{s.dir, testPort}
	changes, tpcb := scriptFile(b, "changes", changesScript), scriptFile(b, "tpcb", tpcbScript)
	turns := []contender{
		{"changes, direct", direct, nil, []string{changes}},
		{"changes, PgBouncer", relayed, nil, []string{changes}},
		{"changes", through, s, []string{changes}},
		{"TPC-B, direct", direct, nil, []string{tpcb}},
		{"TPC-B, PgBouncer", relayed, nil, []string{tpcb}},
		{"TPC-B", through, s, []string{tpcb}},
	}
	var rows strings.Builder
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", mode, clients), func(b *testing.B) {
				taken := bed.takeTurns(b, mode, clients, turns)
				fmt.Fprintf(&rows, "| %s, %d | %.2f | %.2f | %.2f | %.2f |\n", mode, clients,
					taken["changes"].tps/taken["changes, PgBouncer"].tps, taken["TPC-B"].tps/taken["TPC-B, PgBouncer"].tps,
					taken["changes"].tps/taken["changes, direct"].tps, taken["TPC-B"].tps/taken["TPC-B, direct"].tps)
				b.ReportMetric(taken["changes"].tps/taken["changes, PgBouncer"].tps, "changes/pgbouncer")
				b.ReportMetric(taken["TPC-B"].tps/taken["TPC-B, PgBouncer"].tps, "tpcb/pgbouncer")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	fmt.Printf("\n| protocol, clients | BEGIN, read, change, END / PgBouncer | TPC-B / PgBouncer | BEGIN, read, change, END / direct | TPC-B / direct |\n|---|---|---|---|---|\n%s\n", rows.String())
}

// scriptFile writes a script for pgbench into a file and returns the file's path.
func scriptFile(b *testing.B, name, text string) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), name+".sql")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}
