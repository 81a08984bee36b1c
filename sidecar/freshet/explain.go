package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/run"
)

type explainCommand struct {
	upstreamFlag
	Config      configFile   `placeholder:"FILE" help:"YAML file as for serve; upstream and function are taken from it. Default: none."`
	Function    functionList `placeholder:"FUNCTION" help:"Functions of the database to take as declared, as for serve. Default: none."`
	SteadyRoles bool         `help:"Take roles as steady, as for serve."`
	Role        string       `placeholder:"ROLE" help:"The role that sends the statement: row security may apply to it. Default: the one that connects."`
	// Unsupported is for whoever wants to know what a new version of PostgreSQL changes.
	Unsupported bool     `help:"Try it on a version of PostgreSQL that was not tested too, where serve passes everything through. Without a statement: say how the server's query trees, and the verdicts on statements about catalogs, differ from those of a version that was tested; nothing need be installed."`
	Parameter   []string `placeholder:"VALUE" sep:"none" help:"Values of $1, $2 and so on, as text, for the tags. Repeatable. Default: none."`
	JSON        bool     `name:"json" help:"Print what is known as JSON, as POST /api/v1/explain does. Default: for people."`
	Statement   string   `arg:"" optional:"" help:"The statement, in one argument; parameters are written $1, $2 and so on."`
}

// Validate requires what is to be explained.
func (c *explainCommand) Validate() error {
	if c.Statement == "" && !c.Unsupported {
		return errors.New(`expected "<statement>", or --unsupported`)
	}
	return nil
}

const (
	// explainMax bounds what explain asks Postgres: what is watched, and what the statement
	// means. An error ends that at once: only a server that answers late takes long.
	explainMax = time.Minute
	// compareMax bounds a comparison, which asks a server hundreds of questions one after the
	// other, and the server may be far away.
	compareMax = 2 * time.Minute
)

// errLate is the cause of what explainMax has ended.
var errLate = fmt.Errorf("not told within %v: is Postgres at --upstream overloaded, or does somebody lock its catalogs?", explainMax)

// notCacheable ends explain with its own code, when all is said.
var notCacheable = codedError{errors.New(""), exitFailure}

// Run explains a statement. The exit code is 0 if it is cached, 1 if not, 2 on
// an error. Without one it is 0 if the server does not differ from a tested one.
func (c *explainCommand) Run(ctx context.Context, out *output) error {
	if c.Statement == "" {
		return c.compare(ctx, out.stdout)
	}
	verdict, state, err := c.explain(ctx)
	if err != nil {
		return codedError{err, exitUsage}
	}
	if c.JSON {
		return c.printJSON(out.stdout, verdict, state)
	}
	if c.Unsupported {
		first, last := analysis.TestedVersions()
		_, _ = fmt.Fprintf(out.stdout, "tested on: PostgreSQL %d to %d; on any other, serve passes everything through\n", first, last)
	}
	if !verdict.Cacheable {
		printRefusal(out.stdout, verdict)
		return notCacheable
	}
	for i := range verdict.Tags {
		verdict.Tags[i] = verdict.Tags[i].With(c.Parameter)
	}
	printVerdict(out.stdout, verdict, state)
	return nil
}

func (c *explainCommand) printJSON(to io.Writer, verdict *analysis.Verdict, state *invalidation.State) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(run.Explanation(verdict, state, c.Parameter))
	if err == nil && !verdict.Cacheable {
		return notCacheable
	}
	return err
}

