package cache

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/cespare/xxhash/v2"
)

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// shapeOf names the structure of a type: a type that gets another field gets
// another shape, so that a new release does not take the old one's values, with
// a zero in the new field, for its own.
func shapeOf(t reflect.Type) string {
	var b strings.Builder
	writeShape(&b, t, map[reflect.Type]bool{})
	return fmt.Sprintf("%s#%016x", t, xxhash.Sum64String(b.String()))
}

func writeShape(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprintf(b, "%s.%s:%s(", t.PkgPath(), t, t.Kind())
	if !seen[t] {
		seen[t] = true
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			writeShape(b, t.Elem(), seen)
		case reflect.Map:
			writeShape(b, t.Key(), seen)
			writeShape(b, t.Elem(), seen)
		case reflect.Struct:
			for i := range t.NumField() {
				fmt.Fprintf(b, "%s %q ", t.Field(i).Name, t.Field(i).Tag)
				writeShape(b, t.Field(i).Type, seen)
			}
		}
	}
	b.WriteByte(')')
}

// lostInJSON returns what of a type does not come back from JSON, or nothing. A
// field that JSON leaves out would be there in the process that loaded it and be
// zero in all others.
func lostInJSON(t reflect.Type, seen map[reflect.Type]bool) string {
	if seen[t] {
		return ""
	}
	seen[t] = true
	if t.Kind() == reflect.Struct {
		// Before the question whether it marshals itself: it does if it embeds
		// something that does, and then loses its other fields.
		for i := range t.NumField() {
			if f := t.Field(i); f.Anonymous && marshalsItself(f.Type) {
				return fmt.Sprintf("the fields beside the embedded %s of %s", f.Name, t)
			}
		}
	}
	if marshalsItself(t) {
		if !unmarshalsItself(t) {
			return t.String()
		}
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return lostInJSON(t.Elem(), seen)
	case reflect.Map:
		if k := t.Key().Kind(); k != reflect.String && (k < reflect.Int || k > reflect.Uint64) {
			return t.String()
		}
		return lostInJSON(t.Elem(), seen)
	case reflect.Struct:
		return lostFields(t, map[string]bool{}, seen)
	case reflect.Interface, reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return t.String()
	default:
		return ""
	}
}

// lostFields looks at the fields of a struct, and of those that it embeds. names
// holds those that were seen: of two with one name JSON drops one or both.
func lostFields(t reflect.Type, names map[string]bool, seen map[reflect.Type]bool) string {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.IsExported() && f.Type.Kind() == reflect.Struct {
			if lost := lostFields(f.Type, names, seen); lost != "" {
				return lost
			}
			continue
		}
		if name == "" {
			name = f.Name
		}
		name = strings.ToLower(name) // JSON reads names in any case
		if !f.IsExported() || f.Tag.Get("json") == "-" || names[name] {
			return fmt.Sprintf("%s.%s", t, f.Name)
		}
		names[name] = true
		if lost := lostInJSON(f.Type, seen); lost != "" {
			return lost
		}
	}
	return ""
}

func marshalsItself(t reflect.Type) bool {
	return t.Implements(jsonMarshaler) || t.Implements(textMarshaler) ||
		reflect.PointerTo(t).Implements(jsonMarshaler) || reflect.PointerTo(t).Implements(textMarshaler)
}

func unmarshalsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Implements(jsonUnmarshaler) || t.Implements(textUnmarshaler) || p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler)
}
