package analysis

import (
	"encoding/binary"
	"strconv"
)

// bare strips what keeps equality: relabelling between text and varchar, and
// casts to a wider integer.
func bare(n *node) *node {
	for {
		switch {
		case n.tag == "RELABELTYPE" && isText(n.oid("resulttype")):
			arg := n.child("arg")
			if !isText(textual(arg)) {
				return n
			}
			n = arg
		case n.tag == "FUNCEXPR" && widening[n.oid("funcid")]:
			args := n.nodes("args")
			if len(args) != 1 {
				return n
			}
			n = args[0]
		default:
			return n
		}
	}
}

func isText(typ uint32) bool { return typ == typeText || typ == typeVarchar }

// textual returns the type of the nodes that bare looks through relabelling for;
// 0 for others.
func textual(n *node) uint32 {
	switch n.tag {
	case "VAR":
		return n.oid("vartype")
	case "CONST":
		return n.oid("consttype")
	case "PARAM":
		return n.oid("paramtype")
	case "RELABELTYPE":
		return n.oid("resulttype")
	}
	return 0
}

// variable resolves a column reference, through join aliases and grouping, to
// the level and entry it comes from. Columns under a collation that calls
// different texts equal do not count.
func (d *deriver) variable(scopes []*scope, v any) (*scope, column, bool) {
	n, ok := v.(*node)
	if !ok {
		return nil, column{}, false
	}
	if n = bare(n); n.tag != "VAR" {
		return nil, column{}, false
	}
	s := level(scopes, n.int("varlevelsup"))
	if s == nil {
		panic(refuse(ReasonUnknownNode, "VAR of no level"))
	}
	// An alias leads to an earlier entry, so this ends; a tree in which it does not
	// is no tree of Postgres.
	for range len(s.entries) {
		if !d.deterministic(n.oid("varcollid")) {
			return nil, column{}, false
		}
		c := column{n.int("varno"), n.int("varattno")}
		behind := ""
		switch e := s.entry(c.entry); e.int("rtekind") {
		case rteJoin:
			behind = "joinaliasvars"
		case rteGroup:
			behind = "groupexprs"
		default:
			return s, c, c.number > 0
		}
		aliases := s.entry(c.entry).list(behind)
		if c.number < 1 || c.number > len(aliases) {
			return nil, column{}, false
		}
		alias, ok := aliases[c.number-1].(*node)
		if !ok {
			return nil, column{}, false
		}
		if n = bare(alias); n.tag != "VAR" || n.int("varlevelsup") != 0 {
			return nil, column{}, false
		}
	}
	panic(refuse(ReasonUnknownNode, "aliases that lead nowhere"))
}

// isNull tells a constant NULL, which equals nothing.
func isNull(n *node) bool {
	n = bare(n)
	return n.tag == "CONST" && n.bool("constisnull")
}

// value reads a parameter or a constant. A constant NULL is none: whether
// "= NULL" means nothing or IS NULL is a setting's choice.
func (d *deriver) value(n *node) (guard, bool) {
	switch n = bare(n); n.tag {
	case "PARAM":
		typ := n.oid("paramtype")
		if n.int("paramkind") != paramExtern || !canonical[typ] {
			return nil, false
		}
		return guard{{Origin: Parameter, Index: n.int("paramid") - 1, Type: typ}}, true
	case "CONST":
		text, ok := constText(n)
		if !ok {
			return nil, false
		}
		source := ValueSource{Origin: Fixed, Type: n.oid("consttype"), Text: text}
		if i, ok := d.literal(n.int("location")); ok {
			source.Origin, source.Index = Literals, i
		}
		return guard{source}, true
	}
	return nil, false
}

// constOID reads the memory image of a constant that is an OID; 0 if it is none.
func constOID(n *node) uint32 {
	b, ok := n.field("constvalue").(datum)
	if !ok || n.bool("constisnull") || len(b) != 8 {
		return 0
	}
	return uint32(binary.LittleEndian.Uint64(b))
}

// constText reads the memory image of a constant of a canonical type as text.
func constText(n *node) (string, bool) {
	b, ok := n.field("constvalue").(datum)
	if !ok || n.bool("constisnull") {
		return "", false
	}
	switch n.oid("consttype") {
	case typeInt2, typeInt4, typeInt8:
		if len(b) == 8 {
			return strconv.FormatInt(int64(binary.LittleEndian.Uint64(b)), 10), true
		}
	case typeBool:
		if len(b) == 8 && b[0] <= 1 {
			return strconv.FormatBool(b[0] == 1), true
		}
	case typeText, typeVarchar:
		// Four bytes of header: the length with the header, shifted by two flag bits.
		if len(b) >= 4 && binary.LittleEndian.Uint32(b) == uint32(len(b))<<2 {
			return string(b[4:]), true
		}
	case typeUUID:
		if len(b) == 16 {
			return uuidText(b), true
		}
	}
	return "", false
}
