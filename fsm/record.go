package fsm

import (
	"encoding/binary"

	"kvapp/fsm/slab"
)

// A record is what a database keeps of one key in its arena:
//
//	head(8) use(4) version(4) [deadline(8)] key value
//
// The head is, from the lowest bit: encoding(3), deadline present(1), length of the key(30), of the value(22), version(8).
// Version is the index of the log entry that modified the key last, in 48 bits: the highest 8 stand in the head, the next 8 in
// the lowest bits of use. What is above maxVersion, after a century of a hundred thousand entries a second, counts as that.
// The other 24 bits of use note when or how often this node has used the key, see Store.NoteUse: readers change them
// under read locks, so the word is only looked at as a whole, atomically. Deadline is in Unix ms. The value is the bytes
// of a string, or an integer(8), or a packed collection, or the handle(4) of an object. All numbers are little endian,
// but use, which is in the order of the machine.
//
// A record is valid as long as its shard is locked, its view open, or, for the applier, until the next change of its
// database.
type record []byte

// encoding says how a record holds its value.
type encoding uint8

const (
	encRaw    encoding = 0 // the bytes of a string of up to maxRaw bytes
	encInt    encoding = 1 // a string that is an integer in canonical form
	encObject encoding = 2 // an object
	encPacked encoding = 3 // a packed list; the encodings of the other kinds of collection follow in their order
)

const (
	headEnc      = 7
	headDeadline = 1 << 3
	headKey      = 4 // bits
	headValue    = 34
	headLen      = 1<<30 - 1 // of the key
	headValueLen = 1<<22 - 1
	headVersion  = 7 // byte

	recordFixed = 16 // bytes before deadline or key
	useAt       = 8
	versionAt   = 12
	versionLow  = 32 // bits of the version that stand at versionAt
	useShift    = 8  // bits of the version below the use
	useMask     = 1<<24 - 1
	versionMid  = versionLow + useShift // bits of the version that do not stand in the head
	maxVersion  = 1<<(versionMid+8) - 1
	intBytes    = 8
	handleBytes = 4

	// maxKey is the longest key in bytes that a record can hold; clients are limited to maxString.
	maxKey = headLen
	// maxRaw is the longest string in bytes that stands in its record; longer ones are objects. It bounds the work of
	// copying a record.
	maxRaw = 64 << 10
)

func makeHead(enc encoding, keyLen, valueLen int, at int64) uint64 {
	h := uint64(enc) | uint64(keyLen)<<headKey | uint64(valueLen)<<headValue
	if at != 0 {
		h |= headDeadline
	}
	return h
}

// headKeyAt is where the key begins; headBody the length of the value and headSize of the record, in bytes.
func headKeyAt(h uint64) int  { return recordFixed + int(h&headDeadline) }
func headKeyLen(h uint64) int { return int(h >> headKey & headLen) }
func headBody(h uint64) int   { return int(h >> headValue & headValueLen) }
func headSize(h uint64) int   { return headKeyAt(h) + headKeyLen(h) + headBody(h) }

func (r record) head() uint64  { return binary.LittleEndian.Uint64(r) }
func (r record) enc() encoding { return encoding(r[0] & headEnc) }
func (r record) keyLen() int   { return headKeyLen(r.head()) }
func (r record) valueAt() int  { return headKeyAt(r.head()) + r.keyLen() }

// version may be asked for of a record that readers use.
func (r record) version() uint64 {
	return uint64(r[headVersion])<<versionMid | uint64(slab.Load32(r[useAt:])&(1<<useShift-1))<<versionLow |
		uint64(binary.LittleEndian.Uint32(r[versionAt:]))
}

func (r record) setVersion(v uint64) { r.stamp(v, r.use()) }

// stamp writes version and use. REQUIRES: nobody else looks at the record, as it is when it may be changed at all.
func (r record) stamp(v uint64, use uint32) {
	v = min(v, maxVersion)
	r[headVersion] = byte(v >> versionMid)
	binary.NativeEndian.PutUint32(r[useAt:], use<<useShift|uint32(v>>versionLow&(1<<useShift-1)))
	binary.LittleEndian.PutUint32(r[versionAt:], uint32(v))
}

