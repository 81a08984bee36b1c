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

// valueBytesMax is the longest value that a tag spells; fence.ValueText replaces
// longer ones in the same way.
const valueBytesMax = 64

//go:embed schema/capture.sql
var captureTemplate string

// bodyQuote delimits function bodies in our SQL.
const bodyQuote = "$freshet$"

// capture is the trigger function of one watched tree, and its triggers. The
// function's name holds what it was made for, so a trigger's function tells
// whether it is the right one.
type capture struct {
	root    uint32
	columns []string
}

// captureTrigger is one of the four triggers of a watched table.
type captureTrigger struct {
	name     string
	event    string
	typeBits int16 // pg_trigger.tgtype: AFTER, FOR EACH STATEMENT, this event
	oldTable string
	newTable string
}

var captureTriggers = [...]captureTrigger{
	{triggerPrefix + "insert", "INSERT", 1 << 2, "", "freshet_new"},
	{triggerPrefix + "update", "UPDATE", 1 << 4, "freshet_old", "freshet_new"},
	{triggerPrefix + "delete", "DELETE", 1 << 3, "freshet_old", ""},
	{triggerPrefix + "truncate", "TRUNCATE", 1 << 5, "", ""},
}

// functionName is unique for the root, the columns and this version of the code.
func (c capture) functionName() string {
	sum := md5.Sum([]byte(captureTemplate + c.rowsSQL("freshet_old", "freshet_new") + "\x00" + strings.Join(c.columns, "\x00")))
	return fmt.Sprintf("capture_%d_%s", c.root, hex.EncodeToString(sum[:8]))
}

// functionSQL creates the function.
func (c capture) functionSQL() string {
	wholesale := fmt.Sprintf("{%s,%s}", fence.TableText(c.root), fence.WholesaleText(c.root))
	create := strings.NewReplacer(
		"{{function}}", "freshet."+identifier(c.functionName()),
		"{{insert}}", c.rowsSQL("freshet_new"),
		"{{update}}", c.rowsSQL("freshet_old", "freshet_new"),
		"{{delete}}", c.rowsSQL("freshet_old"),
		"{{wholesale}}", wholesale,
		"{{doorbell}}", strconv.FormatInt(doorbellLock, 10),
	).Replace(captureTemplate)
	return strings.TrimSuffix(create, "\n") + "\nREVOKE ALL ON FUNCTION freshet." + identifier(c.functionName()) + "() FROM PUBLIC;\n"
}

// sourceMD5 is the MD5 of the function's body as pg_proc.prosrc holds it.
func (c capture) sourceMD5() string {
	return md5Hex(strings.Split(c.functionSQL(), bodyQuote)[1])
}

// rowsSQL writes the tags of the changed rows, which the transition tables hold.
// Their numbers are equal where there are two. The statement is static, so that
// its plan is kept, and reads no more rows than it needs.
func (c capture) rowsSQL(tables ...string) string {
	table := literal(fence.TableText(c.root))
	tags := "SELECT " + table
	if len(c.columns) > 0 {
		tags = fmt.Sprintf(`SELECT DISTINCT t.tag COLLATE "C" FROM (
				SELECT %s AS tag
				UNION ALL
				SELECT v.prefix || CASE WHEN octet_length(v.value) > %d THEN 'md5:' || md5(v.value) ELSE v.value END
				FROM (%s) r
				CROSS JOIN LATERAL (VALUES %s) v(prefix, value)
				WHERE v.value IS NOT NULL
			) t`, table, valueBytesMax, c.unionSQL(tables), c.valuesSQL())
	}
	return fmt.Sprintf(`INSERT INTO freshet.outbox (tags)
		SELECT CASE WHEN c.n > %[1]d THEN ARRAY[%[2]s, %[3]s] ELSE ARRAY(
			%[4]s
		) END
		FROM (SELECT count(*) AS n FROM (SELECT FROM %[5]s LIMIT %[6]d) l) c
		WHERE c.n > 0;`,
		rowsPerStatementMax, table, literal(fence.WholesaleText(c.root)), tags, tables[0], rowsPerStatementMax+1)
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

// triggersSQL puts the four triggers on a table, replacing older ones.
func (c capture) triggersSQL(table relationName) string {
	var b strings.Builder
	arguments := make([]string, len(c.columns))
	for i, column := range c.columns {
		arguments[i] = literal(column)
	}
	enables := make([]string, len(captureTriggers))
	for i, t := range captureTriggers {
		referencing := ""
		if t.oldTable != "" {
			referencing += " OLD TABLE AS " + t.oldTable
		}
		if t.newTable != "" {
			referencing += " NEW TABLE AS " + t.newTable
		}
		if referencing != "" {
			referencing = "\n\tREFERENCING" + referencing
		}
		fmt.Fprintf(&b, "CREATE OR REPLACE TRIGGER %s AFTER %s ON %s%s\n\tFOR EACH STATEMENT EXECUTE FUNCTION freshet.%s(%s);\n",
			t.name, t.event, table.sql(), referencing, identifier(c.functionName()), strings.Join(arguments, ", "))
		enables[i] = "ENABLE ALWAYS TRIGGER " + t.name
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
