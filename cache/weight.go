package cache

import (
	"reflect"
	"slices"
	"time"
	"unsafe"
)

var timeType = reflect.TypeFor[time.Time]()

// memoryOf returns the memory that a value holds, in bytes, or something above
// most if it is more.
func memoryOf(v reflect.Value, most int) int {
	w := weighing{most: most}
	w.add(int(v.Type().Size()))
	w.referred(v)
	return w.total
}

// weighing adds up what a value holds. What several pointers lead to counts once.
type weighing struct {
	total, most int
	// few are the first pointers, and seen, unless nil, those behind them.
	few  [4]pointee
	n    int // of few
	seen map[pointee]bool
}

type pointee struct {
	at unsafe.Pointer
	of reflect.Type
}

func (w *weighing) add(bytes int) { w.total += bytes }

// full reports whether there is more than anybody wants to know.
func (w *weighing) full() bool { return w.total > w.most }

// referred adds what v refers to outside itself.
func (w *weighing) referred(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		w.add(v.Len())
	case reflect.Pointer:
		if !v.IsNil() && w.first(v) {
			w.whole(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() {
			w.whole(v.Elem())
		}
	case reflect.Slice:
		w.add(v.Cap() * int(v.Type().Elem().Size()))
		w.elements(v)
	case reflect.Array:
		w.elements(v)
	case reflect.Struct:
		w.fields(v)
	case reflect.Map:
		w.pairs(v)
	}
}

// first reports whether a pointer leads to what has not been weighed.
func (w *weighing) first(v reflect.Value) bool {
	to := pointee{v.UnsafePointer(), v.Type()}
	if slices.Contains(w.few[:w.n], to) || w.seen[to] {
		return false
	}
	if w.n < len(w.few) {
		w.few[w.n] = to
		w.n++
		return true
	}
	if w.seen == nil {
		w.seen = map[pointee]bool{}
	}
	w.seen[to] = true
	return true
}

// whole adds a value that lies by itself, and what it refers to.
func (w *weighing) whole(v reflect.Value) {
	w.add(max(int(v.Type().Size()), 1))
	if !w.full() {
		w.referred(v)
	}
}

func (w *weighing) elements(v reflect.Value) {
	if !refers(v.Type().Elem()) {
		return
	}
	for i := 0; i < v.Len() && !w.full(); i++ {
		w.referred(v.Index(i))
	}
}

func (w *weighing) fields(v reflect.Value) {
	if !refers(v.Type()) {
		return
	}
	for i := 0; i < v.NumField() && !w.full(); i++ {
		w.referred(v.Field(i))
	}
}

func (w *weighing) pairs(v reflect.Value) {
	const slotOverhead = 8
	for entries := v.MapRange(); !w.full() && entries.Next(); {
		w.add(slotOverhead)
		w.whole(entries.Key())
		w.whole(entries.Value())
	}
}

// refers reports whether values of a type may refer to something of their own. The
// zone that a time points to is everybody's.
func refers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Struct, reflect.Map:
		return t != timeType
	default:
		return false
	}
}
