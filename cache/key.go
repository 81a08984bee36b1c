package cache

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
)

// appendKey appends an encoding of v in which different values of one type are
// different bytes, in every process. It panics for what keyable refuses.
func appendKey(dst []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(dst, 1)
		}
		return append(dst, 0)
	case reflect.String:
		dst = binary.AppendUvarint(dst, uint64(v.Len()))
		return append(dst, v.String()...)
	case reflect.Float32, reflect.Float64:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v.Float()))
	case reflect.Complex64, reflect.Complex128:
		dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(real(v.Complex())))
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(imag(v.Complex())))
	case reflect.Array:
		for i := range v.Len() {
			dst = appendKey(dst, v.Index(i))
		}
		return dst
	case reflect.Struct:
		for i := range v.NumField() {
			dst = appendKey(dst, v.Field(i))
		}
		return dst
	}
	if v.CanInt() {
		return binary.AppendVarint(dst, v.Int())
	}
	return binary.AppendUvarint(dst, v.Uint())
}

// keyable returns an error for types whose values mean something in one process
// only, or nothing to compare.
func keyable(t reflect.Type) error {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Chan, reflect.UnsafePointer:
		return fmt.Errorf("the key type has a %s, whose identity ends with the process: set Policy.KeyBytes", t)
	case reflect.Array:
		return keyable(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if err := keyable(t.Field(i).Type); err != nil {
				return err
			}
		}
	}
	return nil
}
