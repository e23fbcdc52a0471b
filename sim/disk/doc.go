// Package disk is a model of the file system of one node, held in memory: wal runs on it as on the operating system's,
// and every way in which a disk can betray a node happens to it on purpose and again with the same seed.
//
// # What is kept
//
// Each file has two contents: the one that programs see (the page cache) and the one that survives a power failure.
// Each directory has two lists of names in the same way. Sync of a file copies the first content to the second, SyncDir
// of a directory the list; neither does the other's work. Kill, the death of the process, loses neither. Crash, a power
// failure, loses what was not copied, as its Loss says: all of it, none, or a part.
//
// Changes of one file or directory are remembered in order since the last sync. What a partial loss keeps of a file's
// changes has the bytes that the file had at the moment of the failure, because that is what the operating system would
// have written back last. A new name of a file and the end of its old name are kept or lost together.
//
// After a failed Sync the changes are forgotten but stay visible: as on Linux, a later Sync succeeds without them, and
// only writing the bytes again makes them durable.
//
// # What is not modelled
//
// Permissions, links, renames into another directory, the space that names take, and time: an operation takes none.
//
// # Goroutines
//
// None, and nothing here may be used by two at once. All choices come from the seed; equal calls on disks of equal
// seeds have equal results.
package disk
