package cache

import "reflect"

// clips reports whether clip may change a value of a type.
func clips(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		return true
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && clips(f.Type) {
				return true
			}
		}
	}
	return false
}

// clip takes the spare capacity from a slice, and from those in the exported fields
// of a struct. Callers share a value, and each may append to what it got:
//
//  1. a loader returns five elements with room for eight;
//  2. two callers get them, and each appends one of its own;
//  3. both write to the sixth place, and one reads the other's.
//
// Forced by TestCallersMayAppend. What is behind pointers and in elements stays as
// the loader made it, because it may be the loader's own.
func clip(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.Cap() > v.Len() {
			v.Set(v.Slice3(0, v.Len(), v.Len()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && clips(f.Type) {
				clip(v.Field(i))
			}
		}
	}
}
