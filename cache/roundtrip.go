package cache

import (
	"fmt"
	"math"
	"reflect"
)

// What goes to other processes must be there what it is here. So the first
// sampleFirst values of a function, and then one of every sampleEvery, make the way
// there and back at once.
const (
	sampleFirst = 16
	sampleEvery = 1024
)

// sample reports whether the next value is to make the round trip.
func (f *function) sample() bool {
	n := f.sampled.Add(1)
	return n <= sampleFirst || n%sampleEvery == 0
}

// shareable reports whether a value may be given to other processes. If it comes
// back from the codec as another one, no value of the function is: who loads it would
// see what others do not. A value that the codec refuses stays here alone.
func (w *wrapped[K, V]) shareable(v V) bool {
	if w.memoryOnly.Load() != nil {
		return false
	}
	if !w.cache.sharing || !w.sample() {
		return true
	}
	whole, err := w.comesBack(v)
	if err != nil {
		return false
	}
	if !whole {
		w.keepInMemory(w.cache.logger, fmt.Sprintf("a value of %T does not come back from the codec as it was: set Policy.Codec", v))
		return false
	}
	return w.memoryOnly.Load() == nil
}

// comesBack reports whether a value makes the round trip whole.
func (w *wrapped[K, V]) comesBack(v V) (whole bool, err error) {
	encoded, err := w.encode(nil, v)
	if err != nil {
		return false, err
	}
	var back V
	if err := w.decodeValue(encoded, &back); err != nil {
		return false, err
	}
	defer recovered(w.name, "Equal", &err) // the value's own
	return same(reflect.ValueOf(&v).Elem(), reflect.ValueOf(&back).Elem(), sameDepthMax), nil
}

// encode and decodeValue are the codec's methods, the latter into a place that holds nothing
// yet. One that panics is not used again.
func (w *wrapped[K, V]) encode(dst []byte, v V) (_ []byte, err error) {
	defer w.mistrustCodec(&err)
	defer recovered(w.name, inCodec, &err)
	return w.policy.Codec.Append(dst, v)
}

func (w *wrapped[K, V]) decodeValue(src []byte, v *V) (err error) {
	defer w.mistrustCodec(&err)
	defer recovered(w.name, inCodec, &err)
	if ours, ok := w.policy.Codec.(jsonCodec[V]); ok {
		return ours.decodeInto(src, v)
	}
	*v, err = w.policy.Codec.Decode(src)
	return err
}

func (w *wrapped[K, V]) mistrustCodec(err *error) {
	if p, panicked := (*err).(*PanicError); panicked { //nolint:errorlint // what recovered made just now
		w.keepInMemory(w.cache.logger, fmt.Sprintf("%s panicked with a %T", inCodec, p.Value))
	}
}

// sameDepthMax bounds how deep values are compared: what refers to itself has no end.
const sameDepthMax = 100

// same reports whether two values of one type are the same to whoever uses them.
// Types with a method Equal, such as times, know that themselves.
func same(a, b reflect.Value, depth int) bool {
	if depth == 0 {
		return true
	}
	if equal, ok := equalByMethod(a, b); ok {
		return equal
	}
	switch a.Kind() {
	case reflect.Float32, reflect.Float64:
		return a.Float() == b.Float() || math.IsNaN(a.Float()) && math.IsNaN(b.Float())
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && same(a.Elem(), b.Elem(), depth-1)
	case reflect.Slice:
		if a.IsNil() != b.IsNil() {
			return false // another text of JSON, where it goes on to somebody
		}
		return sameElements(a, b, depth)
	case reflect.Array:
		return sameElements(a, b, depth)
	case reflect.Struct:
		for i := range a.NumField() {
			if !same(a.Field(i), b.Field(i), depth-1) {
				return false
			}
		}
		return true
	case reflect.Map:
		return sameMaps(a, b, depth)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return a.IsZero() && b.IsZero()
	default:
		return a.Equal(b)
	}
}

func sameElements(a, b reflect.Value, depth int) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !same(a.Index(i), b.Index(i), depth-1) {
			return false
		}
	}
	return true
}

func sameMaps(a, b reflect.Value, depth int) bool {
	if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
		return false
	}
	for entries := a.MapRange(); entries.Next(); {
		other := b.MapIndex(entries.Key())
		if !other.IsValid() || !same(entries.Value(), other, depth-1) {
			return false
		}
	}
	return true
}

// equalByMethod asks the values themselves, if they can be asked.
func equalByMethod(a, b reflect.Value) (equal, ok bool) {
	if !a.CanInterface() || a.Kind() == reflect.Pointer && (a.IsNil() || b.IsNil()) || a.Kind() == reflect.Interface {
		return false, false
	}
	method := a.MethodByName("Equal")
	if !method.IsValid() {
		return false, false
	}
	t := method.Type()
	if t.NumIn() != 1 || t.In(0) != a.Type() || t.NumOut() != 1 || t.Out(0).Kind() != reflect.Bool || t.IsVariadic() {
		return false, false
	}
	return method.Call([]reflect.Value{b})[0].Bool(), true
}
