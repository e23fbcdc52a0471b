// Package dict is the dictionary of a hash slot, and of whatever else finds records by a key: a dense array of references
// in the order of history, and an index from a part of the key's hash, the tag, to positions.
//
// The dense array is the state. Its order follows from the history of commands alone (append; removal moves the last one
// into the gap), so it is the same on every replica, and it alone decides what a client sees. Tags may come from a hash
// with a seed of this process: they decide nothing but speed.
//
// # What a lookup touches
//
// The header, one cache line; a word of the index; the reference; then the caller's record. The word holds a part of
// the tag, so that a lookup seldom touches a wrong reference; the reference holds the tag, so that it next to never
// touches a wrong record.
//
// # Small and large
//
// Up to smallMax keys the references are one slice and the index one table; up to linearMax there is no index at all. A
// change of their sizes copies some kilobytes. Beyond, references stand in chunks of chunkLen, and the index is an
// extendible hash: a directory of pages, of which a full one splits alone. So no operation does work in proportion to
// the number of keys, except for the directories, some bytes for a thousand keys.
//
// # Where it stands
//
// The tables of a Dict are on the Go heap: there are never more than those of all slots. A Table is a Dict whose slice, index,
// chunks and pages stand in a Space of its owner, for dictionaries that are as many and as large as clients want: what is
// replaced is freed, and on the Go heap are the directories alone, an entry for a chunk or a page.
//
// # Freezing
//
// A copy of the header is a frozen dictionary, of which only the references may be read (View). Before the first change
// after such a copy the owner calls Own: then slice, or directory and later each chunk it changes, become copies first. In a
// Space the ones that they replace are retired, and their memory is used again when nobody reads the copy any more.
package dict
