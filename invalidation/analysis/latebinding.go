package analysis

import (
	"maps"
	"slices"
)

// checkBinding refuses functions of users that a node finds when it runs. by names
// it for people.
func (s *statement) checkBinding(n *node, b binding, by string) {
	switch b {
	case bindsNothing:
	case bindsPartitions:
		panic(refuse(ReasonStableFunction, by))
	case bindsTextSearch:
		s.checkFound(s.catalog.loadedTextSearch().of(configurationNamed(n)), by)
	case bindsDefaultTextSearch:
		// Postgres writes the schema before the name, whatever was set.
		search := s.catalog.loadedTextSearch()
		name, _ := s.request.setting("default_text_search_config")
		s.checkFound(search.of(search.named[name]), by)
	case bindsDictionaries:
		s.checkFound(s.catalog.loadedTextSearch().dictionaries, by)
	case bindsConversions:
		s.checkFound(s.catalog.conversionFunctions(), by)
	default:
		s.checkFoundByType(n, b, by)
	}
}

// checkFoundByType refuses what is found for any type of a node.
func (s *statement) checkFoundByType(n *node, b binding, by string) {
	if s.plain {
		return
	}
	for _, typ := range s.typesIn(n) {
		s.catalog.inside(typ, func(t *typeInfo) {
			s.checkFound(t.found(b), by)
			if b == bindsAll && t.checked {
				panic(refuse(ReasonUnsafeCast, "to domain "+t.name+", by "+by))
			}
		})
	}
}

// checkMade refuses to make a value of a type from its text, or from what a client
// binds, where that runs code of users.
func (s *statement) checkMade(oid uint32, by string) {
	if s.plain {
		return
	}
	s.catalog.inside(oid, func(t *typeInfo) {
		if t.checked {
			panic(refuse(ReasonUnsafeCast, "to domain "+t.name+", by "+by))
		}
		// The bounds of a range are compared, and so is what these are made of.
		if t.kind == "r" || t.kind == "m" {
			s.checkFound(t.operators, by)
			for _, bound := range t.parts {
				s.catalog.inside(bound, func(t *typeInfo) { s.checkFound(t.operators, by) })
			}
		}
	})
}

// checkFound refuses functions of users that nobody vouches for.
func (s *statement) checkFound(oids []uint32, by string) {
	for _, oid := range oids {
		f := s.catalog.function(oid)
		if f != nil && f.reviewed() || s.vouched(oid) {
			continue
		}
		name := "a function"
		if f != nil {
			name = f.schema + "." + f.name
		}
		panic(refuse(ReasonUserFunction, name+", called by "+by))
	}
}

// typesIn lists the types of a node and of everything below it. What an anonymous
// record holds is not told where it is named, so there it is all that the statement
// mentions.
func (s *statement) typesIn(n *node) []uint32 {
	types := map[uint32]bool{}
	walk(n, func(n *node) bool {
		n.mentionedTypes(types)
		return true
	})
	if types[typeRecord] {
		return slices.Collect(maps.Keys(s.types))
	}
	return slices.Collect(maps.Keys(types))
}

// isPlain tells whether nothing of users can be found for any type of the statement.
func (s *statement) isPlain() bool {
	for typ := range s.types {
		plain := true
		s.catalog.inside(typ, func(t *typeInfo) { plain = plain && t.userCode.none() })
		if !plain {
			return false
		}
	}
	return true
}

// configurationNamed returns the configuration that a call names by a constant;
// anyConfiguration if it does not.
func configurationNamed(call *node) uint32 {
	for _, a := range call.nodes("args") {
		if a = bare(a); a.tag == "CONST" && a.oid("consttype") == typeRegconfig {
			return constOID(a)
		}
	}
	return anyConfiguration
}
