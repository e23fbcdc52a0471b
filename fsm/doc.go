// Package fsm is the state machine of one Raft group: the keyspace, every command on data, the command table, log
// entries, and snapshots. It knows nothing of Raft, the network or the disk.
//
// # Determinism
//
// Nodes that apply the same entries hold the same state, byte for byte. An apply therefore looks only at the state
// and at its entry: time is the entry's stamp (Tx.Now), randomness follows from the entry's seed and the position of
// the write command in it (Tx.Rand). No command looks at a clock, at global randomness or at the order of a Go map.
// Where an order shows, as in SCAN, it is that of a dense array whose order depends on the history of commands alone;
// hash seeds differ between processes and shape only indexes.
//
// # Goroutines
//
// The package starts none. The applier, one goroutine of the node, calls Store.Begin, Exec, ExecGroup, End, ApplyEntry,
// SetApplied, NewTerm, TakeAnswered, Abandon, Orphans, Freeze, Choose, Restore, Tidy and Check.
// Any goroutine may call Read, ReadGroup and the methods that return numbers.
//
// The keyspace is divided into 16384 hash slots, as in Redis Cluster, and the slots into 256 shards of 64 neighbours. A
// write holds the exclusive locks of its keys' shards from the beginning to the end of the command, a read
// their read locks; several are taken in ascending order, and commands without keys (FlagAllKeys) take all. So a
// reader sees each command whole or not at all. Reads that ride in an entry run on the applier and need no lock.
//
// # Transactions
//
// A transaction is one command of an entry, holds the locks of all its keys from its first command to its last, and is executed
// only if the keys that it names have the versions it names; see Transaction. A version is the index of the entry that wrote
// the key last: part of the state, and of snapshots.
//
// # Commands that wait
//
// BLPOP and its like leave waiters, which are state; the write that feeds one serves it. See blocking.go.
//
// # Keyspace events
//
// What happens to keys can be told to a Notifier, by the names and in the order of Redis' keyspace notifications; see events.go.
//
// # Layout
//
//	Store     16 databases, 256 shards, the clock, the entry in execution
//	database  256 slotPages, an arena, a table of objects, keys per slot as a Fenwick tree, the order of expiry, counters
//	memory    the records of the members of large hashes, sets and sorted sets of all databases, in an arena of their own, and
//	          the tables by which they are found, in another one
//	slotPage  the dictionaries of one shard's slots (nil when empty), and the sums of the state hash; package dict
//	record    one key in the arena: version, use, deadline, key, and a string, an integer, a short packed collection or the
//	          handle of an object; package slab
//	object    any other collection, or a string that is long or changed in place: on the Go heap, named by its handle
//	fieldTimes  the deadlines of a hash's fields
//	members   the elements of an object that is a large hash, set or sorted set: a dictionary of references to records in the
//	          memory, and of a sorted set a tree of references; on the Go heap are some directories of both
//	blocks    the entries of a stream: packed, in a tree that views share until it changes; see stream.go
//	packed    a collection in one sequence of bytes, while its form is a small one
//	light     a packed collection as a command sees it: a value for the time of the command, not kept anywhere
//	Tx        what a command sees
//	View      the state frozen at one index
//
// # Expiry
//
// A key is due when the clock is past its deadline. Due keys are invisible to every command at once; they are deleted
// by a write that touches them, or by the command of SweepCommand, which the leader proposes when NextDeadline has
// come. Reads delete nothing.
//
// # Deadlines of fields
//
// Fields of a hash may have deadlines (HEXPIRE and its like, of Redis 7.4). They stand in a table beside the hash, fieldTimes, which
// exists once a field has had one: other hashes take no more for it than a nil. A hash with a table is an object, small ones too, in a
// form of their own (hashTimed). The table names a field by its position, and finds deadlines by position and in the order of time, so
// that a command on a field costs O(log n) more and the earliest and the latest are at hand. A few stand in a slice, more in two trees
// that views share.
//
// By the earliest deadline a hash stands in an order of the database, besides that of the keys. The same sweep deletes from both, and
// counts fields and keys alike. A field is due when the clock is past its deadline: from then on no command shows it, but HLEN counts
// it until it is deleted, as in Redis. A hash of which all fields are due is a key that is due (item.expired), and goes as a whole.
// A write that sets a due field deletes it first, so that it comes last in the order; other writes leave what is due to the sweep.
//
// # Eviction
//
// When memory is short the leader asks Choose for keys, and proposes a command that names them: see evict.go. What Choose goes
// by, the use of keys, is noted by each node for itself and is the one part of a record that is not state: see usage.go.
//
// # Snapshots
//
// Freeze copies one pointer per page. Until the view is closed, the first write to a slot copies its page and its array of
// references (tx.dict), a record that the view may show is never written to but replaced (tx.write, tx.relayout), and the
// first write to a collection clones it (tx.privateObject), or forks its members: both sides have the same records and chunks
// of references, of which a copy is made when they change (members.fork). What was replaced is retired: it no longer counts, but its
// memory is used again only when no view is left that is as old; later entries do that, a few records for each command. The
// view's goroutine takes no lock. KEYS uses the same mechanism for a walk that blocks nobody.
//
// # Fragmentation
//
// Records of other sizes leave holes in the spans of an arena that nobody can use. The applier moves records together
// (Store.Tidy, compact.go): a few with each entry while much is wasted, more when its node has nothing else to do. A move changes
// a reference in a dictionary and in the order of expiry; nothing of it is state, and no two nodes move the same. Records of
// members know their collection, so they are moved in the same way, by the same bounds (Store.moveMember).
//
// FLUSHALL drops databases whole, and DEL a collection, in no time. When no view is left that may show them, arenas are closed
// step by step by later entries and by Tidy, and members freed one by one: a few for each command, and two for each that is
// made, so that what waits is never more than what was once deleted at a time (membermemory.go).
//
// # State hash
//
// Every write keeps a sum per slot up to date, from which View.Hash makes the hash of the state in no time; it depends on the
// state alone, positions and forms included, and not on how a value is held (sum.go). So replicas can compare it at equal
// indices. View.Verify computes it anew from all keys; a snapshot is written and read only if both are the same.
//
// # Serialized values
//
// DUMP and RESTORE speak the format of Redis, which is in package rdb; dump.go is between it and the values here.
//
// # Adding a command
//
// Write its Spec and function into the file of its type, sub-commands into the Spec of their container; COMMAND, arity checks,
// locks, routing and documentation follow. A read that would change something now and then has a second Spec for the log (Spec.Logged).
// A new type implements object and sets its decoder in init. What changes an object in place ends with Tx.touched.
package fsm
