package analysis

import (
	"slices"
	"strconv"
	"strings"
)

// Effect is all that the execution of a statement changes, besides what is taken
// back with its transaction anyway: rows of tables, and places of sequences. No code
// of users runs for it, so no setting of the session, no definition and no other
// table is changed.
//
// What runs behind a statement stands in two places. The server's own tree shows what
// the statement says, defaults, views and rules included; the catalogs tell what the
// server does of itself for each table that is written: triggers, checks, generated
// columns, indexes, partitions, domains, and what foreign keys do to other tables.
// Every expression of both is read node by node, and whatever is not known has no
// Effect. (TestPlantedCodeHasNoEffectKnown)
type Effect struct {
	// Roots are the OIDs of the watched tables whose rows may be changed, by cascades
	// and in other partitions too. Sorted.
	Roots []uint32
	// Rows, unless nil, tells more of one of them.
	Rows *Rows
}

// Values of the server's CmdType. What 5 is depends on the version: MERGE has no
// utility statement.
const (
	commandUpdate = 2
	commandInsert = 3
	commandDelete = 4
	commandMerge  = 5

	onConflictUpdate = 2
)

// writeNodes are the nodes that occur in statements that write, and in expressions of
// the catalogs, beside knownNodes.
var writeNodes = map[string]mention{
	"ONCONFLICTEXPR": {}, "INFERENCEELEM": {operators: []string{"inferopclass"}},
	"MERGEACTION": {}, "MERGESUPPORTFUNC": {}, "RETURNINGEXPR": {}, "WITHCHECKOPTION": {},
	"NEXTVALUEEXPR": {types: []string{"typeId"}}, "SETTODEFAULT": {types: []string{"typeId"}},
	"FIELDSTORE": {types: []string{"resulttype"}}, "COERCETODOMAINVALUE": {types: []string{"typeId"}},
}

// effectTextMax is the longest text of which the effect is sought, in bytes. Longer ones
// load many rows at once, and seldom come again.
const effectTextMax = 8 << 10

// MayHaveEffect tells cheaply whether a statement is worth an analysis for its effect.
func MayHaveEffect(sql string) bool {
	if len(sql) > effectTextMax {
		return false
	}
	switch FirstKeyword(sql) {
	case "INSERT", "UPDATE", "DELETE", "MERGE", "SELECT", "WITH", "VALUES", "TABLE":
		return true
	case "COPY":
		_, ok := copiedInto(sql)
		return ok
	}
	return false
}

// effectSQL is what the server is given for a statement: it prepares no COPY. What
// copies into a table evaluates defaults of its columns, and so does this.
func effectSQL(sql string) string {
	if table, ok := copiedInto(sql); ok {
		return "INSERT INTO " + table + " DEFAULT VALUES"
	}
	return sql
}

// evaluated gathers what expressions mention.
type evaluated struct {
	needs
	// changed are the tables that statements write to, with how.
	changed map[uint32]changes
}

// changes is how a table is written to.
type changes uint8

const (
	inserts changes = 1 << iota
	updates
	deletes
)

// evaluates takes in a tree, or a list of them, and refuses what it does not know.
func (e *evaluated) evaluates(tree any) (err error) {
	defer catch(&err)
	walk(tree, func(n *node) bool {
		m, ok := knownNodes[n.tag]
		if !ok {
			if m, ok = writeNodes[n.tag]; !ok {
				panic(refuse(ReasonUnknownNode, n.tag))
			}
		}
		e.mentions(n, m)
		switch n.tag {
		case "QUERY":
			e.query(n)
		case "RANGETBLENTRY":
			e.entry(n)
		case "ROWCOMPAREEXPR":
			for _, oid := range slices.Concat(n.oids("opnos"), n.oids("opfamilies")) {
				checkOperator(oid)
			}
		case "TABLESAMPLECLAUSE":
			checkOperator(n.oid("tsmhandler"))
		}
		return true
	})
	return nil
}

// mentions takes in the objects that a node names.
func (e *evaluated) mentions(n *node, m mention) {
	for _, f := range m.functions {
		oid := n.oid(f)
		if oid == 0 && f == "opfuncid" {
			panic(refuse(ReasonUnknownNode, n.tag+" without a function"))
		}
		e.functions[oid] = true
	}
	for _, f := range m.types {
		e.types[n.oid(f)] = true
	}
	for _, f := range m.operators {
		checkOperator(n.oid(f))
	}
	if n.tag == "RANGETBLFUNCTION" {
		for _, typ := range n.oids("funccoltypes") {
			e.types[typ] = true
		}
	}
}

// query notes which table a query writes to.
func (e *evaluated) query(n *node) {
	if n.field("utilityStmt") != nil {
		panic(refuse(ReasonNotSelect, "a command"))
	}
	how := changes(0)
	switch command := n.int("commandType"); command {
	case commandSelect:
		if n.int("resultRelation") != 0 {
			panic(refuse(ReasonUnknownNode, "SELECT with a result relation"))
		}
		return
	case commandUpdate:
		how = updates
	case commandInsert:
		how = inserts
		if conflict, ok := n.field("onConflict").(*node); ok && conflict.int("action") == onConflictUpdate {
			how |= updates
		}
	case commandDelete:
		how = deletes
	case commandMerge:
		how = inserts | updates | deletes
	default:
		panic(refuse(ReasonNotSelect, "command of type "+strconv.Itoa(command)))
	}
	entries, i := n.nodes("rtable"), n.int("resultRelation")
	if i < 1 || i > len(entries) || entries[i-1].int("rtekind") != rteRelation {
		panic(refuse(ReasonUnknownNode, "a write without its table"))
	}
	e.changed[entries[i-1].oid("relid")] |= how
}

// entry notes the relation of a range table entry.
func (e *evaluated) entry(n *node) {
	switch kind := n.int("rtekind"); kind {
	case rteRelation:
		e.relations[n.oid("relid")] = true
	case rteSubquery:
		// An expanded view; before version 16 it is not named here.
		if a, ok := n.optional("relid").(atom); ok && a != "0" {
			e.relations[n.oid("relid")] = true
		}
	case rteJoin, rteFunction, rteValues, rteCTE, rteResult, rteGroup:
	default:
		panic(refuse(ReasonUnknownNode, "range table entry of kind "+strconv.Itoa(kind)))
	}
}

// runsQueries begins, or ends, the names of functions of pg_catalog that run queries,
// and so whatever is behind views, though they are not volatile.
func runsQueries(name string) bool {
	return strings.Contains(name, "_to_xml") || name == "ts_rewrite" || name == "ts_stat"
}

// changesNothing are the volatile functions of pg_catalog that change no setting of the
// session and no table. Sequences are no tables here: no cached read depends on one.
var changesNothing = newSet(
	"nextval", "currval", "lastval", "setval",
	"random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7",
	"clock_timestamp", "timeofday", "pg_sleep", "pg_notify", "pg_backend_pid",
	"txid_current", "pg_current_xact_id", "pg_current_wal_lsn", "pg_current_wal_insert_lsn",
	"pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared",
	"pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock",
	"pg_try_advisory_xact_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all",
)

// changes reports whether calling a function may change more than what it returns.
func (f *function) changes(oid uint32) bool {
	switch {
	case oid >= firstUserOID, f.schema != "pg_catalog", runsQueries(f.name):
		return true
	case f.volatility == "i", f.volatility == "s":
		return false
	}
	return !changesNothing[f.name]
}