func (c *explainCommand) explain(ctx context.Context) (*analysis.Verdict, *invalidation.State, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, explainMax, errLate)
	defer cancel()
	request, err := c.request(ctx)
	if err != nil {
		return nil, nil, err
	}
	state, err := c.readState(ctx)
	if err != nil {
		return nil, nil, err
	}
	connConfig, err := c.connConfig()
	if err != nil {
		return nil, nil, err
	}
	analyzer, err := analysis.New(analysis.Options{ConnConfig: connConfig, BeforeConnect: c.credentials(), Watch: func() analysis.Watch { return analysis.Watched(state) }, Functions: c.Function, SteadyRoles: c.SteadyRoles, AnyVersion: c.Unsupported})
	if err != nil {
		return nil, nil, err
	}
	defer analyzer.Close()
	verdict, err := analyzer.Analyze(ctx, request)
	if err != nil {
		if late := context.Cause(ctx); late != nil {
			err = late
		}
		return nil, nil, fmt.Errorf("analyse the statement: %w", err)
	}
	return verdict, state, nil
}

// request is the statement as a new session sends it.
func (c *explainCommand) request(ctx context.Context) (r analysis.Request, err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return r, err
	}
	defer closeConnection(conn)
	return analysis.NewRequest(ctx, conn, c.Statement, c.Role)
}

// readState learns what is watched, as serve would: from a follower's first
// look.
func (c *explainCommand) readState(ctx context.Context) (*invalidation.State, error) {
	connConfig, err := c.connConfig()
	if err != nil {
		return nil, err
	}
	knowledge := fence.New(fence.Options{Slots: 1})
	follower, err := invalidation.NewFollower(invalidation.FollowerOptions{ConnConfig: connConfig, BeforeConnect: c.credentials(), Fence: knowledge})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- follower.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for knowledge.LookBegan() == 0 {
		if problem := follower.Stats().LastError; problem != "" {
			return nil, fmt.Errorf("learn what is watched: %s", problem)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("learn what is watched: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
	return follower.State(), nil
}

func printRefusal(w io.Writer, v *analysis.Verdict) {
	reason := string(v.Reason)
	if v.Detail != "" {
		reason += " (" + v.Detail + ")"
	}
	_, _ = fmt.Fprintf(w, "cacheable: no\nreason:    %s\n", reason)
	if v.Said != "" {
		_, _ = fmt.Fprintf(w, "postgres:  %s\n", v.Said)
	}
	_, _ = fmt.Fprintf(w, "advice:    %s\n", v.Reason.Advice())
}

func printVerdict(w io.Writer, v *analysis.Verdict, state *invalidation.State) {
	_, _ = fmt.Fprintf(w, "cacheable: yes\ntables:    %s\n", orNone(strings.Join(v.Tables, ", ")))
	if len(v.Exempt) > 0 {
		_, _ = fmt.Fprintf(w, "security:  row security of %s hides nothing from this role; ask for others with --role\n", strings.Join(v.Exempt, ", "))
	}
	if len(v.Filtered) > 0 {
		_, _ = fmt.Fprintf(w, "security:  row security of %s filters rows for this role, which is in the key\n", strings.Join(v.Filtered, ", "))
	}
	if len(v.Settings) > 0 {
		_, _ = fmt.Fprintf(w, "settings:  the values of %s are in the key\n", strings.Join(v.Settings, ", "))
	}
	if len(v.Tags) == 0 {
		return
	}
	lines := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	heading := "tags:      "
	for _, t := range v.Tags {
		name, meaning := describeTag(t, state)
		_, _ = fmt.Fprintf(lines, "%s%s\t%s\n", heading, name, meaning)
		heading = "           "
	}
	heading = "watch:     "
	for _, wish := range v.Wishes {
		_, _ = fmt.Fprintf(lines, "%s%s(%s)\tnot watched yet: would give tags of its values, not of the table\n", heading, wish.Table, wish.Column)
		heading = "           "
	}
	_ = lines.Flush()
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// describeTag spells a tag with the table's name in place of its OID.
func describeTag(t analysis.TagTemplate, state *invalidation.State) (name, meaning string) {
	number := strconv.FormatUint(uint64(t.Root), 10)
	name = t.String()
	if table, ok := state.Table(t.Root); ok {
		name = table.Schema + "." + table.Name + strings.TrimPrefix(name, number)
	}
	if t.Column == "" {
		return name, "any change of the table"
	}
	return name, "changes of rows that have or had this value"
}
