package fsm

// form is how Redis would hold a value with the same content and history: what OBJECT ENCODING names. Tools and test
// suites look at the name, and whether a collection was large once is a fact of its history. So the form is part of the
// state: the same on all replicas, kept by snapshots, COPY and RENAME. Here it decides between two ways of holding a
// collection: the small forms are packed, the others dicts, trees and chunks. Forms follow the limits below and nothing
// else; a setting of one node must not decide what an apply does.
//
// The numbers are counted within a kind. They stand in snapshots and never change.
type form uint8

const (
	formUnknown form = 0 // in snapshots of version 1: what the value has when it is built anew

	stringInt   form = 1
	stringShort form = 2
	stringRaw   form = 3

	listPacked form = 1
	listQuick  form = 2

	setInts   form = 1
	setPacked form = 2
	setTable  form = 3

	hashPacked form = 1
	hashTable  form = 2
	hashTimed  form = 3 // packed, with deadlines of fields

	zsetPacked form = 1
	zsetSkip   form = 2

	streamBlocks form = 1
)

// formNames are the words of OBJECT ENCODING. They are those of Redis 7.2, and of 7.4 for hashes with deadlines; 7.0 has no packed
// lists and sets yet.
var formNames = [kindCount][4]string{
	kindString: {stringInt: "int", stringShort: "embstr", stringRaw: "raw"},
	kindList:   {listPacked: "listpack", listQuick: "quicklist"},
	kindSet:    {setInts: "intset", setPacked: "listpack", setTable: "hashtable"},
	kindHash:   {hashPacked: "listpack", hashTable: "hashtable", hashTimed: "listpackex"},
	kindZSet:   {zsetPacked: "listpack", zsetSkip: "skiplist"},
	kindStream: {streamBlocks: "stream"},
}

// The limits, as the settings of the same names have them by default in Redis 7.2.
const (
	HashMaxListpackEntries = 512
	HashMaxListpackValue   = 64 // bytes
	ListMaxListpackSize    = -2 // which means ListMaxListpackBytes
	ListMaxListpackBytes   = 8192
	SetMaxIntsetEntries    = 512
	SetMaxListpackEntries  = 128
	SetMaxListpackValue    = 64 // bytes
	ZSetMaxListpackEntries = 128
	ZSetMaxListpackValue   = 64 // bytes

	shortString   = 44    // bytes up to which a string is embstr
	sharedInteger = 10000 // integers from 0 to below this are one object for all keys in Redis
)

// sharedCount is the number of references that Redis shows for a shared integer.
const sharedCount = 1<<31 - 1

// formShift is where the form stands in the code of a value, above its kind.
const formShift = 4

// code is kind and form of a value in one number below 128, as snapshots and hashes have it.
func (it *item) code() uint64 { return uint64(it.kind()) | uint64(it.form())<<formShift }

func objectCode(o object) uint64 { return uint64(o.kind()) | uint64(o.form())<<formShift }

// splitCode is the reverse of code. It reports false for what no code is.
func splitCode(code uint64) (k kind, f form, ok bool) {
	k, f = kind(code&(1<<formShift-1)), form(code>>formShift)
	return k, f, code < 64 && k < kindCount && (f == formUnknown || formNames[k][f] != "")
}

// form returns the form of a value.
func (it *item) form() form {
	switch it.enc() {
	case encObject:
		return it.object().form()
	case encInt:
		return stringInt
	case encRaw:
		return textForm(len(it.value()))
	case packedEnc(kindSet):
		return smallSetForm(it.value())
	default: // the first form of the other kinds
		return listPacked
	}
}

// textForm is the form of a string of n bytes that is no integer and was not changed in place.
func textForm(n int) form {
	if n <= shortString {
		return stringShort
	}
	return stringRaw
}

// restoreString is writeString for a string of the form that a snapshot tells. It reports false if no such string has
// that form.
func (tx *Tx) restoreString(p *place, f form, key, val []byte, at int64) bool {
	_, number := parseInt(val)
	switch {
	case f == formUnknown, f == stringInt && number:
		tx.writeString(p, key, val, at)
	case f == stringRaw && len(val) <= shortString:
		tx.writeBlob(p, key, val, at)
	case f == stringShort && len(val) <= shortString, f == stringRaw:
		tx.writeText(p, key, val, at)
	default:
		return false
	}
	return true
}

// largerForm takes over a form from a snapshot: one that a value reaches by its history, so none below what the same
// content has when it is built anew.
func largerForm(have, f form) (form, bool) {
	if f == formUnknown {
		return have, true
	}
	return f, f >= have
}

// The sub-commands of OBJECT that look at a value; those that tell of its use are in usage.go.
var (
	ObjectEncoding = objectSpec("encoding", "2.2.3", runObjectEncoding, "Returns the name of the encoding that Redis would give a value.")
	ObjectRefCount = objectSpec("refcount", "2.2.3", runObjectRefCount, "Returns how many references there are to a value: 1, or many for small integers.")
)

func objectSpec(name, since string, run runFunc, summary string) *Spec {
	return &Spec{
		Name: name, Arity: 3, Flags: FlagReadonly, FirstKey: 2, LastKey: 2, KeyStep: 1,
		KeyFlags: []string{"RO"}, Categories: "keyspace", Since: since, Group: "generic", Run: run,
		Summary: summary, Complexity: "O(1)", Args: []Arg{argKey("key")},
	}
}

func runObjectEncoding(tx *Tx, args [][]byte, out Out) {
	it := tx.inspect(args[2])
	if it.absent() {
		out.Null()
		return
	}
	out.BulkString(formNames[it.kind()][it.form()])
}

func runObjectRefCount(tx *Tx, args [][]byte, out Out) {
	it := tx.inspect(args[2])
	switch {
	case it.absent():
		out.Null()
	case it.enc() == encInt && it.integer() >= 0 && it.integer() < sharedInteger:
		out.Int(sharedCount)
	default:
		out.Int(1)
	}
}
