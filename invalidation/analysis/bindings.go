package analysis

import "maps"

// Some functions of Postgres find what else to call when they run, by the types of
// what they are given: to_json a cast to json, an array's = the operator of its
// elements. No tree shows that, and what is found may be a user's function, which
// reads whatever it likes:
//
//  1. to_json(e) of an enum e calls the user's cast to json, which reads a table of
//     texts;
//  2. the answer is kept, with the tags of e's table alone;
//  3. a text is changed: no tag of the answer moves.
//
// So each function that can be given a type of the user's is known by what it finds,
// and each type by the functions of users that can be found for it.
// (TestCase45LateBinding)

// binding says what a function of Postgres finds when it runs.
type binding byte

const (
	bindsAll               binding = iota // not known: all that can be found for a type
	bindsNothing                          // at most input and output functions, which of the types allowed are Postgres' own
	bindsCasts                            // casts to json or text
	bindsOperators                        // the default operator classes of a type, what makes a range canonical
	bindsTextSearch                       // the parser and the dictionaries of the text search configuration given
	bindsDefaultTextSearch                // those of default_text_search_config
	bindsDictionaries                     // a dictionary or a parser
	bindsConversions                      // the conversion between two encodings
	bindsPartitions                       // the support functions of a partitioned table's key
)

// bindings holds every function of pg_catalog that can be given, or return, a type of
// the user's and is allowed, every overload of each; and those that find something
// else than by type. TestBindingsAreReviewed has the signatures, of each supported
// version.
var bindings = merged(
	bindingsOf(bindsNothing,
		"any_value", "any_value_transfn", "array_agg", "array_append", "array_cat", "array_dims", "array_fill",
		"array_length", "array_lower", "array_ndims", "array_prepend", "array_reverse", "array_upper", "cardinality",
		"generate_subscripts", "trim_array", "unnest",
		"array_to_string", "concat", "concat_ws", "format",
		"count", "int8dec_any", "int8inc_any", "num_nonnulls", "num_nulls",
		"cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "percent_rank", "rank",
		// These compare with the operators of their ORDER BY, which stand in the tree.
		"mode", "percentile_disc",
		"enum_cmp", "enum_eq", "enum_first", "enum_ge", "enum_gt", "enum_larger", "enum_last", "enum_le", "enum_lt",
		"enum_ne", "enum_range", "enum_smaller", "hashenum", "hashenumextended",
		// Byte by byte.
		"btrecordimagecmp", "record_image_eq", "record_image_ge", "record_image_gt", "record_image_le",
		"record_image_lt", "record_image_ne",
		"isempty", "lower", "lower_inc", "lower_inf", "upper", "upper_inc", "upper_inf",
		"json_each", "json_each_text", "jsonb_each", "jsonb_each_text", "pg_ddl_command_send", "pg_walfile_name_offset",
		"unknownsend", "pg_collation_for", "pg_typeof",
	),
	bindingsOf(bindsCasts,
		"anytextcat", "textanycat", "quote_literal", "quote_nullable",
		"array_to_json", "row_to_json", "to_json", "to_jsonb",
		"json_agg", "json_agg_strict", "json_build_array", "json_build_object", "json_object_agg",
		"json_object_agg_strict", "json_object_agg_unique", "json_object_agg_unique_strict",
		"jsonb_agg", "jsonb_agg_strict", "jsonb_build_array", "jsonb_build_object", "jsonb_object_agg",
		"jsonb_object_agg_strict", "jsonb_object_agg_unique", "jsonb_object_agg_unique_strict",
	),
	bindingsOf(bindsOperators,
		"array_eq", "array_ge", "array_gt", "array_larger", "array_le", "array_lt", "array_ne", "array_position",
		"array_positions", "array_remove", "array_replace", "array_smaller", "array_sort", "arraycontained",
		"arraycontains", "arrayoverlap", "btarraycmp", "hash_array", "hash_array_extended", "width_bucket",
		"btrecordcmp", "hash_record", "hash_record_extended", "record_eq", "record_ge", "record_gt", "record_larger",
		"record_le", "record_lt", "record_ne", "record_smaller", "max", "min",
		"elem_contained_by_range", "hash_range", "hash_range_extended", "range_adjacent", "range_after", "range_agg",
		"range_before", "range_cmp", "range_contained_by", "range_contains", "range_contains_elem", "range_eq",
		"range_ge", "range_gt", "range_intersect", "range_intersect_agg", "range_intersect_agg_transfn", "range_le",
		"range_lt", "range_merge", "range_minus", "range_ne", "range_overlaps", "range_overleft", "range_overright",
		"range_union",
		"elem_contained_by_multirange", "hash_multirange", "hash_multirange_extended", "multirange",
		"multirange_adjacent_multirange", "multirange_adjacent_range", "multirange_after_multirange",
		"multirange_after_range", "multirange_before_multirange", "multirange_before_range", "multirange_cmp",
		"multirange_contained_by_multirange", "multirange_contained_by_range", "multirange_contains_elem",
		"multirange_contains_multirange", "multirange_contains_range", "multirange_eq", "multirange_ge",
		"multirange_gt", "multirange_intersect", "multirange_intersect_agg_transfn", "multirange_le", "multirange_lt",
		"multirange_minus", "multirange_ne", "multirange_overlaps_multirange", "multirange_overlaps_range",
		"multirange_overleft_multirange", "multirange_overleft_range", "multirange_overright_multirange",
		"multirange_overright_range", "multirange_union",
		"range_adjacent_multirange", "range_after_multirange", "range_before_multirange",
		"range_contained_by_multirange", "range_contains_multirange", "range_overlaps_multirange",
		"range_overleft_multirange", "range_overright_multirange",
	),
	bindingsOf(bindsTextSearch,
		"json_to_tsvector", "jsonb_to_tsvector", "phraseto_tsquery", "plainto_tsquery", "to_tsquery", "to_tsvector",
		"ts_headline", "websearch_to_tsquery",
	),
	bindingsOf(bindsDictionaries, "ts_lexize", "ts_parse", "ts_token_type"),
	bindingsOf(bindsConversions, "convert", "convert_from", "convert_to"),
	bindingsOf(bindsPartitions, "satisfies_hash_partition"),
)

func bindingsOf(b binding, names ...string) map[string]binding {
	m := make(map[string]binding, len(names))
	for _, n := range names {
		m[n] = b
	}
	return m
}

func merged(parts ...map[string]binding) map[string]binding {
	all := map[string]binding{}
	for _, p := range parts {
		maps.Copy(all, p)
	}
	return all
}

// binding returns what a function of pg_catalog finds when it runs. One that takes
// and returns nothing but types of Postgres' own finds nothing by type.
func (f *function) binding() binding {
	b, known := bindings[f.name]
	switch {
	case !known && !f.open:
		return bindsNothing
	case b == bindsTextSearch && !f.configured:
		return bindsDefaultTextSearch
	}
	return b
}
