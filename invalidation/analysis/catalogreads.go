package analysis

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// Drivers ask Postgres' catalogs what the types of a result's columns are, by OID: PDO,
// PyGreSQL and RPostgreSQL for each column, JDBC for each type that it meets. What the catalogs
// say of a type of Postgres' own changes by definitions alone, of which the event triggers
// tell, and so it is cached with the schema's tag. Of all other rows that is not certain:
//
//   - pg_type has the row types of everybody's temporary tables, and temporary types; no event
//     tells of these, least of all when a session ends;
//   - with a temporary type goes what depends on it, a permanent domain of it for example.
//
// So a read of a catalog is cached only if the statement itself restricts it to rows of
// objects that were made with the cluster: by an OID below firstUserOID, a constant or bound,
// or by an OID that such a row refers to. Of pg_namespace a row may be named, too, by a
// constant or a bound name that is none of those which sessions make: other schemas come, go
// and are renamed by definitions.
//
//  1. a statement asks pg_type for the OID of a temporary enum, and is answered;
//  2. the session that made the enum ends, and no event says so;
//  3. the OID is another type's some day: had the answer been kept, it would name the enum.
//
// Owners are left out, as REASSIGN OWNED fires no event trigger. So are access lists and
// functions, whose text other catalogs decide. Where event triggers are missing nothing of this
// is cached. (TestCase48CatalogsOfBuiltInTypes, TestCase48CatalogsFollowDefinitions)

// catalogRead is one of the catalogs that are read so.
type catalogRead struct {
	// by is the column whose OID restricts it, and named that whose name does, or empty.
	by, named string
	// refers are columns with OIDs of objects that were made with the cluster if that of by
	// was.
	refers string
	owner  string
}

// catalogReads are those catalogs, by OID.
var catalogReads = map[uint32]catalogRead{
	1247: {by: "oid", refers: "oid typnamespace typelem typarray typbasetype", owner: "typowner"}, // pg_type
	2615: {by: "oid", named: "nspname", refers: "oid", owner: "nspowner"},                         // pg_namespace
	3541: {by: "rngtypid", refers: "rngtypid rngsubtype rngmultitypid"},                           // pg_range
	3501: {by: "enumtypid", refers: "enumtypid"},                                                  // pg_enum
}

const namespaceCatalog = 2615

// Functions that compare OIDs and names.
const (
	functionOIDEqual      = 184
	functionNameEqual     = 62
	functionNameEqualText = 240
)

const (
	typeName = 19
	typeOID  = 26
)

// boundObject is a parameter or a literal that has to be the OID of an object made with the
// cluster, or, if named is set, the name of a schema that no session makes for itself.
type boundObject struct {
	index          int // of the parameter, or of the literal, from 0
	literal, named bool
}

// catalogRestriction is how a statement restricts the catalogs that it reads to such rows.
type catalogRestriction struct {
	s       *statement
	entries []*node
	// within are the entries that are restricted, by number.
	within map[int]bool
	bound  []boundObject
	// shares is set if literals of the statement may differ. pinned are the ordinals of those
	// among the constants that may not.
	shares bool
	pinned []int
	unused map[*node]bool
	// equalities are what restricts entries, with those that each may restrict.
	equalities []equalityOf
}

type equalityOf struct {
	left, right *node
	names       bool
	may         func(entry int) bool
}

// restrictCatalogs finds out how the statement restricts the catalogs that it reads: nil if it
// reads none, or not all of them so. It understands one query without others inside.
func (s *statement) restrictCatalogs() *catalogRestriction {
	events, ok := s.watch.(interface{ Reported() bool })
	if !ok || !events.Reported() || !s.readsCatalogs() {
		return nil
	}
	r := &catalogRestriction{s: s, entries: s.query.nodes("rtable"), within: map[int]bool{}, unused: s.aliasesUnused()}
	_, r.shares = NewTemplate(s.request.SQL, s.request.standardConforming())
	if !r.gather(s.query.child("jointree"), anyEntry) {
		return nil
	}
	for again := true; again; {
		again = false
		for _, e := range r.equalities {
			again = r.apply(e.left, e.right, e) || r.apply(e.right, e.left, e) || again
		}
	}
	for i := range r.entries {
		if r.isCatalog(i+1) && !r.within[i+1] {
			return nil
		}
	}
	if !r.leavesOwners() {
		return nil
	}
	return r
}

// restricts reports whether an occurrence is one of those catalogs.
func (r *catalogRestriction) restricts(entry *node) bool {
	return r != nil && r.within[slices.Index(r.entries, entry)+1]
}

