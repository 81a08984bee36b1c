package analysis

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// extension is what was read in the source of a well-known extension, version by
// version, as the functions of Postgres were.
type extension struct {
	// functions are IMMUTABLE, in C or of Postgres' own, every overload of each that
	// takes and returns no pseudo-type: their results depend on nothing but arguments
	// and settings that belong in a cache key. Missing on purpose: those in SQL, whose
	// bodies name operators without a schema, and those that take any record.
	functions map[string]bool
	// overloads are such functions with the types of their arguments, as oidvectortypes writes
	// them without schemas: where not every overload is one, or where it is told by them that a
	// pseudo-type is no value of users'.
	overloads map[string]bool
	// types are base types whose text depends on nothing but the value and such
	// settings, and whose reading never asks for the clock or a catalog.
	types map[string]bool
	// printed are base types whose text depends on nothing but the value, while some texts are
	// read with the help of a table.
	printed map[string]bool
}

// extensions are known by name. Nobody but a superuser can make a function in C, of
// any name, or a base type, so that members of an extension which are one are what
// the extension's script made.
//
// Missing on purpose: pg_trgm's operators and isn, which obey settings of their own;
// unaccent, which reads a file; distances of vectors, since an index finds the nearest of them
// by guesses that follow settings (hnsw.ef_search); and of PostGIS what asks spatial_ref_sys, that is
// geography, GeoJSON and all that transforms, and distances and areas, whose implementation a setting
// chose before version 3.
var extensions = map[string]extension{
	"citext": {
		types: newSet("citext"),
		functions: newSet("citext", "citext_eq", "citext_ne", "citext_lt", "citext_le", "citext_gt", "citext_ge",
			"citext_cmp", "citext_hash", "citext_hash_extended", "citext_smaller", "citext_larger", "min", "max",
			"citext_pattern_lt", "citext_pattern_le", "citext_pattern_gt", "citext_pattern_ge", "citext_pattern_cmp",
			"texticlike", "texticnlike", "texticregexeq", "texticregexne"),
	},
	"hstore": {
		types: newSet("hstore"),
		functions: newSet("hstore", "fetchval", "exist", "exists_any", "exists_all", "isdefined", "delete", "slice",
			"slice_array", "tconvert", "akeys", "avals", "skeys", "svals", "hs_concat", "hs_contains", "hs_contained",
			"hstore_to_array", "hstore_to_matrix", "hstore_to_json", "hstore_to_json_loose", "hstore_to_jsonb",
			"hstore_to_jsonb_loose", "hstore_eq", "hstore_ne", "hstore_lt", "hstore_le", "hstore_gt", "hstore_ge",
			"hstore_cmp", "hstore_hash", "hstore_hash_extended"),
	},
	"ltree": {
		types: newSet("ltree", "lquery", "ltxtquery"),
		functions: newSet("ltree_cmp", "ltree_lt", "ltree_le", "ltree_eq", "ltree_ge", "ltree_gt", "ltree_ne",
			"hash_ltree", "hash_ltree_extended", "nlevel", "subltree", "subpath", "index", "lca", "text2ltree",
			"ltree2text", "ltree_addltree", "ltree_addtext", "ltree_textadd", "ltree_isparent", "ltree_risparent",
			"ltq_regex", "ltq_rregex", "lt_q_regex", "lt_q_rregex", "ltxtq_exec", "ltxtq_rexec", "_ltree_isparent",
			"_ltree_r_isparent", "_ltree_risparent", "_ltree_r_risparent", "_ltq_regex", "_ltq_rregex", "_lt_q_regex",
			"_lt_q_rregex", "_ltxtq_exec", "_ltxtq_rexec", "_ltree_extract_isparent", "_ltree_extract_risparent",
			"_ltq_extract_regex", "_ltxtq_extract_exec"),
	},
	"cube": {
		types: newSet("cube"),
		functions: newSet("cube", "cube_eq", "cube_ne", "cube_lt", "cube_gt", "cube_le", "cube_ge", "cube_cmp",
			"cube_contains", "cube_contained", "cube_overlap", "cube_union", "cube_inter", "cube_size", "cube_subset",
			"cube_distance", "distance_chebyshev", "distance_taxicab", "cube_dim", "cube_ll_coord", "cube_ur_coord",
			"cube_coord", "cube_coord_llur", "cube_is_point", "cube_enlarge"),
	},
	"vector": {
		types: newSet("vector", "halfvec", "sparsevec"),
		functions: newSet("vector", "array_to_vector", "vector_to_float4", "vector_dims", "vector_norm",
			"halfvec", "array_to_halfvec", "halfvec_to_float4", "vector_to_halfvec",
			"sparsevec", "vector_to_sparsevec", "halfvec_to_sparsevec"),
	},
	"postgis": {
		printed: newSet("geometry", "box2d", "box3d"),
		functions: newSet("geometry_overlaps", "geometry_contains", "geometry_within", "geometry_same",
			"geometry_left", "geometry_right", "geometry_above", "geometry_below",
			"geometry_overleft", "geometry_overright", "geometry_overabove", "geometry_overbelow",
			"geometry_lt", "geometry_le", "geometry_eq", "geometry_ge", "geometry_gt", "geometry_cmp", "geometry_hash",
			"st_x", "st_y", "st_z", "st_m", "st_ndims", "st_coorddim", "st_dimension", "st_geometrytype",
			"st_isempty", "st_isclosed", "st_npoints", "st_numpoints", "st_numgeometries",
			"st_startpoint", "st_endpoint", "st_pointn", "st_geometryn", "st_envelope",
			"st_xmin", "st_ymin", "st_zmin", "st_xmax", "st_ymax", "st_zmax",
			"st_asewkb", "st_ashexewkb", "st_makepoint", "st_point", "st_makeenvelope",
			"st_contains", "st_within", "st_touches", "st_crosses", "st_overlaps", "st_equals", "st_disjoint"),
		overloads: newSet("geometry(geometry, integer, boolean)", "box2d(geometry)", "box3d(geometry)",
			"st_srid(geometry)", "geometrytype(geometry)", "st_setsrid(geometry, integer)", "st_expand(geometry, double precision)",
			"st_astext(geometry)", "st_astext(geometry, integer)", "st_asewkt(geometry)", "st_asewkt(geometry, integer)",
			"st_asbinary(geometry)", "st_asbinary(geometry, text)",
			"st_intersects(geometry, geometry)", "st_covers(geometry, geometry)", "st_coveredby(geometry, geometry)",
			"st_dwithin(geometry, geometry, double precision)", "geometry_sortsupport(internal)"),
	},
	"pg_trgm": {functions: newSet("similarity", "show_trgm", "word_similarity", "strict_word_similarity", "similarity_dist",
		"word_similarity_dist_op", "word_similarity_dist_commutator_op", "strict_word_similarity_dist_op",
		"strict_word_similarity_dist_commutator_op")},
	"pgcrypto": {functions: newSet("digest", "hmac", "crypt", "encrypt", "decrypt", "encrypt_iv", "decrypt_iv")},
	"fuzzystrmatch": {functions: newSet("levenshtein", "levenshtein_less_equal", "metaphone", "soundex", "text_soundex",
		"difference", "dmetaphone", "dmetaphone_alt")},
	"uuid-ossp": {functions: newSet("uuid_nil", "uuid_ns_dns", "uuid_ns_url", "uuid_ns_oid", "uuid_ns_x500",
		"uuid_generate_v3", "uuid_generate_v5")},
}

