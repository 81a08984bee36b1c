package analysis

// Types of pg_catalog, whose OIDs are the same on every server.
const (
	typeBool          = 16
	typeInt8          = 20
	typeInt2          = 21
	typeInt4          = 23
	typeText          = 25
	typeUnknown       = 705
	typeBoolArray     = 1000
	typeInt2Array     = 1005
	typeInt4Array     = 1007
	typeTextArray     = 1009
	typeVarcharArray  = 1015
	typeInt8Array     = 1016
	typeVarchar       = 1043
	typeTimetz        = 1266
	typeRecord        = 2249
	typeVoid          = 2278
	typeUUID          = 2950
	typeUUIDArray     = 2951
	typeRegtype       = 2206
	typeRegconfig     = 3734
	typeRegdictionary = 3769
)

// firstUserOID is the first OID given to objects that users create.
const firstUserOID = 16384

// elementOf gives the element type of the arrays whose bound values are read.
var elementOf = map[uint32]uint32{
	typeBoolArray:    typeBool,
	typeInt2Array:    typeInt2,
	typeInt4Array:    typeInt4,
	typeInt8Array:    typeInt8,
	typeTextArray:    typeText,
	typeVarcharArray: typeVarchar,
	typeUUIDArray:    typeUUID,
}

// canonical lists the types for which equal means equal text, so that a value
// can name a tag. char(n) is not one: its equality ignores trailing blanks.
var canonical = map[uint32]bool{
	typeBool: true, typeInt2: true, typeInt4: true, typeInt8: true,
	typeText: true, typeVarchar: true, typeUUID: true,
}

// printable lists the base types whose text depends on nothing but the value
// and settings that belong in a cache key. Arrays, ranges, enums, domains and
// composites of them follow from the catalog. Missing on purpose: reg* and
// aclitem (their text is read from catalogs), xml, and transaction ids.
var printable = map[uint32]bool{
	typeBool: true, 17: true /* bytea */, 18: true /* "char" */, 19: true, /* name */
	typeInt8: true, typeInt2: true, typeInt4: true, typeText: true, 26: true, /* oid */
	114: true /* json */, 600: true, 601: true, 602: true, 603: true, 604: true, 628: true, 718: true, /* geometry */
	650: true /* cidr */, 700: true, 701: true /* floats */, typeUnknown: true,
	774: true, 829: true /* macaddr */, 790: true /* money */, 869: true, /* inet */
	1042: true /* char(n) */, typeVarchar: true,
	1082: true, 1083: true, 1114: true, 1184: true, 1186: true, typeTimetz: true, /* date, time, timestamps, interval */
	1560: true, 1562: true /* bits */, 1700: true /* numeric */, typeUUID: true,
	3220: true /* pg_lsn */, 3614: true, 3615: true /* text search */, 3802: true, 4072: true, /* jsonb, jsonpath */
	typeRecord: true, typeVoid: true,
}

// clockProof lists the types whose input never reads the clock, whatever the
// text. timetz reads it always (for the offset of a zone), dates and timestamps
// for words such as now; containers of them likewise.
var clockProof = map[uint32]bool{
	typeBool: true, 17: true, 18: true, 19: true, typeInt8: true, typeInt2: true, typeInt4: true,
	typeText: true, 26: true, 114: true, 600: true, 601: true, 602: true, 603: true, 604: true,
	628: true, 718: true, 650: true, 700: true, 701: true, typeUnknown: true, 774: true, 829: true,
	790: true, 869: true, 1042: true, typeVarchar: true, 1186: true, 1560: true, 1562: true,
	1700: true, typeUUID: true, 3220: true, 3614: true, 3615: true, 3802: true, 4072: true,
	typeRegconfig: true, typeRegdictionary: true,
	typeBoolArray: true, typeInt2Array: true, typeInt4Array: true, typeInt8Array: true,
	typeTextArray: true, typeVarcharArray: true, typeUUIDArray: true,
}

// equality lists the btree equality operators of pg_catalog on canonical types,
// those across the integer family included: for them, and under a deterministic
// collation, equal means equal text.
var equality = map[uint32]bool{
	91: true /* bool */, 98: true /* text */, 2972: true, /* uuid */
	94: true, 96: true, 410: true, /* int2, int4, int8 */
	15: true, 416: true, 532: true, 533: true, 1862: true, 1868: true, /* int48, int84, int24, int42, int28, int82 */
}

// widening lists the casts among integers that keep every value.
var widening = map[uint32]bool{313: true /* int2→int4 */, 754: true /* int2→int8 */, 481: true /* int4→int8 */}
