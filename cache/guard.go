package cache

import (
	"hash/maphash"
	"math"
	"reflect"
)

// Values are shared between callers, who must not change them. Where CacheOptions.OnChanged
// says who is to hear of it, each value is digested when it is kept and at each hit, as
// deep as it goes: a caller who changes what he was given is found.

// fingerprintSeed is that of the fingerprints of this process.
var fingerprintSeed = maphash.MakeSeed()

// fingerprintMax is how many parts of a value are looked at: what refers to itself has no
// end, and is not watched.
const fingerprintMax = 1 << 16

// fingerprintOf is a fingerprint of a value and of all that it refers to, 0 if that is too
// much.
func fingerprintOf(v reflect.Value) uint64 {
	var h maphash.Hash
	h.SetSeed(fingerprintSeed)
	left := fingerprintMax
	fingerprint(&h, v, &left)
	if left < 0 {
		return 0
	}
	return h.Sum64()
}

// fingerprint adds a value, as long as parts are left. Functions and channels, whose content
// nobody can tell, count as nothing.
func fingerprint(h *maphash.Hash, v reflect.Value, left *int) {
	if *left--; *left < 0 {
		return
	}
	switch v.Kind() {
	case reflect.Invalid, reflect.Func, reflect.Chan, reflect.UnsafePointer:
	case reflect.String:
		maphash.WriteComparable(h, v.String())
	case reflect.Pointer, reflect.Interface:
		maphash.WriteComparable(h, v.IsNil())
		fingerprint(h, v.Elem(), left)
	case reflect.Slice, reflect.Array:
		maphash.WriteComparable(h, v.Len())
		for i := range v.Len() {
			fingerprint(h, v.Index(i), left)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fingerprint(h, v.Field(i), left)
		}
	case reflect.Map:
		maphash.WriteComparable(h, fingerprintOfMap(v, left))
	default:
		fingerprintScalar(h, v)
	}
}

// fingerprintScalar adds a number or a truth value.
func fingerprintScalar(h *maphash.Hash, v reflect.Value) {
	switch {
	case v.CanInt():
		maphash.WriteComparable(h, v.Int())
	case v.CanUint():
		maphash.WriteComparable(h, v.Uint())
	case v.CanFloat():
		maphash.WriteComparable(h, math.Float64bits(v.Float()))
	case v.CanComplex():
		c := v.Complex()
		maphash.WriteComparable(h, [2]uint64{math.Float64bits(real(c)), math.Float64bits(imag(c))})
	default:
		maphash.WriteComparable(h, v.Bool())
	}
}

// fingerprintOfMap is a sum of the entries', which come in any order.
func fingerprintOfMap(v reflect.Value, left *int) (sum uint64) {
	for entries := v.MapRange(); entries.Next(); {
		var h maphash.Hash
		h.SetSeed(fingerprintSeed)
		fingerprint(&h, entries.Key(), left)
		fingerprint(&h, entries.Value(), left)
		sum += h.Sum64()
	}
	return sum + uint64(v.Len())
}

// guard digests the value of an entry that is made, if anybody wants to hear of changes.
func (w *wrapped[K, V]) guard(p *typed[K, V]) {
	if w.cache.onChanged != nil {
		p.fingerprint = fingerprintOf(reflect.ValueOf(&p.value).Elem())
	}
}

// verify tells of a value that is not what was kept.
func (w *wrapped[K, V]) verify(p *typed[K, V]) {
	if w.cache.onChanged != nil && p.fingerprint != 0 && p.fingerprint != fingerprintOf(reflect.ValueOf(&p.value).Elem()) {
		w.cache.onChanged(w.name)
	}
}
