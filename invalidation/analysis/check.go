package analysis

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Values of the server's enumerations, as the trees print them.
const (
	commandSelect = 1

	rteRelation = 0
	rteSubquery = 1
	rteJoin     = 2
	rteFunction = 3
	rteValues   = 5
	rteCTE      = 6
	rteResult   = 8
	rteGroup    = 9

	joinInner = 0
	joinLeft  = 1
	joinFull  = 2
	joinRight = 3

	sublinkExists = 0
	sublinkAny    = 2
	sublinkExpr   = 4

	paramExtern  = 0
	paramSublink = 2

	// SQLValueFunction: up to here the clock; after it roles, catalog, schema.
	valueFunctionClockLast = 8
	valueFunctionLast      = 14
)

// mention says in which fields a node names other objects.
type mention struct {
	types      []string
	functions  []string
	collations []string
	operators  []string
}

// knownNodes are the nodes a tree may hold. Any other is refused, and so is one
// of these without the fields named here.
var knownNodes = map[string]mention{
	"QUERY": {}, "RANGETBLENTRY": {}, "RTEPERMISSIONINFO": {}, "RANGETBLREF": {}, "RANGETBLFUNCTION": {},
	"FROMEXPR": {}, "JOINEXPR": {}, "ALIAS": {}, "TARGETENTRY": {}, "COMMONTABLEEXPR": {},
	"SETOPERATIONSTMT": {}, "SORTGROUPCLAUSE": {operators: []string{"eqop", "sortop"}},
	"GROUPINGSET": {}, "GROUPINGFUNC": {}, "ROWMARKCLAUSE": {}, "TABLESAMPLECLAUSE": {},
	"WINDOWCLAUSE": {functions: []string{"startInRangeFunc", "endInRangeFunc"}},

	"VAR":      {types: []string{"vartype"}, collations: []string{"varcollid"}},
	"CONST":    {types: []string{"consttype"}},
	"PARAM":    {types: []string{"paramtype"}},
	"BOOLEXPR": {}, "NULLTEST": {}, "BOOLEANTEST": {}, "SUBLINK": {}, "CASEWHEN": {}, "NAMEDARGEXPR": {},
	"SQLVALUEFUNCTION": {types: []string{"type"}},

	"FUNCEXPR":          {functions: []string{"funcid"}, types: []string{"funcresulttype"}},
	"OPEXPR":            {functions: []string{"opfuncid"}, types: []string{"opresulttype"}, collations: []string{"inputcollid"}},
	"DISTINCTEXPR":      {functions: []string{"opfuncid"}, types: []string{"opresulttype"}},
	"NULLIFEXPR":        {functions: []string{"opfuncid"}, types: []string{"opresulttype"}},
	"SCALARARRAYOPEXPR": {functions: []string{"opfuncid"}, collations: []string{"inputcollid"}},
	"AGGREF":            {functions: []string{"aggfnoid"}, types: []string{"aggtype"}},
	"WINDOWFUNC":        {functions: []string{"winfnoid"}, types: []string{"wintype"}},

	"RELABELTYPE":        {types: []string{"resulttype"}},
	"COERCEVIAIO":        {types: []string{"resulttype"}},
	"ARRAYCOERCEEXPR":    {types: []string{"resulttype"}},
	"CONVERTROWTYPEEXPR": {types: []string{"resulttype"}},
	"COERCETODOMAIN":     {types: []string{"resulttype"}},
	"COLLATEEXPR":        {collations: []string{"collOid"}},

	"CASEEXPR":        {types: []string{"casetype"}},
	"CASETESTEXPR":    {types: []string{"typeId"}},
	"ARRAYEXPR":       {types: []string{"array_typeid", "element_typeid"}},
	"ROWEXPR":         {types: []string{"row_typeid"}},
	"COALESCEEXPR":    {types: []string{"coalescetype"}},
	"MINMAXEXPR":      {types: []string{"minmaxtype"}},
	"ROWCOMPAREEXPR":  {},
	"FIELDSELECT":     {types: []string{"resulttype"}},
	"SUBSCRIPTINGREF": {types: []string{"refcontainertype", "refrestype"}},
}

