// Package slab keeps small byte records outside of the Go heap, where the garbage collector neither scans nor counts them.
//
// # Layout
//
//	Arena   regions, and for each size class the spans with room by occupancy
//	region  regionSize bytes of address space, divided into pages of 64 KiB
//	span    1, 4 or 8 pages divided into objects of one class
//	object  what Alloc hands out
//
// A Ref is the object's address in granules of 8 bytes, counted over all regions: 40 bits reach 8 TiB. The first page of
// the first region is never handed out, so no object has the Ref 0.
//
// Classes go in steps of 8 bytes up to 256, then 16 to each doubling up to 32 KiB. Larger objects are runs of whole
// pages, and beyond half a region they have a mapping of their own that takes as many region numbers as it covers.
//
// A span that has become empty goes back to the pages, for any class. Pages that nobody uses are given back to the
// operating system as soon as they are more than a small share; large ones step by step, with the calls that follow.
//
// # Occupancy
//
// The spans with room stand in lists by how full they are. Alloc takes from the fullest, so that the others become empty.
// Where that is not enough, because objects of another size come than have gone, Evacuate moves the objects of the
// emptiest spans of a class into its fuller ones. The owner decides when, and changes what refers to them. A span that goes
// this way with f of its places in use costs f times a span in bytes copied, so what is copied is never more than what is
// won, and that was freed by somebody before.
//
// # Builds
//
// On Linux a region is an anonymous mapping that takes memory page by page as it is used. With the build tag heapslab,
// under the race detector, and elsewhere it is a byte slice of the Go heap, and smaller: the same code, the same Live.
// There the bytes of a freed object are overwritten, so that tests notice who still looks at them.
// If the system refuses a mapping, the slice of the Go heap takes its place too.
//
// Every access is checked against the bounds of its region, or of an object. Package unsafe serves for two things, here and nowhere
// else, see word.go: words of objects that several goroutines change are atomic, and the bytes of an object are looked at as numbers.
//
// # Goroutines
//
// Alloc, Free, Retire, Release, Evacuate, Tidy, Close and CloseStep are for one goroutine at a time. Any goroutine may call Bytes and From
// for a Ref that it got from that one, through a lock or another synchronisation, as long as nobody frees the object or
// closes the Arena. Slices do not keep an Arena alive: its memory goes when it is closed, or collected.
package slab