// readsCatalogs reports whether the statement is one query, and has such a catalog in it.
func (s *statement) readsCatalogs() bool {
	queries, reads := 0, false
	walk(s.query, func(n *node) bool {
		switch n.tag {
		case "QUERY":
			queries++
		case "RANGETBLENTRY":
			if n.int("rtekind") == rteRelation {
				_, is := catalogReads[n.oid("relid")]
				reads = reads || is
			}
		}
		return true
	})
	return reads && queries == 1 && s.query.field("setOperations") == nil
}

// gather collects the equalities of a join tree. It reports false if there is a join in it that
// is not understood. may says which entries the conditions of an item restrict.
func (r *catalogRestriction) gather(n *node, may func(int) bool) bool {
	switch n.tag {
	case "RANGETBLREF":
		return true
	case "FROMEXPR":
		for _, item := range n.nodes("fromlist") {
			if !r.gather(item, may) {
				return false
			}
		}
		r.condition(n.field("quals"), may)
		return true
	case "JOINEXPR":
		left, right := n.child("larg"), n.child("rarg")
		if !r.gather(left, may) || !r.gather(right, may) {
			return false
		}
		switch n.int("jointype") {
		case joinInner:
		case joinLeft:
			// What the condition leaves out of the right side is filled with NULLs.
			below := entriesBelow(right)
			may = func(entry int) bool { return below[entry] }
		default:
			return false
		}
		r.condition(n.field("quals"), may)
		return true
	}
	return false
}

func entriesBelow(n *node) map[int]bool {
	below := map[int]bool{}
	walk(n, func(n *node) bool {
		if n.tag == "RANGETBLREF" {
			below[n.int("rtindex")] = true
		}
		return true
	})
	return below
}

// condition collects the equalities that a condition is made of.
func (r *catalogRestriction) condition(v any, may func(int) bool) {
	if l, ok := v.(list); ok {
		for _, e := range l {
			r.condition(e, may)
		}
		return
	}
	n, ok := v.(*node)
	switch {
	case !ok:
	case n.tag == "BOOLEXPR" && n.atom("boolop") == "and":
		r.condition(n.field("args"), may)
	case n.tag == "OPEXPR":
		args := n.nodes("args")
		f := n.oid("opfuncid")
		if len(args) == 2 && (f == functionOIDEqual || f == functionNameEqual || f == functionNameEqualText) {
			r.equalities = append(r.equalities, equalityOf{args[0], args[1], f != functionOIDEqual, may})
		}
	}
}

// apply takes an equality for a restriction of the column. It reports whether that has
// restricted another entry.
func (r *catalogRestriction) apply(column, value *node, e equalityOf) bool {
	entry, name := r.columnOf(column)
	if entry == 0 || r.within[entry] || !r.isCatalog(entry) || !e.may(entry) {
		return false
	}
	c := catalogReads[r.entries[entry-1].oid("relid")]
	if e.names && (c.named == "" || name != c.named) || !e.names && name != c.by {
		return false
	}
	r.within[entry] = r.isOld(value, e.names)
	return r.within[entry]
}

// isOld reports whether a value is the OID of an object made with the cluster, or a name that
// no session gives to a schema of its own; a parameter is to be asked for that.
func (r *catalogRestriction) isOld(value *node, names bool) bool {
	for !names && value.tag == "RELABELTYPE" && (value.oid("resulttype") == typeOID || value.oid("resulttype") == typeRegtype) {
		value = value.child("arg") // as 23 is an integer
	}
	switch value.tag {
	case "PARAM":
		typ := value.oid("paramtype")
		if value.int("paramkind") != paramExtern || names && typ != typeName && typ != typeText || !names && typ != typeOID {
			return false
		}
		r.bound = append(r.bound, boundObject{index: value.int("paramid") - 1, named: names})
		return true
	case "CONST":
		if value.bool("constisnull") {
			return false
		}
		typ, i := value.oid("consttype"), r.s.text.literalAt(value.int("location"))
		if i >= 0 && typ == typeInt4 && r.shares {
			r.bound = append(r.bound, boundObject{index: i, literal: true})
			return true
		}
		if i >= 0 {
			r.pinned = append(r.pinned, i)
		}
		if names {
			// The literal is looked at, whatever the type that it became.
			return i >= 0 && !r.s.text.odd && r.s.text.literals[i].Kind == LiteralString && ordinarySchema(r.s.text.literals[i].Text)
		}
		oid := constOID(value)
		return (typ == typeOID || typ == typeInt4 || typ == typeRegtype) && oid > 0 && oid < firstUserOID
	default:
		entry, name := r.columnOf(value)
		if entry == 0 || names || !r.within[entry] {
			return false
		}
		e := r.entries[entry-1]
		if e.int("rtekind") != rteRelation {
			return false
		}
		c := catalogReads[e.oid("relid")]
		// A schema that is found by its name is of any age.
		return c.named == "" && strings.Contains(" "+c.refers+" ", " "+name+" ")
	}
}