// onlyQuery unwraps the list that a dump is, and refuses what is not one query.
func onlyQuery(tree any) (q *node, err error) {
	defer catch(&err)
	l, ok := tree.(list)
	if !ok || len(l) != 1 {
		return nil, refuse(ReasonNotSelect, "not one query after rewriting")
	}
	q, ok = l[0].(*node)
	if !ok || q.tag != "QUERY" {
		return nil, refuse(ReasonUnknownNode, "no QUERY")
	}
	return q, nil
}

// checkSelect refuses a query that is no SELECT.
func checkSelect(q *node) (err error) {
	defer catch(&err)
	if q.int("commandType") != commandSelect || q.field("utilityStmt") != nil {
		return refuse(ReasonNotSelect, "")
	}
	return nil
}

// collect lists the OIDs a tree mentions, and refuses nodes it does not know.
func collect(query *node) (wanted needs, err error) {
	defer catch(&err)
	wanted = newNeeds()
	add := func(n *node, fields []string, to map[uint32]bool) {
		for _, f := range fields {
			to[n.oid(f)] = true
		}
	}
	walk(query, func(n *node) bool {
		m, ok := knownNodes[n.tag]
		if !ok {
			panic(refuse(ReasonUnknownNode, n.tag))
		}
		n.mentionedTypes(wanted.types)
		add(n, m.functions, wanted.functions)
		add(n, m.collations, wanted.collations)
		add(n, m.operators, wanted.operators)
		if n.tag == "ROWCOMPAREEXPR" {
			for _, oid := range n.oids("opnos") {
				wanted.operators[oid] = true
			}
		}
		if n.tag == "SETOPERATIONSTMT" {
			for _, c := range n.oids("colCollations") {
				wanted.collations[c] = true
			}
		}
		// A view that was expanded stands there still; see mentioned.
		if n.tag == "RANGETBLENTRY" && (n.int("rtekind") == rteRelation || n.optional("relid") != nil && n.oid("relid") != 0) {
			wanted.relations[n.oid("relid")] = true
		}
		return true
	})
	return wanted, nil
}

// mentionedTypes adds the types that a node names by itself.
func (n *node) mentionedTypes(to map[uint32]bool) {
	for _, f := range knownNodes[n.tag].types {
		to[n.oid(f)] = true
	}
	if n.tag == "RANGETBLFUNCTION" {
		for _, typ := range n.oids("funccoltypes") {
			to[typ] = true
		}
	}
}

// statement is everything a verdict is concluded from. No I/O from here on.
type statement struct {
	query       *node
	catalog     *catalog
	watch       Watch
	text        scanned
	request     *Request
	description *pgconn.StatementDescription
	// types are all that the tree, the parameters and the result mention; plain is set
	// if no code of users can be found for any of them.
	types map[uint32]bool
	plain bool
	// secured are the occurrences of tables with row security.
	secured []securedRead
	// policies are those that filter them, for their readers.
	policies []policy
	// settings are those of the application's own that the answer depends on.
	settings []string

	// catalogs is how the catalogs that are read are restricted, nil if none may be read.
	catalogs *catalogRestriction
	// precise is false when rows may be grouped under a collation that calls
	// different texts equal: then restricting one table by a text could change
	// which of them stands for the group.
	precise bool
	// vouchedTables are those that declared functions read.
	vouchedTables []uint32
	// declares is set if the statement calls a declared function.
	declares bool
	// consented is set by concludeConsented.
	consented bool
	// compared is set by judgeCompared: catalogs are taken for tables.
	compared bool
}

