//go:build linux && !race && !heapslab

package slab

import "syscall"

// OffHeap says whether the memory of arenas is outside of the Go heap.
const OffHeap = true

// regionBits is the binary logarithm of the size of a region.
const regionBits = 26

// mapMemory returns size bytes of zeroed memory and whether they are a mapping.
//
// It has no huge pages, whatever the system does otherwise. They win little here, and where memory was given back the
// system would fill the hole again: what is resident grows back behind the owner's back.
func mapMemory(size int) (b []byte, mapped bool) {
	const prot, flags = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_ANON | syscall.MAP_PRIVATE | syscall.MAP_NORESERVE
	b, err := syscall.Mmap(-1, 0, size, prot, flags)
	if err != nil {
		return make([]byte, size), false
	}
	_ = syscall.Madvise(b, syscall.MADV_NOHUGEPAGE) // an error means that the system has none
	return b, true
}

// unmapMemory gives a mapping back, whose content nobody may look at any more.
func unmapMemory(b []byte) {
	discard(b) // syscall.Munmap holds a lock that mapMemory waits for; this takes the time, and no lock
	unmapEmpty(b)
}

// unmapEmpty is unmapMemory for a mapping whose memory is given back already.
func unmapEmpty(b []byte) {
	// An error means that b is no mapping: then there is nothing to give back.
	_ = syscall.Munmap(b)
}

// discard gives the memory of b, whole pages of a mapping, back to the system; it reads as zero then.
func discard(b []byte) {
	// An error leaves the memory as it is.
	_ = syscall.Madvise(b, syscall.MADV_DONTNEED)
}

// spoil does nothing here: see the other build.
func spoil([]byte) {}
