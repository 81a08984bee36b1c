package drivers

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/loadtest/servers"
)

const (
	// skewedPerClient is how many reads each of pgbench's clients makes: enough
	// for a hit ratio, since most keys come again.
	skewedPerClient = 2500
	tpcbPerClient   = 100
	clients         = 4
	// hitRatioMin is what the skewed reads must reach. Nine of ten come again; a busy
	// machine is late for some.
	hitRatioMin = 0.85
)

var modes = []string{"simple", "extended", "prepared"}

// TestPgbench makes pgbench's tables through the sidecar and runs its scripts, in
// all three forms of the protocol, as its manual says.
func TestPgbench(t *testing.T) {
	t.Parallel()
	b := newBareBed(t, "")
	b.program = watchedProgram
	// It installs by itself, as a superuser: pgbench makes its tables through it.
	s := b.serve("--redis", servers.SharedRedis(t).URL(), "--upstream", b.postgres.DSN(b.database), "--watch", "public.*")
	p := pgbench{b, s}
	p.run(s.at, "-i", "-s", "1", "-q")
	b.eventually("pgbench's tables to be watched", func() bool {
		st := s.stats()
		return st.WatchedTables == 4 && len(st.Problems) == 0
	})
	for _, mode := range modes {
		p.skewedReads(mode)
	}
	for _, mode := range modes {
		p.run(s.at, "-n", "-S", "-M", mode, "-c", fmt.Sprint(clients), "-t", "100", "-s", "1")
		p.writes(mode)
	}
	p.requireBalanced()
	p.requireSameReads()
	t.Logf("all: %s", s.stats())
}

type pgbench struct {
	*bed
	sidecar *sidecar
}

var failedTransactions = regexp.MustCompile(`number of failed transactions: (\d+)`)

// run runs pgbench at an endpoint; it must not meet an error.
func (p pgbench) run(at endpoint, args ...string) string {
	p.t.Helper()
	program, err := p.postgres.Tool("pgbench")
	if err != nil {
		p.t.Fatalf("%v; or: apt-get install postgresql-contrib", err)
	}
	text := output(p.t, at, "", program, args...)
	if failed := failedTransactions.FindStringSubmatch(text); failed != nil && failed[1] != "0" {
		p.t.Errorf("pgbench %s: %s transactions failed\n%s", strings.Join(args, " "), failed[1], text)
	}
	if strings.Contains(text, "error:") {
		p.t.Errorf("pgbench %s:\n%s", strings.Join(args, " "), text)
	}
	return text
}

func skewed(mode string, seed int) []string {
	return []string{
		"-n", "-M", mode, "-f", filepath.Join("testdata", "pgbench", "skewed.sql"), "-s", "1",
		"-c", fmt.Sprint(clients), "-t", fmt.Sprint(skewedPerClient), "--random-seed", fmt.Sprint(seed),
	}
}

// skewedReads reads as -S does, with keys of which some are far more frequent.
// Answers to simple queries are kept apart from those of the extended protocol,
// which both its forms share: the last mode begins with a warm cache.
func (p pgbench) skewedReads(mode string) {
	p.t.Helper()
	counted, scanned := p.sidecar.stats(), p.scans("pgbench_accounts")
	p.run(p.sidecar.at, skewed(mode, 1)...)
	scanned = p.scans("pgbench_accounts") - scanned
	counted = p.sidecar.stats().since(counted)
	const total = clients * skewedPerClient
	ratio := float64(counted.hits()) / total
	p.t.Logf("skewed reads, %s: hit ratio %.1f %%, %d of %d reads reached Postgres; %s", mode, 100*ratio, scanned, total, counted)
	version := firstLine(p.run(p.sidecar.at, "--version"))
	record(measured{client: "pgbench, " + mode, version: version, stats: counted, reads: total, scanned: scanned})
	if ratio < hitRatioMin {
		p.t.Errorf("skewed reads, %s: hit ratio %.3f, want at least %.2f", mode, ratio, hitRatioMin)
	}
	if want := total - int64(counted.hits()); scanned != want {
		p.t.Errorf("skewed reads, %s: Postgres counts %d scans, want %d: all that were no hits", mode, scanned, want)
	}
}

// writes runs pgbench's TPC-B script, while others read the same tables.
func (p pgbench) writes(mode string) {
	p.t.Helper()
	var both errgroup.Group
	both.Go(func() error {
		p.run(p.sidecar.at, "-n", "-b", "tpcb-like", "-M", mode, "-c", fmt.Sprint(clients), "-t", fmt.Sprint(tpcbPerClient))
		return nil
	})
	both.Go(func() error {
		p.run(p.sidecar.at, skewed(mode, 2)...)
		return nil
	})
	_ = both.Wait() // the runs report on their own
}

// requireBalanced checks, through the sidecar, the sums that TPC-B keeps equal.
func (p pgbench) requireBalanced() {
	p.t.Helper()
	program := psqlProgram(p.t)
	const sums = `SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
		(SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history), (SELECT count(*) FROM pgbench_history)`
	text, _, _ := strings.Cut(output(p.t, p.sidecar.at, "", program, "-XAtF ", "-c", sums), "\n")
	fields := strings.Fields(text)
	if len(fields) != 5 || fields[0] != fields[1] || fields[1] != fields[2] || fields[2] != fields[3] {
		p.t.Errorf("the sums of accounts, tellers, branches and history are %v, want four equal ones", fields)
	}
	if want := strconv.Itoa(len(modes) * clients * tpcbPerClient); len(fields) == 5 && fields[4] != want {
		p.t.Errorf("the history has %s rows, want %s", fields[4], want)
	}
}

// requireSameReads compares a sample of reads, cached before and not, with
// direct ones.
func (p pgbench) requireSameReads() {
	p.t.Helper()
	const sample = `SELECT format('SELECT abalance FROM pgbench_accounts WHERE aid = %s;', aid)
		FROM (SELECT generate_series(1, 200) UNION ALL SELECT 499 * generate_series(1, 200)) s (aid), generate_series(1, 2) \gexec
		SELECT * FROM pgbench_tellers ORDER BY tid;
		SELECT * FROM pgbench_branches;
		SELECT aid, tid, bid, delta, mtime FROM pgbench_history ORDER BY mtime, aid LIMIT 100;`
	program := psqlProgram(p.t)
	want := output(p.t, p.at(), sample, program, "-X")
	before := p.sidecar.stats()
	if got := output(p.t, p.sidecar.at, sample, program, "-X"); got != want {
		p.t.Errorf("the sample of reads differs:\n%s", difference(want, got))
	}
	if hits := p.sidecar.stats().since(before).hits(); hits < 300 {
		p.t.Errorf("%d hits in a sample that reads 400 accounts twice", hits)
	}
}
