package slab

import (
	"sync/atomic"
	"unsafe"
)

// Load32 reads the word in the first four bytes of b atomically; they must be aligned, as every fourth byte of an object is.
// Any goroutine.
func Load32(b []byte) uint32 { return atomic.LoadUint32(word(b)) }

// Store32 writes it atomically, in the byte order of the machine. Any goroutine.
func Store32(b []byte, v uint32) { atomic.StoreUint32(word(b), v) }

// word is checked against the bounds of b.
func word(b []byte) *uint32 { return (*uint32)(unsafe.Pointer((*[4]byte)(b))) }

// As is the memory of b, which begins where an object does, as elements of a type that has no pointers and needs no finer place
// than that. Any goroutine that may call Bytes.
func As[T any](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))/unsafe.Sizeof(*new(T)))
}