// reviewed tells whether a function of an extension was read and found pure.
func (f *function) reviewed() bool {
	of := extensions[f.extension]
	return f.volatility == "i" && (of.functions[f.name] && !f.open || of.overloads[f.name+"("+f.arguments+")"])
}

// reviewed tells whether a type of an extension was read and found to be printable
// and readable.
func (t *typeInfo) reviewed() bool { return t.kind == "b" && extensions[t.extension].types[t.name] }

// printed tells whether it was read and found to be printable, while some texts are read with
// the help of a table.
func (t *typeInfo) printed() bool { return t.kind == "b" && extensions[t.extension].printed[t.name] }

// looksUp tells whether to read a text of a type may take a table.
func (c *catalog) looksUp(oid uint32) bool {
	return !c.readable(oid) && !c.madeOf(oid, catalogRoundsMax, typeQuestion{known: printable, through: []string{"a", "c", "d", "r", "m"}})
}

// memberSQL names the extension that made the object of a catalog, or NULL.
func memberSQL(catalog, oid string) string {
	return `(SELECT e.extname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
		WHERE d.classid = 'pg_catalog.` + catalog + `'::pg_catalog.regclass AND d.objid = ` + oid + ` AND d.objsubid = 0
		AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e')`
}

// functionExtensionSQL names the extension of a function p, ” unless the function, and
// all that an aggregate calls, are in C or of Postgres' own, without settings for the
// time of a call.
var functionExtensionSQL = `
	coalesce((SELECT CASE WHEN pg_catalog.bool_and(l.lanname IN ('c', 'internal') AND m.proconfig IS NULL)
	                       AND pg_catalog.count(*) OPERATOR(pg_catalog.=) pg_catalog.count(m.extension)
	                       AND pg_catalog.min(m.extension) OPERATOR(pg_catalog.=) pg_catalog.max(m.extension) THEN pg_catalog.min(m.extension) END
	          FROM (SELECT f.prolang, f.proconfig, ` + memberSQL("pg_proc", "f.oid") + ` AS extension FROM pg_catalog.pg_proc f
	                WHERE p.oid >= 16384 AND f.oid IN (SELECT p.oid UNION ALL SELECT pg_catalog.unnest(ARRAY[a.aggtransfn, a.aggfinalfn,
	                    a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn]::pg_catalog.oid[])
	                    FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid::pg_catalog.oid = p.oid)) m
	          JOIN pg_catalog.pg_language l ON l.oid = m.prolang), '')`

// loadOperators reads, of operators of users that order or group, the functions of
// users that do so: their own, and those of each family of btree or hash that they are in.
func (c *catalog) loadOperators(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	if len(oids) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, `
		SELECT r.oid, ARRAY(
			SELECT f.oid FROM (
				SELECT r.oprcode::pg_catalog.oid
				UNION SELECT f.oid FROM pg_catalog.pg_amop u
				JOIN pg_catalog.pg_am a ON a.oid = u.amopmethod AND a.amname IN ('btree', 'hash')
				CROSS JOIN LATERAL (SELECT u.amopfamily AS opcfamily) o
				CROSS JOIN LATERAL (`+classFunctionsSQL+`) f(oid)
				WHERE u.amopopr = r.oid) f(oid)
			WHERE f.oid >= 16384)
		FROM pg_catalog.pg_operator r WHERE r.oid = ANY ($1)`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var functions []uint32
	_, err = pgx.ForEachRow(rows, []any{&oid, &functions}, func() error {
		c.operators[oid] = append([]uint32{}, functions...)
		return nil
	})
	return err
}

// operator returns the functions of users behind an operator of users; nil if there is
// no such operator.
func (c *catalog) operator(oid uint32) []uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.operators[oid]
}
