package invalidation

import (
	"crypto/md5"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet/freshet/cache/fence"
)

// rowsPerStatementMax is the largest number of changed rows whose values become
// tags; a statement that changed more moves the wholesale tag instead.
const rowsPerStatementMax = 256

// blocksMax is how many statements of a transaction are kept from failing through
// us by a block of their own. Postgres has room for 64 such blocks of a transaction,
// its own savepoints included, before they slow others down.
const blocksMax = 32

// valueBytesMax is the longest value that a tag spells; fence.ValueText replaces
// longer ones in the same way.
const valueBytesMax = 64

//go:embed schema/capture.sql
var captureTemplate string

// rowTemplate is the function for tables that a subscription writes to.
//
//go:embed schema/capture_row.sql
var rowTemplate string

//go:embed schema/attend.sql
var attendTemplate string

// recordTemplate writes the event, in both functions.
//
//go:embed schema/record.sql
var recordTemplate string

// failedTemplate handles what fails while the event is written.
//
//go:embed schema/failed.sql
var failedTemplate string

//go:embed schema/ring.sql
var ringTemplate string

// attendSQL begins both functions and ringSQL ends them.
var (
	attendSQL = doorbellSQL(attendTemplate)
	ringSQL   = doorbellSQL(ringTemplate)
)

// doorbellSQL fills in what the triggers know of the doorbell.
func doorbellSQL(template string) string {
	return strings.TrimSpace(strings.NewReplacer(
		"\n", "\n\t",
		"{{doorbell}}", strconv.FormatInt(doorbellLock, 10),
		"{{sleeper}}", strconv.FormatInt(sleeperLock, 10),
		"{{channel}}", doorbellChannel,
		"{{queue}}", queueUsageMax,
	).Replace(template))
}

// bodyQuote delimits function bodies in our SQL.
const bodyQuote = "$freshet$"

// capture is what is put on the tables of one watched tree: trigger functions and
// their triggers. A function's name holds what it was made for, so a trigger's
// function tells whether it is the right one.
type capture struct {
	root    uint32
	columns []string
	// applied says that a subscription writes to a table of the tree.
	applied bool
}

// captureTrigger is one of the triggers of a watched table.
type captureTrigger struct {
	name     string
	event    string
	typeBits int16  // pg_trigger.tgtype: AFTER, for each row or statement, the events
	enabled  string // pg_trigger.tgenabled
	oldTable string
	newTable string
}

var captureTriggers = [...]captureTrigger{
	{triggerPrefix + "insert", "INSERT", 1 << 2, "A", "", "freshet_new"},
	{triggerPrefix + "update", "UPDATE", 1 << 4, "A", "freshet_old", "freshet_new"},
	{triggerPrefix + "delete", "DELETE", 1 << 3, "A", "freshet_old", ""},
	{triggerPrefix + "truncate", "TRUNCATE", 1 << 5, "A", "", ""},
}

// rowTrigger fires where changes are applied, and nowhere else. Partitioned tables
// hold no rows and would hand it down to their partitions, which have their own.
var rowTrigger = captureTrigger{triggerPrefix + "row", "INSERT OR UPDATE OR DELETE", 1<<0 | 1<<2 | 1<<3 | 1<<4, "R", "", ""}

// triggers are those of a table of this kind (pg_class.relkind).
func (c capture) triggers(kind string) []captureTrigger {
	if c.applied && kind != "p" {
		return append(captureTriggers[:], rowTrigger)
	}
	return captureTriggers[:]
}

// captureFunction is the function of statement triggers, or of the row trigger.
type captureFunction struct {
	name   string
	sql    string // creates it
	source string // MD5 of its body, pg_proc.prosrc
}

// function makes the function that a trigger calls. Its name is unique for the
// root, the columns and this version of the code.
func (c capture) function(t captureTrigger) captureFunction {
	name, template := "capture", captureTemplate
	write := c.statementSQL
	older, newer := "freshet_old", "freshet_new"
	if t == rowTrigger {
		name, template = "capture_row", rowTemplate
		write = c.rowSQL
		older, newer = "(SELECT OLD.*)", "(SELECT NEW.*)"
	}
	wholesale := fence.TableText(c.root) + "," + fence.WholesaleText(c.root)
	template = fill(fill(template, "{{record}}", recordTemplate), "{{failed}}", failedTemplate)
	text := strings.NewReplacer(
		"{{insert}}", write(newer),
		"{{update}}", write(older, newer),
		"{{delete}}", write(older),
		"{{wholesale}}", "{"+wholesale+"}",
		"{{everything}}", "{"+wholesale+","+fence.SchemaText+"}",
		"{{blocks}}", strconv.Itoa(blocksMax),
		"{{counter}}", fmt.Sprintf("freshet.rows_%d", c.root),
		"{{rows}}", strconv.Itoa(rowsPerStatementMax),
		"{{attend}}", attendSQL,
		"{{ring}}", ringSQL,
	).Replace(template)
	sum := md5.Sum([]byte(text + "\x00" + strings.Join(c.columns, "\x00")))
	name = fmt.Sprintf("%s_%d_%s", name, c.root, hex.EncodeToString(sum[:8]))
	sql := strings.Replace(text, "{{function}}", "freshet."+identifier(name), 1)
	sql += "REVOKE ALL ON FUNCTION freshet." + identifier(name) + "() FROM PUBLIC;\n"
	return captureFunction{name, sql, md5Hex(strings.Split(sql, bodyQuote)[1])}
}