// use is what the node has noted of the key's use.
func (r record) use() uint32 { return slab.Load32(r[useAt:]) >> useShift }

// setUse may be called under a read lock.
func (r record) setUse(use uint32) {
	slab.Store32(r[useAt:], use<<useShift|slab.Load32(r[useAt:])&(1<<useShift-1))
}

// deadline is in Unix ms, 0 = never.
func (r record) deadline() int64 {
	if r[0]&headDeadline == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(r[recordFixed:]))
}

// expired reports whether the key's deadline is past at now (Unix ms). As in Redis a key still exists in the millisecond of its
// deadline. A key may be due without one: see item.expired.
func (r record) expired(now int64) bool { return r[0]&headDeadline != 0 && now > r.deadline() }

func (r record) key() []byte {
	h := r.head()
	at := headKeyAt(h)
	return r[at : at+headKeyLen(h)]
}

// value is the value as it stands in the record.
func (r record) value() []byte { return r[r.valueAt():] }

// integer is the value with encInt.
func (r record) integer() int64 { return int64(binary.LittleEndian.Uint64(r.value())) }

// handle is the value with encObject.
func (r record) handle() handle { return handle(binary.LittleEndian.Uint32(r.value())) }

func putInt(value []byte, n int64)     { binary.LittleEndian.PutUint64(value, uint64(n)) }
func putHandle(value []byte, h handle) { binary.LittleEndian.PutUint32(value, uint32(h)) }

// fill writes everything before the key, and the key if there is one.
func (r record) fill(head, version uint64, use uint32, at int64, key []byte) {
	binary.LittleEndian.PutUint64(r, head)
	r.stamp(version, use)
	if at != 0 {
		binary.LittleEndian.PutUint64(r[recordFixed:], uint64(at))
	}
	copy(r[headKeyAt(head):], key)
}

// item is one key as a command or a view sees it: the record, and where to find objects. Without a record it is absent.
type item struct {
	record
	objs *objectDir
}

func (it *item) absent() bool { return it.record == nil }

// expired reports whether the key is due at now (Unix ms): its deadline is past, or those of all fields of a hash are.
func (it *item) expired(now int64) bool { return it.record.mayExpire() && it.past(now) }

// mayExpire reports whether the record has a deadline or an object: most have neither, and no more than this is inlined.
func (r record) mayExpire() bool { return expiring>>(r[0]&(headDeadline|headEnc))&1 != 0 }

// expiring has a bit for every lower half of a head's first byte that mayExpire is true of.
const expiring uint32 = 1<<encObject | 0xff<<headDeadline

// past is item.past for a record of the database.
func (db *database) past(rec record, now int64) bool {
	it := item{rec, db.objects.dir.Load()}
	return it.past(now)
}

// past is expired for a key that has a deadline or an object.
func (it *item) past(now int64) bool {
	if it.record.expired(now) {
		return true
	}
	h, ok := it.object().(*hashValue)
	return ok && h.gone(now)
}

// times returns the deadlines of a hash's fields, nil if there are none.
func (it *item) times() *fieldTimes {
	if it.enc() == encObject {
		if h, ok := it.object().(*hashValue); ok {
			return h.times
		}
	}
	return nil
}

// object is the value with encObject, else nil.
func (it *item) object() object {
	if it.enc() != encObject {
		return nil
	}
	return it.objs.at(it.handle()).obj
}

func (it *item) kind() kind {
	switch enc := it.enc(); {
	case enc >= encPacked:
		return kindList + kind(enc-encPacked)
	case enc == encObject:
		return it.object().kind()
	}
	return kindString
}

// textLen is what the value adds to cost.
func (it *item) textLen() int64 {
	switch it.enc() {
	case encObject:
		return it.objs.at(it.handle()).size
	case encInt:
		return int64(intLen(it.integer()))
	case encRaw:
		return int64(len(it.value()))
	default:
		return packedCost + int64(len(it.value()))
	}
}

// cost is the key's part of database.mem. It follows from the key and the value alone, not from how they are held, so it
// is the same on every node and after a restore.
func (it *item) cost() int64 { return entryCost + int64(it.keyLen()) + it.textLen() }
