package standard

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/target"
)

// hotSQL is the transaction of hotScript.
const hotSQL = `\set aid random(1, 1000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
`

// pgbench is pgbench with some flags.
func pgbench(name, about string, flags ...string) *benchmark {
	return &benchmark{
		name: name, about: about, keys: "uniform", protocols: target.Protocols, fill: fillPgbench,
		run: func(ctx context.Context, on *target.Ground, at target.Place, seconds int, o *Options) (outcome, error) {
			return runPgbench(ctx, on, at, seconds, o, flags)
		},
		checks: []string{
			"SELECT count(*), sum(abalance) FROM pgbench_accounts",
			"SELECT sum(bbalance) - (SELECT sum(tbalance) FROM pgbench_tellers) FROM pgbench_branches",
			"SELECT bid, bbalance FROM pgbench_branches ORDER BY bid",
			"SELECT aid, bid, abalance FROM pgbench_accounts WHERE aid BETWEEN 1 AND 50 ORDER BY aid",
			"SELECT abalance FROM pgbench_accounts WHERE aid = 7",
		},
	}
}

func fillPgbench(ctx context.Context, on *target.Ground, at target.Place, o *Options) error {
	program, err := on.Tool("pgbench")
	if err != nil {
		return err
	}
	_, err = execute(ctx, program, append(at.Flags(), "-i", "-q", "-s", strconv.Itoa(o.Scale))...)
	return err
}

// pgbenchTPS and pgbenchDone are lines of what pgbench prints.
var (
	pgbenchTPS  = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(`)
	pgbenchDone = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

// sampled is which share of transactions pgbench logs, each with its latency.
const sampled = 0.2

func runPgbench(ctx context.Context, on *target.Ground, at target.Place, seconds int, o *Options, flags []string) (found outcome, err error) {
	program, err := on.Tool("pgbench")
	if err != nil {
		return found, err
	}
	dir, err := os.MkdirTemp("", "pgbench")
	if err != nil {
		return found, fmt.Errorf("make a directory for pgbench: %w", err)
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, hotScript)
	if err := os.WriteFile(script, []byte(hotSQL), 0o600); err != nil {
		return found, fmt.Errorf("write a script for pgbench: %w", err)
	}
	arguments := append(at.Flags(), "-n", "-M", string(o.Protocol), "-c", strconv.Itoa(o.Clients), "-j", strconv.Itoa(min(o.Clients, 2)), "-T", strconv.Itoa(seconds),
		"--random-seed", strconv.FormatUint(o.Seed, 10), "-l", "--log-prefix", filepath.Join(dir, "log"), "--sampling-rate", strconv.FormatFloat(sampled, 'g', -1, 64))
	for _, flag := range flags {
		if flag == hotScript {
			flag = script
		}
		arguments = append(arguments, flag)
	}
	printed, err := execute(ctx, program, arguments...)
	if err != nil {
		return found, err
	}
	found.used = printed.used
	if found.perSecond, err = figure(pgbenchTPS, printed.text); err != nil {
		return found, err
	}
	done, err := figure(pgbenchDone, printed.text)
	if err != nil {
		return found, err
	}
	found.count = int64(done)
	found.latency, err = pgbenchLatency(filepath.Join(dir, "log*"))
	return found, err
}

// pgbenchLatency reads logs of pgbench: the third word of a line is a latency in microseconds.
func pgbenchLatency(pattern string) (report.Latency, error) {
	var all distribution
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return report.Latency{}, fmt.Errorf("find the logs of pgbench: %w", err)
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return report.Latency{}, fmt.Errorf("read a log of pgbench: %w", err)
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if fields := strings.Fields(lines.Text()); len(fields) > 2 {
				if us, err := strconv.ParseFloat(fields[2], 64); err == nil {
					all.add(us, 1)
				}
			}
		}
		if err := file.Close(); err != nil || lines.Err() != nil {
			return report.Latency{}, fmt.Errorf("read a log of pgbench: %w", lines.Err())
		}
	}
	return all.latency(), nil
}