// ordinarySchema reports whether a name is none of a schema that sessions make for themselves,
// nor of Freshet's own, of which no event tells while it is installed.
func ordinarySchema(name string) bool {
	return name == "pg_catalog" || !strings.HasPrefix(name, "pg_") && name != "freshet"
}

// columnOf resolves a column through the aliases of joins; entry is 0 for what is none.
func (r *catalogRestriction) columnOf(n *node) (entry int, name string) {
	for range len(r.entries) {
		if n.tag != "VAR" || n.int("varlevelsup") != 0 {
			return 0, ""
		}
		entry, number := n.int("varno"), n.int("varattno")
		if entry < 1 || entry > len(r.entries) || number < 1 {
			return 0, ""
		}
		behind := ""
		switch e := r.entries[entry-1]; e.int("rtekind") {
		case rteRelation:
			relation := r.s.catalog.relation(e.oid("relid"))
			if relation == nil {
				return 0, ""
			}
			return entry, relation.columns[number].name
		case rteJoin:
			behind = "joinaliasvars"
		case rteGroup:
			behind = "groupexprs"
		default:
			return 0, ""
		}
		aliases := r.entries[entry-1].list(behind)
		if number > len(aliases) {
			return 0, ""
		}
		next, ok := aliases[number-1].(*node)
		if !ok {
			return 0, ""
		}
		n = next
	}
	return 0, ""
}

func (r *catalogRestriction) isCatalog(entry int) bool {
	e := r.entries[entry-1]
	if e.int("rtekind") != rteRelation {
		return false
	}
	_, is := catalogReads[e.oid("relid")]
	return is
}

// leavesOwners reports whether no column of an owner is read, but for what a join could name.
func (r *catalogRestriction) leavesOwners() bool {
	leaves := true
	walk(r.s.query, func(n *node) bool {
		if n.tag != "VAR" || r.unused[n] {
			return true
		}
		if entry, name := r.columnOf(n); entry != 0 && r.isCatalog(entry) && name == catalogReads[r.entries[entry-1].oid("relid")].owner {
			leaves = false
		}
		return true
	})
	return leaves
}

// aliasesUnused are the columns that joins list because they could be named: who names one
// has a column of its own in the tree.
func (s *statement) aliasesUnused() map[*node]bool {
	unused := map[*node]bool{}
	for _, e := range s.query.nodes("rtable") {
		if e.int("rtekind") != rteJoin {
			continue
		}
		for _, alias := range e.list("joinaliasvars") {
			if n, ok := alias.(*node); ok && n.tag == "VAR" {
				unused[n] = true
			}
		}
	}
	return unused
}

// namesOld reports whether a value is a type made with the cluster: a column that holds such
// types, or a constant that the literals are told apart by.
func (r *catalogRestriction) namesOld(n *node) bool {
	if r == nil {
		return false
	}
	for n.tag == "RELABELTYPE" {
		n = n.child("arg")
	}
	if n.tag != "CONST" {
		entry, name := r.columnOf(n)
		return entry != 0 && r.isCatalog(entry) && r.within[entry] && strings.Contains(" oid typelem typarray typbasetype rngtypid rngsubtype rngmultitypid enumtypid ", " "+name+" ") &&
			r.entries[entry-1].oid("relid") != namespaceCatalog
	}
	i, oid := r.s.text.literalAt(n.int("location")), constOID(n)
	return slices.Contains(r.bound, boundObject{index: i, literal: true}) || slices.Contains(r.pinned, i) && oid > 0 && oid < firstUserOID
}

// holds reports whether the value of an execution is what it has to be.
func (b boundObject) holds(v *Verdict, p Params) bool {
	switch {
	case !b.literal:
		return b.accepts(p.Bound[b.index])
	case p.Literals == nil:
		p.Literals = v.template.Literals
	}
	return b.accepts(Value{Data: []byte(p.Literals[b.index].Text)})
}

func (b boundObject) accepts(v Value) bool {
	switch {
	case v.Null:
		return true // equal to nothing
	case b.named:
		return ordinarySchema(string(v.Data))
	case v.Binary:
		return len(v.Data) == 4 && binary.BigEndian.Uint32(v.Data) < firstUserOID
	}
	oid, err := strconv.ParseUint(string(v.Data), 10, 32)
	return err == nil && oid < firstUserOID
}
