package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// knownStatements are those of a client that has prepared one without a name, and named
// ones: s, which Postgres has accepted, begin, which is a BEGIN, and late, which nobody has
// answered yet.
func knownStatements(t *testing.T) (known *statements.Set, now *statements.Meaning) {
	t.Helper()
	known, now = &statements.Set{}, &statements.Meaning{Generation: 1}
	for name, sql := range map[string]string{"": "SELECT 1", "s": "SELECT 2", "begin": "BEGIN", "late": "SELECT 3"} {
		text, ok := known.Intern([]byte(sql + "\x00\x00\x00"))
		if !ok {
			t.Fatal("a statement is not understood")
		}
		p := &statements.Prepared{Statement: text, Parse: msgParse(name, sql)}
		p.Accepted.Store(name != "late")
		p.Meaning.Store(now)
		known.Assign(name, p)
	}
	return known, now
}

// A simple Query is a plan with one want, whatever was planned before it.
func TestQueryIsAPlanWithOneWant(t *testing.T) {
	t.Parallel()
	var p plan
	for _, test := range []struct {
		text       string
		wellFormed bool
		midGroup   bool
		want       string
	}{
		{"SELECT 1", true, false, ""},
		{"SELECT 2", false, false, reasons.Malformed},
		{"SELECT 3", true, true, reasons.OpenGroup},
		{"SELECT 4", true, false, ""},
	} {
		p.readQuery([]byte(test.text), test.wellFormed, test.midGroup)
		if p.reason != test.want || !p.simple || p.executions != 1 || p.runsNothing() {
			t.Errorf("%s: the plan is refused for %q, want %q; it is %+v", test.text, p.reason, test.want, p)
		}
		if len(p.wants) != 1 || len(p.requests) != 0 || string(p.wants[0].bound) != test.text || p.wants[0].prepared.Statement.SQL != test.text {
			t.Errorf("%s: the plan wants %+v", test.text, p.wants)
		}
		p.wants[0].prepared.Statement.Refuse(digest.Digest{}, 0, reasons.Malformed) // is not to be the next one's
		p.requests = append(p.requests, request{})
		if test.text != "SELECT 4" {
			continue
		}
		if p.readQuery(nil, true, false); p.query.Statement.Refused(digest.Digest{}, 0) != "" {
			t.Error("a Query is refused for another one's reason")
		}
	}
}