// conclude checks a tree and derives its tags.
func conclude(s *statement) (v *Verdict, err error) {
	defer catch(&err)
	s.precise, s.vouchedTables, s.declares, s.settings = !s.consented, nil, false, nil
	s.plain = s.isPlain()
	s.catalogs = s.restrictCatalogs()
	s.checkRowSecurity()
	s.checkTree(s.query)
	v = &Verdict{Cacheable: true, ParamTypes: s.description.ParamOIDs, Determined: s.precise && determined(s.query)}
	s.checkParameters(v)
	s.checkResult()
	s.shareLiterals(v)
	s.deriveTags(v)
	if s.catalogs != nil {
		v.boundObjects = s.catalogs.bound
	}
	v.Exempt, v.Filtered = s.securedTables()
	v.role, v.otherRoles = s.request.Role, s.otherRoles()
	v.Settings = slices.Sorted(slices.Values(s.settings))
	return v, nil
}

// checkTree refuses everything in a tree that no tag could make cacheable.
func (s *statement) checkTree(tree *node) {
	walk(tree, func(n *node) bool {
		switch n.tag {
		case "QUERY":
			checkQuery(n)
		case "RANGETBLENTRY":
			s.checkRangeTableEntry(n)
		case "COMMONTABLEEXPR":
			checkCommonTable(n)
		case "VAR":
			if n.int("varattno") < 0 {
				panic(refuse(ReasonSystemColumn, ""))
			}
			if s.catalogs != nil && s.catalogs.unused[n] {
				return true
			}
		case "CONST":
			s.checkConst(n)
		case "PARAM":
			if k := n.int("paramkind"); k != paramExtern && k != paramSublink {
				panic(refuse(ReasonUnknownNode, "PARAM of kind "+strconv.Itoa(k)))
			}
		case "SQLVALUEFUNCTION":
			s.checkValueFunction(n)
		case "COERCEVIAIO":
			if t := n.oid("resulttype"); !s.catalog.readable(t) {
				panic(refuse(ReasonUnsafeCast, "to "+s.catalog.typeName(t)))
			}
			s.checkMade(n.oid("resulttype"), "a cast")
		case "COERCETODOMAIN":
			panic(refuse(ReasonUnsafeCast, "to domain "+s.catalog.typeName(n.oid("resulttype"))))
		case "TABLESAMPLECLAUSE":
			panic(refuse(ReasonTableSample, ""))
		case "ROWCOMPAREEXPR":
			s.checkRowOperators(n.oids("opnos"), n.oids("opfamilies"))
			s.checkBinding(n, bindsOperators, "a comparison of rows")
		case "MINMAXEXPR":
			s.checkBinding(n, bindsOperators, "greatest or least")
		case "SORTGROUPCLAUSE":
			s.checkBinding(s.query, bindsOperators, "ordering, grouping or DISTINCT")
		case "COLLATEEXPR":
			s.precise = s.precise && s.catalog.deterministic(n.oid("collOid"))
		case "SETOPERATIONSTMT":
			for _, c := range n.oids("colCollations") {
				s.precise = s.precise && s.catalog.deterministic(c)
			}
		}
		s.checkMentions(n)
		return true
	})
}

// checkMentions checks the objects a node names.
func (s *statement) checkMentions(n *node) {
	m := knownNodes[n.tag]
	for _, f := range m.functions {
		if oid := n.oid(f); oid != 0 {
			known := s.catalog.function(oid)
			if known == nil {
				panic(refuse(ReasonUserFunction, "function "+n.atom(f)))
			}
			switch no := known.judge(oid); {
			case no == nil:
				s.checkBinding(n, known.binding(), known.name)
			case no.reason == ReasonClock && s.consented:
			case known.readsSettings(oid) && s.readsSetting(n):
			case !s.vouched(oid):
				panic(no)
			}
		}
	}
	for _, f := range m.types {
		if oid := n.oid(f); !s.typeAllowed(oid) && !s.namesKnownType(n, oid) {
			panic(refuse(ReasonUnsafeResultType, s.catalog.typeName(oid)))
		}
	}
	for _, f := range m.operators {
		s.checkOperator(n.oid(f))
	}
}

