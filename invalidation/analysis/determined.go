package analysis

// exactAggregates are the OIDs of those whose result is the same in whatever order they
// see their rows: counts, sums and averages of integers and of numeric, the least and the
// greatest integer or date, and, or. A sum of floats has other last digits in another
// order, and an array other elements first.
var exactAggregates = oidSet(
	2147, 2803, // count
	2107, 2108, 2109, 2114, // sum of int8, int4, int2, numeric
	2100, 2101, 2102, 2103, // avg of the same
	2115, 2116, 2117, 2131, 2132, 2133, // max and min of int8, int4, int2
	2122, 2126, 2127, 2138, 2142, 2143, // max and min of date, timestamp, timestamptz
	2517, 2518, 2519, // bool_and, bool_or, every
)

// exactEqualities are the operators by which only values of one spelling are equal: which
// of them stands for its group is not seen.
var exactEqualities = oidSet(
	91, 94, 96, 410, // bool, int2, int4, int8
	98, 607, 1093, // text, oid, date
	2060, 1320, 2972, // timestamp, timestamptz, uuid
)

func oidSet(oids ...uint32) map[uint32]bool {
	set := make(map[uint32]bool, len(oids))
	for _, oid := range oids {
		set[oid] = true
	}
	return set
}

// determined reports whether a state of the database gives one set of rows and no other,
// whatever the plan: nothing in the query chooses rows, or adds them up, by an order that
// it does not name. Where it is unsure it says no.
func determined(query *node) bool {
	yes := true
	walk(query, func(n *node) bool {
		switch n.tag {
		case "QUERY":
			yes = yes && n.field("limitCount") == nil && n.field("limitOffset") == nil &&
				!n.bool("hasWindowFuncs") && !n.bool("hasDistinctOn") &&
				equalsExactly(n.nodes("groupClause")) && equalsExactly(n.nodes("distinctClause"))
		case "SETOPERATIONSTMT":
			yes = yes && equalsExactly(n.nodes("groupClauses"))
		case "AGGREF":
			yes = yes && exactAggregates[n.oid("aggfnoid")]
		case "TABLESAMPLECLAUSE":
			yes = false
		case "FUNCEXPR":
			// Those of the user's own were declared, and nobody knows what they show of an
			// order.
			yes = yes && n.oid("funcid") < firstUserOID
		}
		return yes
	})
	return yes
}

// equalsExactly reports whether rows are brought together by exactEqualities alone.
func equalsExactly(clauses []*node) bool {
	for _, c := range clauses {
		if !exactEqualities[c.oid("eqop")] {
			return false
		}
	}
	return true
}
