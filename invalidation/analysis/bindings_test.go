package analysis

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// reviewedBindings lists the functions of pg_catalog of all supported versions that
// can find something at run time and are allowed, with what each finds. Whoever adds
// a line has read the function's source: what does it look up in the type cache, or
// in pg_cast, or by name?
//
//go:embed testdata/bindings.txt
var reviewedBindings string

var bindingNames = map[string]binding{
	"nothing": bindsNothing, "casts": bindsCasts, "operators": bindsOperators,
	"textsearch": bindsTextSearch, "defaulttextsearch": bindsDefaultTextSearch, "dictionaries": bindsDictionaries,
	"conversions": bindsConversions, "partitions": bindsPartitions,
}

// boundSQL lists the functions of Postgres that can find something at run time: those
// that take or return a type that only the call tells, or a text search
// configuration or dictionary, those that are texts to be parsed, and those named.
const boundSQL = `
	SELECT p.oid, p.proname::text, p.provolatile::text, pg_catalog.oidvectortypes(p.proargtypes),
	       EXISTS (SELECT FROM pg_type t WHERE t.typtype = 'p' AND t.typname <> 'void' AND (t.oid = ANY (p.proargtypes) OR t.oid = p.prorettype)),
	       'regconfig'::regtype = ANY (p.proargtypes), l.lanname = 'sql' AND p.prosqlbody IS NULL
	FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prorettype <> ALL ('{cstring,internal,trigger,event_trigger}'::regtype[])
	AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) a WHERE a IN ('cstring'::regtype, 'internal'::regtype))
	AND (EXISTS (SELECT FROM pg_type t WHERE t.typtype = 'p' AND t.typname <> 'void' AND (t.oid = ANY (p.proargtypes) OR t.oid = p.prorettype))
		OR p.proargtypes::oid[] && ARRAY['regconfig'::regtype, 'regdictionary'::regtype]::oid[]
		OR l.lanname = 'sql' AND p.prosqlbody IS NULL
		OR p.proname = ANY ($1))
	ORDER BY 2, 4`

// A function that Postgres has got since, or an overload, is unknown: it is refused
// with types that code of users hangs on, until somebody has read it.
func TestBindingsAreReviewed(t *testing.T) {
	reviewed, names := map[string]binding{}, map[string]bool{}
	for line := range strings.Lines(reviewedBindings) {
		signature, class, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		b, known := bindingNames[class]
		if !ok || !known {
			t.Fatalf("testdata/bindings.txt: %q", line)
		}
		reviewed[signature] = b
		name, _, _ := strings.Cut(signature, "(")
		names[name] = true
	}
	var named []string
	for name := range bindings {
		if !names[name] {
			t.Errorf("%s has a binding, and no reviewed signature", name)
		}
		named = append(named, name)
	}
	b := setup(t)
	rows, err := b.conn.Query(t.Context(), boundSQL, named)
	if err != nil {
		t.Fatal(err)
	}
	met := 0
	var oid uint32
	var f function
	var arguments string
	var text bool
	if _, err := pgx.ForEachRow(rows, []any{&oid, &f.name, &f.volatility, &arguments, &f.open, &f.configured, &text}, func() error {
		f.schema = "pg_catalog"
		if f.judge(oid) != nil {
			return nil
		}
		met++
		signature := f.name + "(" + arguments + ")"
		if class, ok := reviewed[signature]; !ok {
			t.Errorf("not reviewed: %s", signature)
		} else if class != f.binding() {
			t.Errorf("%s: reviewed as %d, bound as %d", signature, class, f.binding())
		}
		if text && !strings.Contains(textsToParse, " "+f.name+" ") {
			t.Errorf("%s is a text that is parsed when it runs: does it name everything with its schema?", signature)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if met < 200 {
		t.Errorf("met %d functions", met)
	}
}

// textsToParse are the functions of Postgres whose body is a text, parsed under the
// search path of the moment. All it names in these has its schema.
const textsToParse = " anytextcat textanycat quote_literal quote_nullable "

func TestUnknownFunctionsFindEverything(t *testing.T) {
	code := userCode{casts: []uint32{1}, operators: []uint32{2}}
	for _, c := range []struct {
		f    function
		want int
	}{
		{function{name: "to_come", open: true}, 2},
		{function{name: "to_come"}, 0},
		{function{name: "to_json", open: true}, 1},
		{function{name: "array_eq", open: true}, 1},
	} {
		found := 0
		if b := c.f.binding(); b != bindsNothing {
			found = len(code.found(b))
		}
		if found != c.want {
			t.Errorf("%+v finds %d functions, want %d", c.f, found, c.want)
		}
	}
}