// typeAllowed tells whether values of a type may occur at all. Text search
// configurations may as arguments; the result is checked by itself.
func (s *statement) typeAllowed(oid uint32) bool {
	if oid == typeRegconfig || oid == typeRegdictionary {
		return true
	}
	return s.catalog.printable(oid)
}

// namesKnownType reports whether a node gives the name of a type that the statement decides:
// what pg_typeof says of its argument, or a constant that means a type of Postgres' own. The name
// is printed by the search path, which is in the key, and by what the type and those of the same
// name are called in its schemas, which only definitions change. Of any other regtype nobody
// knows which it is: a value may be the type of a temporary table of somebody else's, whose
// coming and going no event tells of. A constant that means a user's type goes on to mean it in
// statements that were prepared before another one got the name.
func (s *statement) namesKnownType(n *node, typ uint32) bool {
	switch {
	case typ != typeRegtype:
		return false
	case n.tag == "RELABELTYPE":
		return s.catalogs.namesOld(n)
	case n.tag == "CONST":
		oid := constOID(n)
		return oid != 0 && oid < firstUserOID
	default:
		return n.tag == "FUNCEXPR" && n.oid("funcid") == functionTypeof
	}
}

// checkOperator refuses operators of users that order or group, unless nothing behind
// them is but reviewed functions of extensions; those that compare in an expression are
// judged by their function.
func (s *statement) checkOperator(oid uint32) {
	if functions := s.catalog.operator(oid); functions != nil {
		s.checkFound(functions, "an operator of its own")
		return
	}
	checkOperator(oid)
}

// checkOperator refuses operators of users.
func checkOperator(oid uint32) {
	if oid >= firstUserOID {
		panic(refuse(ReasonUserFunction, "an operator of its own"))
	}
}

// checkRowOperators refuses operators of a comparison of rows; and a family of users in
// which Postgres' own stand, as that compares by functions of users.
func (s *statement) checkRowOperators(operators, families []uint32) {
	for i, oid := range operators {
		if oid < firstUserOID && (i >= len(families) || families[i] >= firstUserOID) {
			panic(refuse(ReasonUserFunction, "an operator family of its own"))
		}
		s.checkOperator(oid)
	}
}

func checkQuery(n *node) {
	switch {
	case n.int("commandType") != commandSelect:
		panic(refuse(ReasonDataModifyingCTE, ""))
	case n.field("rowMarks") != nil:
		panic(refuse(ReasonRowLocks, ""))
	case n.bool("hasModifyingCTE"):
		panic(refuse(ReasonDataModifyingCTE, ""))
	case n.field("utilityStmt") != nil, n.bool("isReturn"), n.int("resultRelation") != 0:
		panic(refuse(ReasonUnknownNode, "QUERY that is not a plain SELECT"))
	}
}

// checkCommonTable refuses SEARCH and CYCLE, whose rewriting the guards were
// never tested against.
func checkCommonTable(n *node) {
	if n.field("search_clause") != nil || n.field("cycle_clause") != nil {
		panic(refuse(ReasonUnknownNode, "SEARCH or CYCLE clause"))
	}
}

func (s *statement) checkValueFunction(n *node) {
	switch op := n.int("op"); {
	case op <= valueFunctionClockLast && s.consented:
	case op <= valueFunctionClockLast:
		panic(refuse(ReasonClock, "current date or time"))
	case op > valueFunctionLast:
		panic(refuse(ReasonUnknownNode, "SQLVALUEFUNCTION "+strconv.Itoa(op)))
	}
}

