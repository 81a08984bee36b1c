package cache

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
)

// Resolution is what a dependency comes to.
type Resolution struct {
	// Tags end an answer that has the dependency. None: nothing would, and it is
	// loaded every time.
	Tags []fence.Tag
	// Doubt, unless nil, says why the tags are none, or those of a whole table. It
	// names no value.
	Doubt func() string
}

// Watched resolves dependencies by what a follower knows to be watched; state is its
// State.
func Watched(state func() *invalidation.State) func(Dependency, fence.Label) Resolution {
	return func(d Dependency, label fence.Label) Resolution {
		now := state()
		if !now.Installed() || !label.Lower.Includes(now.Since()) {
			return Resolution{} // not yet
		}
		return resolve(now, d)
	}
}

func resolve(state *invalidation.State, d Dependency) Resolution {
	switch {
	case strings.HasPrefix(d.Name, fence.OwnReserved):
		return Resolution{Doubt: func() string {
			return fmt.Sprintf("the name of a Tag begins with %s, which freshet.touch refuses, so that nothing would end it: name it otherwise; every call loads", fence.OwnReserved)
		}}
	case d.Name != "":
		return Resolution{Tags: []fence.Tag{fence.OwnTag(d.Name), fence.OwnWholesaleTag}}
	case d.Table == "":
		return Resolution{Doubt: func() string { return "a dependency names nothing: make it with Row, Table or Tag" }}
	}
	table, ok := state.ByName(d.Table)
	if !ok {
		return Resolution{Doubt: func() string {
			return fmt.Sprintf("%q is no watched table (and a view never is, its tables are): every call loads%s", d.Table, nearest(d.Table, names(state)))
		}}
	}
	if d.Column == "" {
		return wholeTable(table.Root, nil)
	}
	i := slices.Index(table.Columns, d.Column)
	if i < 0 {
		return wholeTable(table.Root, func() string {
			return fmt.Sprintf("%q is no column of %s whose values are watched: every change of the table counts%s", d.Column, d.Table, nearest(d.Column, table.Columns))
		})
	}
	value, ok := spelled(table.Types[i], d.Value)
	if !ok {
		return wholeTable(table.Root, func() string {
			return fmt.Sprintf("a value of type %T is none of %s.%s, as far as can be told: every change of the table counts", d.Value, d.Table, d.Column)
		})
	}
	return Resolution{Tags: []fence.Tag{fence.ValueTag(table.Root, d.Column, value), fence.WholesaleTag(table.Root), fence.RelationSchemaTag(table.Root)}}
}

// wholeTable is a dependency on everything in a table, for a doubt unless that is nil.
func wholeTable(root uint32, doubt func() string) Resolution {
	return Resolution{Tags: []fence.Tag{fence.TableTag(root), fence.RelationSchemaTag(root)}, Doubt: doubt}
}

// spelled writes a value as Postgres prints that of a column of a type: the row may
// have been asked for as "05" or with a uuid in capitals, and its tag is moved in one
// spelling only. Values that are compared in another way than as one of the column's
// type are not spelled.
func spelled(typ uint32, value any) (string, bool) {
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		return "", false
	}
	switch {
	case v.Kind() == reflect.String:
		return analysis.CanonicalInput(typ, v.String())
	case v.CanInt() && isInteger(typ):
		return analysis.CanonicalInput(typ, strconv.FormatInt(v.Int(), 10))
	case v.CanUint() && isInteger(typ):
		return analysis.CanonicalInput(typ, strconv.FormatUint(v.Uint(), 10))
	case v.Kind() == reflect.Bool && typ == pgtype.BoolOID:
		return strconv.FormatBool(v.Bool()), true
	case v.Kind() == reflect.Array && v.Len() == 16 && v.Type().Elem().Kind() == reflect.Uint8 && typ == pgtype.UUIDOID:
		var id [16]byte
		reflect.Copy(reflect.ValueOf(&id).Elem(), v)
		return analysis.CanonicalInput(typ, hex.EncodeToString(id[:]))
	}
	return "", false
}

func isInteger(typ uint32) bool {
	return typ == pgtype.Int2OID || typ == pgtype.Int4OID || typ == pgtype.Int8OID
}

func names(state *invalidation.State) []string {
	var all []string
	for _, t := range state.Tables() {
		all = append(all, t.Schema+"."+t.Name)
	}
	return all
}

// nearest says which of the known names was meant, if one is near.
func nearest(name string, known []string) string {
	best, least := "", max(len(name)/3, 1)+1
	for _, k := range known {
		if strings.HasSuffix(k, "."+name) {
			best = k
			break
		}
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters must be put in, taken out or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
