package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// knownStatements are the statements of a client: the unnamed one, s and begin, a BEGIN, which
// Postgres has accepted, and late, whose Parse is unanswered. now is the meaning that all were
// parsed under.
func knownStatements(t *testing.T) (known *statements.Set, now *statements.Meaning) {
	t.Helper()
	known, now = &statements.Set{}, &statements.Meaning{Generation: 1}
	for name, sql := range map[string]string{"": "SELECT 1", "s": "SELECT 2", "begin": "BEGIN", "late": "SELECT 3"} {
		text, ok := known.Intern([]byte(sql + "\x00\x00\x00"))
		if !ok {
			t.Fatalf("the Parse of %s is not understood", sql)
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
			t.Errorf("%s: the plan wants %+v, with %d requests, want that text alone, and no request", test.text, p.wants, len(p.requests))
		}
		p.wants[0].prepared.Statement.Refuse(digest.Digest{}, 0, reasons.Malformed) // must not refuse the next Query
		p.requests = append(p.requests, request{})
		if test.text != "SELECT 4" {
			continue
		}
		if p.readQuery(nil, true, false); p.query.Statement.Refused(digest.Digest{}, 0) != "" {
			t.Error("a Query is refused for the reason of the one before it, want it not refused")
		}
	}
}

// The plan of a group has a want for each answer that the group asks for, and the reason to pass the
// group through if such an answer is not kept.
func TestPlanOfAGroupHasItsWantsAndItsReason(t *testing.T) {
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
		"nothing":                         {group: msgSync},
		"a Parse":                         {group: join(msgParse("", "SELECT 9"), msgSync)},
		"a named Parse":                   {group: join(msgParse("n", "SELECT 9"), msgSync), reason: reasons.UnknownStatement},
		"a statement parsed before":       {group: join(msgBind(""), execute, msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"a statement parsed in the group": {group: join(msgParse("", "SELECT 9"), msgBind(""), execute, msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"a named statement":               {group: join(msgBind("s"), execute, msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"a statement that Postgres has not accepted yet":       {group: join(msgBind("late"), execute, msgSync), reason: reasons.UnknownStatement, forms: []answer.Form{answer.Rows}, executions: 1},
		"a statement that is not known":                        {group: join(msgBind("nobody"), execute, msgSync), reason: reasons.UnknownStatement, forms: []answer.Form{answer.Rows}, executions: 1},
		"described rows":                                       {group: join(msgBind("s"), msgDescribe('P', ""), execute, msgSync), forms: []answer.Form{answer.Described}, executions: 1},
		"described twice":                                      {group: join(msgBind("s"), msgDescribe('P', ""), msgDescribe('P', ""), execute, msgSync), reason: reasons.NamedPortal, forms: []answer.Form{answer.Described}, executions: 1},
		"a few rows":                                           {group: join(msgBind("s"), msgExecute("", 5), msgSync), forms: []answer.Form{answer.RowsLimited}, executions: 1},
		"a few rows, described":                                {group: join(msgBind("s"), msgDescribe('P', ""), msgExecute("", 5), msgSync), forms: []answer.Form{answer.DescribedLimited}, executions: 1},
		"a few rows in a transaction":                          {group: join(msgBind("s"), msgExecute("", 5), msgSync), in: open, reason: reasons.RowLimit, forms: []answer.Form{answer.Rows}, executions: 1},
		"a few rows in a held block":                           {group: join(msgBind("s"), msgExecute("", 5), msgSync), in: held, forms: []answer.Form{answer.RowsLimited}, executions: 1},
		"all rows in a transaction":                            {group: join(msgBind("s"), execute, msgSync), in: open, forms: []answer.Form{answer.Rows}, executions: 1},
		"a description":                                        {group: join(msgDescribe('S', "s"), msgSync), forms: []answer.Form{answer.Description}},
		"a description and rows of a statement":                {group: join(msgDescribe('S', "s"), msgBind("s"), execute, msgSync), forms: []answer.Form{answer.Description, answer.Rows}, executions: 1},
		"two executions":                                       {group: join(msgBind("s"), execute, msgBind(""), execute, msgSync), forms: []answer.Form{answer.Rows, answer.Rows}, executions: 2},
		"a portal executed twice":                              {group: join(msgBind("s"), execute, execute, msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}, executions: 2},
		"a portal bound twice":                                 {group: join(msgBind("s"), msgBind("s"), execute, msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows, answer.Rows}, executions: 1},
		"a portal not executed":                                {group: join(msgBind("s"), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}},
		"a portal closed behind its Execute":                   {group: join(msgBind("s"), execute, msgClose('P', ""), msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"a portal closed unexecuted, and another":              {group: join(msgBind("s"), msgClose('P', ""), msgBind(""), execute, msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows, answer.Rows}, executions: 1},
		"a named portal":                                       {group: join(portal("p"), msgExecute("p", 0), msgSync), forms: []answer.Form{answer.Rows}, executions: 1},
		"a named portal described and closed, then bound anew": {group: join(portal("p"), msgDescribe('P', "p"), msgExecute("p", 5), msgClose('P', "p"), portal("p"), msgExecute("p", 0), msgSync), forms: []answer.Form{answer.DescribedLimited, answer.Rows}, executions: 2},
		"a named portal in a transaction":                      {group: join(portal("p"), msgExecute("p", 0), msgSync), in: open, reason: reasons.NamedPortal, forms: []answer.Form{answer.Rows}, executions: 1},
		"a named portal bound anew":                            {group: join(portal("p"), msgExecute("p", 0), portal("p"), msgExecute("p", 0), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows, answer.Rows}, executions: 2},
		"a named portal closed unexecuted":                     {group: join(portal("p"), msgClose('P', "p"), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}},
		"a named portal of an earlier group":                   {group: join(msgExecute("p", 0), msgSync), reason: reasons.NamedPortal, executions: 1},
		"a named portal of an earlier group described":         {group: join(portal("p"), msgDescribe('P', "q"), msgExecute("p", 0), msgSync), reason: reasons.NamedPortal, forms: []answer.Form{answer.Rows}, executions: 1},
		"another portal executed than was bound":               {group: join(portal("p"), msgExecute("", 0), msgSync), reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}, executions: 1},
		"a named portal closed, and nothing else":              {group: join(msgClose('P', "p"), msgSync)},
		"a statement closed":                                   {group: join(msgClose('S', "s"), msgSync), reason: reasons.NamedPortal},
		"a Flush":                                              {group: join(msgBind("s"), execute, msgFlush), forms: []answer.Form{answer.Rows}, executions: 1},
		"a Flush, and more":                                    {group: join(msgBind("s"), msgFlush, execute), reason: reasons.OpenGroup, forms: []answer.Form{answer.Rows}, executions: 1},
		"a Flush behind BEGIN":                                 {group: join(msgBind("begin"), execute, msgFlush), reason: reasons.OpenGroup, forms: []answer.Form{answer.Rows}, executions: 1},
		"a Flush before the Execute":                           {group: join(msgBind("s"), msgFlush), forms: []answer.Form{answer.Rows}},
		"a Flush before the Execute in a held block":           {group: join(msgBind("s"), msgFlush), in: held, reason: reasons.PortalReused, forms: []answer.Form{answer.Rows}},
		"a few rows and a Flush":                               {group: join(msgBind("s"), msgExecute("", 5), msgFlush), forms: []answer.Form{answer.Rows}, executions: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known, now := knownStatements(t)
			var p plan
			p.readGroup(c.group, known, now, c.in)
			if p.reason != c.reason || p.executions != c.executions || len(p.wants) != len(c.forms) {
				t.Fatalf("the plan is refused for %q, executes %d and wants %+v, want %q, %d and wants of the forms %v", p.reason, p.executions, p.wants, c.reason, c.executions, c.forms)
			}
			for i, form := range c.forms {
				if got := p.wants[i].form(); got != form {
					t.Errorf("want %d is of form %v, want %v", i, got, form)
				}
			}
		})
	}
}

// If a group parses the text of the unnamed statement again, and the text means the same as before,
// the plan keeps the statement that Postgres has.
func TestTextParsedAgainIsTheSameStatement(t *testing.T) {
	t.Parallel()
	known, now := knownStatements(t)
	before := known.Unnamed()
	for name, c := range map[string]struct {
		sql  string
		now  *statements.Meaning
		same bool
	}{
		"the same text":              {"SELECT 1", now, true},
		"another text":               {"SELECT 9", now, false},
		"under another schema":       {"SELECT 1", &statements.Meaning{Generation: 2}, false},
		"its meaning is not certain": {"SELECT 1", nil, false},
	} {
		var p plan
		p.readGroup(join(msgParse("", c.sql), msgBind(""), msgExecute("", 0), msgSync), known, c.now, blockStanding{})
		if same := p.unnamed == before; same != c.same || p.wants[0].prepared != p.unnamed || !p.parsed || !p.wants[0].parsed {
			t.Errorf("%s: it is the statement of before: %v, want %v; the plan is %+v", name, same, c.same, p)
		}
	}
	before.Failed.Store(true)
	var p plan
	if p.readGroup(join(msgBind(""), msgExecute("", 0), msgSync), known, now, blockStanding{}); p.reason != reasons.UnknownStatement {
		t.Errorf("the plan of a statement that Postgres has refused has the reason %q, want %q", p.reason, reasons.UnknownStatement)
	}
}

// A plan tells whether its group has a control statement, uses one with a name, or parses one that
// goes on to depend on the settings of now.
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
			t.Errorf("%s: controls %v, named %v, keeps settings %v, want %v, %v, %v", name, p.controls, p.named, p.keepsSettings, c.controls, c.named, c.keepsSettings)
		}
	}
}
