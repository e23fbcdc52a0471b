//go:build !linux || race || heapslab

package slab

// OffHeap says whether the memory of arenas is outside of the Go heap.
const OffHeap = false

// regionBits is the binary logarithm of the size of a region.
const regionBits = 20

// mapMemory returns size bytes of zeroed memory and whether they are a mapping.
func mapMemory(size int) (b []byte, mapped bool) { return make([]byte, size), false }

// unmapMemory has nothing to do: there are no mappings.
func unmapMemory([]byte) {}

// unmapEmpty has nothing to do: there are no mappings.
func unmapEmpty([]byte) {}

// discard has nothing to do: there are no mappings.
func discard([]byte) {}

// spoil overwrites what was freed: whoever still looks at it notices.
func spoil(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