// What a group asks for, and why it is passed through where nobody keeps that.
func TestGroupIsPlanned(t *testing.T) {
	t.Parallel()
	execute := msgExecute("", 0)
	held, open := blockStanding{held: true}, blockStanding{inTransaction: true}
	portal := func(name string) []byte { return binding{portal: name, statement: "s"}.message() }
	for name, c := range map[string]struct {
		group      []byte
		in         blockStanding
		reason     string
		forms      []answer.Form // of its wants
		executions int
	}{
		"nothing":                        {group: msgSync},
		"a Parse":                        {group: join(msgParse("", "SELECT 9"), msgSync)},
		"a named Parse":                  {group: join(msgParse("n", "SELECT 9"), msgSync), reason: reasons.UnknownStatement},
		"what was parsed before":         {group: join(msgBind(""), execute, msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"what it parses itself":          {group: join(msgParse("", "SELECT 9"), msgBind(""), execute, msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"a named statement":              {group: join(msgBind("s"), execute, msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"one that Postgres is to accept": {group: join(msgBind("late"), execute, msgSync), reason: reasons.UnknownStatement, forms: []answer.Form{answer.Rows}, executions: 1},
		"one that nobody knows":          {group: join(msgBind("nobody"), execute, msgSync), reason: reasons.UnknownStatement, forms: []answer.Form{answer.Rows}, executions: 1},
		"described rows":                 {group: join(msgBind("s"), msgDescribe('P', ""), execute, msgSync), forms: []answer.Form{answer.Described}, executions: 1},
		"described twice":                {group: join(msgBind("s"), msgDescribe('P', ""), msgDescribe('P', ""), execute, msgSync), reason: reasons.NamedPortal, forms: []answer.Form{answer.Described}, executions: 1},
		"a few rows":                     {group: join(msgBind("s"), msgExecute("", 5), msgSync), forms: []answer.Form{answer.RowsLimited}, executions: 1},
		"a few rows, described":          {group: join(msgBind("s"), msgDescribe('P', ""), msgExecute("", 5), msgSync), forms: []answer.Form{answer.DescribedLimited}, executions: 1},
		"a few rows in a transaction":    {group: join(msgBind("s"), msgExecute("", 5), msgSync), in: open, reason: reasons.RowLimit, forms: []answer.Form{answer.Rows}, executions: 1},
		"a few rows in a block held":     {group: join(msgBind("s"), msgExecute("", 5), msgSync), in: held, forms: []answer.Form{answer.RowsLimited}, executions: 1},
		"all rows in a transaction":      {group: join(msgBind("s"), execute, msgSync), in: open, forms: []answer.Form{answer.Rows}, executions: 1},
		"a description":                  {group: join(msgDescribe('S', "s"), msgSync), forms: []answer.Form{answer.Description}},
		"a description, and its rows":    {group: join(msgDescribe('S', "s"), msgBind("s"), execute, msgSync), forms: []answer.Form{answer.Description, answer.Rows}, executions: 1},
		"two":                            {group: join(msgBind("s"), execute, msgBind(""), execute, msgSync), forms: []answer.Form{answer.Rows, answer.Rows}, executions: 2},
		"one executed twice":             {group: join(msgBind("s"), execute, execute, msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}, executions: 2},
		"one bound twice":                {group: join(msgBind("s"), msgBind("s"), execute, msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows, answer.Rows}, executions: 1},
		"one that is not executed":       {group: join(msgBind("s"), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}},
		"one that is closed again":       {group: join(msgBind("s"), execute, msgClose('P', ""), msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"one that is closed unexecuted":  {group: join(msgBind("s"), msgClose('P', ""), msgBind(""), execute, msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows, answer.Rows}, executions: 1},
		"a named portal":                 {group: join(portal("p"), msgExecute("p", 0), msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"one described, closed, another": {group: join(portal("p"), msgDescribe('P', "p"), msgExecute("p", 5), msgClose('P', "p"), portal("p"), msgExecute("p", 0), msgSync), forms: []answer.Form{answer.DescribedLimited, answer.Rows}, executions: 2},
		"one in a transaction":           {group: join(portal("p"), msgExecute("p", 0), msgSync), in: open, reason: reasons.NamedPortal, forms: []answer.Form{answer.Rows}, executions: 1},
		"one bound anew":                 {group: join(portal("p"), msgExecute("p", 0), portal("p"), msgExecute("p", 0), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows, answer.Rows}, executions: 2},
		"one closed unexecuted":          {group: join(portal("p"), msgClose('P', "p"), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}},
		"one of before":                  {group: join(msgExecute("p", 0), msgSync), reason: reasons.NamedPortal, executions: 1},
		"one of before, described":       {group: join(portal("p"), msgDescribe('P', "q"), msgExecute("p", 0), msgSync), reason: reasons.NamedPortal, forms: []answer.Form{answer.Rows}, executions: 1},
		"another than was bound":         {group: join(portal("p"), msgExecute("", 0), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}, executions: 1},
		"one is closed":                  {group: join(msgClose('P', "p"), msgSync)},
		"a statement is closed":          {group: join(msgClose('S', "s"), msgSync), reason: reasons.NamedPortal},
		"a Flush":                        {group: join(msgBind("s"), execute, msgFlush), forms: []answer.Form{answer.Rows}, executions: 1},
		"a Flush, and more":              {group: join(msgBind("s"), msgFlush, execute), reason: reasons.OpenGroup, forms: []answer.Form{answer.Rows}, executions: 1},
		"a Flush behind BEGIN":           {group: join(msgBind("begin"), execute, msgFlush), reason: reasons.OpenGroup, forms: []answer.Form{answer.Rows}, executions: 1},
		"a Flush before the Execute":     {group: join(msgBind("s"), msgFlush), forms: []answer.Form{answer.Rows}},
		"the same in a block held":       {group: join(msgBind("s"), msgFlush), in: held, reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}},
		"a few rows and a Flush":         {group: join(msgBind("s"), msgExecute("", 5), msgFlush), forms: []answer.Form{answer.Rows}, executions: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known, now := knownStatements(t)
			var p plan
			p.readGroup(c.group, known, now, c.in)
			if p.reason != c.reason || p.executions != c.executions || len(p.wants) != len(c.forms) {
				t.Fatalf("the plan is refused for %q, executes %d and wants %+v", p.reason, p.executions, p.wants)
			}
			for i, form := range c.forms {
				if got := p.wants[i].form(); got != form {
					t.Errorf("want %d is of form %v, want %v", i, got, form)
				}
			}
		})
	}
}

// A text that is parsed again is the statement that Postgres has, as long as it would mean
// the same.
func TestParsedAgainIsTheSameStatement(t *testing.T) {
	t.Parallel()
	known, now := knownStatements(t)
	before := known.Unnamed()
	for name, c := range map[string]struct {
		sql  string
		now  *statements.Meaning
		same bool
	}{
		"the same text":           {"SELECT 1", now, true},
		"another text":            {"SELECT 9", now, false},
		"under another schema":    {"SELECT 1", &statements.Meaning{Generation: 2}, false},
		"its meaning is not told": {"SELECT 1", nil, false},
	} {
		var p plan
		p.readGroup(join(msgParse("", c.sql), msgBind(""), msgExecute("", 0), msgSync), known, c.now, blockStanding{})
		if same := p.unnamed == before; same != c.same || p.wants[0].prepared != p.unnamed || !p.parsed || !p.wants[0].parsed {
			t.Errorf("%s: it is the statement of before: %v; the plan is %+v", name, same, p)
		}
	}
	before.Failed.Store(true)
	var p plan
	if p.readGroup(join(msgBind(""), msgExecute("", 0), msgSync), known, now, blockStanding{}); p.reason != reasons.UnknownStatement {
		t.Errorf("a statement that Postgres has refused is planned: %q", p.reason)
	}
}

// Which statements of a group are control, named, or kept under settings.
func TestPlanKnowsWhatItsStatementsAre(t *testing.T) {
	t.Parallel()
	dated := "SELECT id FROM item WHERE d = '01/02/2024'"
	for name, c := range map[string]struct {
		group                          []byte
		controls, named, keepsSettings bool
	}{
		"a read":            {group: join(msgBind(""), msgExecute("", 0), msgSync)},
		"a named read":      {group: join(msgBind("s"), msgExecute("", 0), msgSync), named: true},
		"a BEGIN":           {group: join(msgBind("begin"), msgExecute("", 0), msgSync), controls: true, named: true},
		"a BEGIN among two": {group: join(msgBind("begin"), msgExecute("", 0), msgBind(""), msgExecute("", 0), msgSync), controls: true, named: true},
		"a date":            {group: join(msgParse("", dated), msgSync), keepsSettings: true},
		"a date by name":    {group: join(msgParse("n", dated), msgSync), keepsSettings: true},
		"a number":          {group: join(msgParse("", "SELECT id FROM item WHERE id = 7"), msgSync)},
	} {
		known, now := knownStatements(t)
		var p plan
		if p.readGroup(c.group, known, now, blockStanding{}); p.controls != c.controls || p.named != c.named || p.keepsSettings != c.keepsSettings {
			t.Errorf("%s: controls %v, named %v, keeps settings %v", name, p.controls, p.named, p.keepsSettings)
		}
	}
}
