package probe

import "github.com/freshet/freshet/sidecar/internal/digest"

// parseTimeSettings are what a prepared statement may keep from its parsing or
// planning: KeptBy has to know of each. The encoding is that of its text, and the level of
// messages decides whether a notice of the parsing could be noticed.
var parseTimeSettings = []string{
	"array_nulls", "backslash_quote", "bytea_output", "client_encoding", "client_min_messages", "DateStyle",
	"default_text_search_config", "escape_string_warning", "extra_float_digits", "IntervalStyle", "lc_monetary",
	"quote_all_identifiers", "standard_conforming_strings", "TimeZone", "timezone_abbreviations",
	"transform_null_equals", "xmlbinary", "xmloption",
}

// parseTimeDigest names the values of parseTimeSettings.
func parseTimeDigest(found map[string][]byte) digest.Digest {
	values := make([][]byte, len(parseTimeSettings))
	for i, name := range parseTimeSettings {
		values[i] = found[name]
	}
	return digest.Of(digest.AppendParts(nil, values))
}