// fill puts text in the places of name, each a line, indented as they are.
func fill(template, name, text string) string {
	lines := strings.Split(template, "\n")
	for i, line := range lines {
		if indent, ok := strings.CutSuffix(line, name); ok {
			lines[i] = indent + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+indent)
		}
	}
	return strings.Join(lines, "\n")
}

// captureFunctions are the functions of a tree.
type captureFunctions struct {
	statement, row captureFunction
}

func (c capture) functions() captureFunctions {
	return captureFunctions{c.function(captureTriggers[0]), c.function(rowTrigger)}
}

// of is the function that a trigger calls.
func (f captureFunctions) of(t captureTrigger) captureFunction {
	if t == rowTrigger {
		return f.row
	}
	return f.statement
}

// functionsSQL creates the functions.
func (c capture) functionsSQL() string {
	functions := c.functions()
	if c.applied {
		return functions.statement.sql + functions.row.sql
	}
	return functions.statement.sql
}

// tagsSQL selects the tags of the rows in the tables. DISTINCT ON is always done by
// sorting: to set up a hash table takes longer than the few tags of most statements.
func (c capture) tagsSQL(tables []string) string {
	table := literal(fence.TableText(c.root))
	if len(c.columns) == 0 {
		return "SELECT " + table
	}
	return fmt.Sprintf(`SELECT DISTINCT ON (t.tag) t.tag FROM (
				SELECT %s COLLATE "C" AS tag
				UNION ALL
				SELECT v.prefix || CASE WHEN octet_length(v.value) > %d THEN 'md5:' || md5(v.value) ELSE v.value END
				FROM (%s) r
				CROSS JOIN LATERAL (VALUES %s) v(prefix, value)
				WHERE v.value IS NOT NULL
			) t`, table, valueBytesMax, c.unionSQL(tables), c.valuesSQL())
}

// rowSQL writes the tags of one changed row.
func (c capture) rowSQL(tables ...string) string {
	return fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT ARRAY(\n\t\t\t%s\n\t\t);", c.tagsSQL(tables))
}

// statementSQL writes the tags of the changed rows, which the transition tables
// hold. Their numbers are equal where there are two. The statement is static, so
// that its plan is kept, and reads no more rows than it needs. What it costs most
// statements is to set the plan up: so it asks whether there are rows, and whether
// there are too many, without counting them.
func (c capture) statementSQL(tables ...string) string {
	return fmt.Sprintf(`INSERT INTO freshet.outbox (tags)
		SELECT CASE WHEN EXISTS (SELECT FROM %[5]s OFFSET %[1]d) THEN ARRAY[%[2]s, %[3]s] ELSE ARRAY(
			%[4]s
		) END
		WHERE EXISTS (SELECT FROM %[5]s);`,
		rowsPerStatementMax, literal(fence.TableText(c.root)), literal(fence.WholesaleText(c.root)), c.tagsSQL(tables), tables[0])
}

// unionSQL selects the watched columns as text c0, c1, … from the tables. One
// collation for all, or they could not be compared with each other.
func (c capture) unionSQL(tables []string) string {
	arms := make([]string, len(tables))
	for i, table := range tables {
		items := make([]string, len(c.columns))
		for j, column := range c.columns {
			items[j] = fmt.Sprintf(`x.%s::text COLLATE "C" AS c%d`, identifier(column), j)
		}
		arms[i] = "SELECT " + strings.Join(items, ", ") + " FROM " + table + " x"
	}
	return strings.Join(arms, " UNION ALL ")
}

// valuesSQL pairs each column with the beginning of its tags.
func (c capture) valuesSQL() string {
	items := make([]string, len(c.columns))
	for j, column := range c.columns {
		items[j] = fmt.Sprintf("(%s, r.c%d)", literal(fence.ValueText(c.root, column, "")), j)
	}
	return strings.Join(items, ", ")
}

// triggersSQL puts the triggers on a table of a kind, replacing older ones.
func (c capture) triggersSQL(table relationName, kind string) string {
	var b strings.Builder
	b.WriteString(holdGrantsSQL(table))
	functions := c.functions()
	arguments := make([]string, len(c.columns))
	for i, column := range c.columns {
		arguments[i] = literal(column)
	}
	triggers := c.triggers(kind)
	enables := make([]string, len(triggers))
	for i, t := range triggers {
		referencing, each := "", "STATEMENT"
		if t.oldTable != "" {
			referencing += " OLD TABLE AS " + t.oldTable
		}
		if t.newTable != "" {
			referencing += " NEW TABLE AS " + t.newTable
		}
		if referencing != "" {
			referencing = "\n\tREFERENCING" + referencing
		}
		if t == rowTrigger {
			each = "ROW"
		}
		fmt.Fprintf(&b, "CREATE OR REPLACE TRIGGER %s AFTER %s ON %s%s\n\tFOR EACH %s EXECUTE FUNCTION freshet.%s(%s);\n",
			t.name, t.event, table.sql(), referencing, each, identifier(functions.of(t).name), strings.Join(arguments, ", "))
		enables[i] = map[string]string{"A": "ENABLE ALWAYS TRIGGER ", "R": "ENABLE REPLICA TRIGGER "}[t.enabled] + t.name
	}
	fmt.Fprintf(&b, "ALTER TABLE ONLY %s\n\t%s;\n", table.sql(), strings.Join(enables, ",\n\t"))
	return b.String()
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// relationName is a table's name with its schema.
type relationName struct{ Schema, Name string }

func (n relationName) sql() string    { return qualified(n.Schema, n.Name) }
func (n relationName) String() string { return n.Schema + "." + n.Name }
