package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/sidecar/doctor"
	"github.com/freshet/freshet/sidecar/run"
)

// doctorCommand takes what serve takes: it examines what that would need.
type doctorCommand struct {
	config
	AllTables bool       `help:"Name every table that is not watched, or has no primary key. Default: a few."`
	JSON      bool       `name:"json" help:"Print the findings as JSON. Default: a line each."`
	Config    configFile `placeholder:"FILE" help:"YAML file as for serve. Default: none."`
}

// doctorExits are the exit codes by the worst finding.
var doctorExits = map[doctor.Level]int{doctor.OK: exitOK, doctor.Warn: 1, doctor.Fail: 2}

// Run examines. The exit code is 0 if all is well, 1 if there are warnings, 2 if there
// are failures.
func (c *doctorCommand) Run(ctx context.Context, out *output, misspelled environmentProblem) error {
	redis.SilenceClient() // its error is a finding
	options, err := c.examined()
	if err != nil {
		return err
	}
	options.Settings = c.problems(misspelled.error)
	findings := doctor.Examine(ctx, options)
	others, err := c.examineOthers(ctx, options)
	if err != nil {
		return err
	}
	findings = append(findings, others...)
	if c.JSON {
		err = printFindingsJSON(out.stdout, findings)
	} else {
		err = printFindings(out.stdout, findings)
	}
	if err != nil {
		return err
	}
	if code := doctorExits[doctor.Worst(findings)]; code != exitOK {
		return codedError{errors.New(""), code}
	}
	return nil
}

// examined says what to examine.
func (c *doctorCommand) examined() (doctor.Options, error) {
	upstream, err := c.plainDatabase()
	if err != nil {
		return doctor.Options{}, err
	}
	var primary run.Database
	if c.Primary != "" {
		if primary, err = c.database("--primary", c.Primary); err != nil {
			return doctor.Options{}, err
		}
	}
	var follow run.Database
	if c.Follow != "" {
		if follow, err = c.database("--follow", c.Follow); err != nil {
			return doctor.Options{}, err
		}
	}
	allowed, _ := c.AllowUids.numbers() // what is wrong with them is among the problems
	return doctor.Options{
		AllowedUIDs: allowed, Follow: follow.Config, BeforeFollow: follow.BeforeConnect,
		Upstream: upstream.Config, BeforeUpstream: upstream.BeforeConnect,
		Primary: primary.Config, BeforePrimary: primary.BeforeConnect,
		RedisURL: c.Redis, SocketDir: c.SocketDir, Port: c.Port,
		MaxClients: c.MaxClients, MaxUpstream: c.MaxUpstream, MemoryBytes: int64(c.Memory), Staleness: c.Staleness, Retention: max(c.TTL, time.Hour), AllTables: c.AllTables,
		Verifies: c.Verify > 0 && c.VerifyRate > 0,
	}, nil
}

// examineOthers examines the further databases, as the first one was.
func (c *doctorCommand) examineOthers(ctx context.Context, first doctor.Options) (findings []doctor.Finding, err error) {
	databases, err := c.namedDatabases()
	if err != nil {
		return nil, err
	}
	for _, d := range databases {
		of := first
		of.Upstream, of.BeforeUpstream = d.Upstream.Config, d.Upstream.BeforeConnect
		of.Primary, of.BeforePrimary = d.Primary.Config, d.Primary.BeforeConnect
		of.Follow, of.BeforeFollow = d.Follow.Config, d.Follow.BeforeConnect
		of.DatabaseOnly = true
		for _, f := range doctor.Examine(ctx, of) {
			f.Database = d.Name
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// problems are what is wrong with the configuration and the environment, each in a
// line. Without a directory for the socket there is none to examine.
func (c *doctorCommand) problems(misspelled error) []string {
	checked := c.config
	if checked.SocketDir == "" {
		checked.SocketDir = os.TempDir()
	}
	err := errors.Join(misspelled, checked.check())
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func printFindings(to io.Writer, findings []doctor.Finding) error {
	lines := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	counts := map[doctor.Level]int{}
	for _, f := range findings {
		counts[f.Level]++
		text := oneLine(f.Text)
		if f.Database != "" {
			text = "database " + f.Database + ": " + text
		}
		line := fmt.Sprintf("%s\t%s\t%s", f.Level, f.Check, text)
		if f.Remedy != "" {
			line += "\n\t\t-> " + f.Remedy
		}
		_, _ = fmt.Fprintln(lines, line)
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "%s, %s\n", english.Plural(counts[doctor.Fail], "error", ""), english.Plural(counts[doctor.Warn], "warning", ""))
	return err
}

func printFindingsJSON(to io.Writer, findings []doctor.Finding) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(findings)
}