func (s *statement) checkRangeTableEntry(n *node) {
	switch kind := n.int("rtekind"); kind {
	case rteRelation:
		if n.field("tablesample") != nil {
			panic(refuse(ReasonTableSample, ""))
		}
		if n.atom("relkind") != "v" && !s.catalogs.restricts(n) {
			s.checkRelation(n.oid("relid"))
			r := s.catalog.relation(n.oid("relid"))
			s.checkFound(r.support, "an index or the partitions of "+r.schema+"."+r.name)
		}
	case rteSubquery, rteJoin, rteFunction, rteValues, rteCTE, rteResult, rteGroup:
	default:
		panic(refuse(ReasonUnknownNode, "range table entry of kind "+strconv.Itoa(kind)))
	}
}

func (s *statement) checkRelation(oid uint32) {
	r := s.catalog.relation(oid)
	if r == nil {
		panic(refuse(ReasonUnwatchedTable, "relation "+strconv.Itoa(int(oid))))
	}
	name := r.schema + "." + r.name
	switch {
	case s.compared:
	case r.schema == "pg_catalog", r.schema == "information_schema", r.schema == "pg_toast":
		panic(refuse(ReasonCatalogTable, name))
	case r.persistence == "t":
		panic(refuse(ReasonTemporaryTable, name))
	case r.kind == "f":
		panic(refuse(ReasonForeignTable, name))
	case r.kind == "S":
		panic(refuse(ReasonSequence, name))
	case r.kind == "m":
		panic(refuse(ReasonMaterializedView, name))
	case r.kind != "r" && r.kind != "p":
		panic(refuse(ReasonUnwatchedTable, name))
	}
	if _, ok := s.watch.Table(oid); !ok && !s.consented {
		panic(refuse(ReasonUnwatchedTable, name))
	}
}

// checkConst refuses a constant into which the server may have folded the clock:
// date '2024-01-01' is allowed, date 'today' is not, and neither is a text that
// the lexer cannot read for certain. Constants of views have no place in the
// statement, and were folded once and for all when the view was made.
func (s *statement) checkConst(n *node) {
	typ := n.oid("consttype")
	location := n.int("location")
	if location < 0 || n.bool("constisnull") {
		return
	}
	s.checkMade(typ, "a constant")
	if s.catalog.readable(typ) {
		return
	}
	// GeoJSON may name a system of coordinates, which is looked up in a table.
	if l := s.text.literalAt(location); s.catalog.looksUp(typ) && (s.text.odd || l < 0 || strings.Contains(s.text.literals[l].Text, "{")) {
		panic(refuse(ReasonUnsafeCast, "a constant of type "+s.catalog.typeName(typ)))
	}
	if l := s.text.literalAt(location); s.text.odd || l < 0 || typ == typeTimetz || hasClockWord(s.text.literals[l].Text) {
		panic(refuse(ReasonClockLiteral, s.catalog.typeName(typ)))
	}
}

// literalAt returns the ordinal of the literal at a byte offset, or -1.
func (t *scanned) literalAt(offset int) int {
	for i := range t.literals {
		if t.literals[i].Offset == offset {
			return i
		}
	}
	return -1
}

// checkParameters refuses parameters whose reading depends on a catalog or on a
// domain's constraint, and notes those that may name the clock.
func (s *statement) checkParameters(v *Verdict) {
	v.clockParam = make([]bool, len(v.ParamTypes))
	for i, t := range v.ParamTypes {
		info := s.catalog.typeInfo(t)
		if !s.catalog.printable(t) || s.catalog.looksUp(t) || (info != nil && info.kind == "d") {
			panic(refuse(ReasonUnsafeCast, "parameter of type "+s.catalog.typeName(t)))
		}
		s.checkMade(t, "a parameter")
		v.clockParam[i] = !s.catalog.readable(t)
	}
}

func (s *statement) checkResult() {
	for _, f := range s.description.Fields {
		if !s.catalog.printable(f.DataTypeOID) && f.DataTypeOID != typeRegtype { // see namesKnownType
			panic(refuse(ReasonUnsafeResultType, f.Name+" "+s.catalog.typeName(f.DataTypeOID)))
		}
	}
}
