package fsm

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
)

// digest is what DEBUG DIGEST computes: the same number as Redis for the same keys, types, values and databases, in
// whatever order they came. Of a deadline it only says that there is one. It is for comparing with other servers; replicas
// compare View.Hash, which is faster and sees everything.
type digest [sha1.Size]byte

// xor adds b as an element without a place.
func (d *digest) xor(b []byte) {
	for i, c := range sha1.Sum(b) {
		d[i] ^= c
	}
}

// mix adds b as the next element of a sequence.
func (d *digest) mix(b []byte) {
	d.xor(b)
	*d = sha1.Sum(d[:])
}

// mixNumber mixes a number as Redis has it in memory for the network.
func (d *digest) mixNumber(n int) { d.mix(binary.BigEndian.AppendUint32(nil, uint32(n))) }

func (d *digest) String() string { return fmt.Sprintf("%x", d[:]) }

// digestTypes are the numbers of the types in Redis.
var digestTypes = [kindCount]int{kindString: 0, kindList: 1, kindSet: 2, kindZSet: 3, kindHash: 4, kindStream: 6}

// value mixes a key's value, and whether it has a deadline.
func (d *digest) value(it *item) {
	d.mixNumber(digestTypes[it.kind()])
	switch v := it.collection(new(light)).(type) {
	case *listValue:
		for it, n := v.iter(0, false), v.len(); n > 0; n-- {
			elem := it.next()
			d.mix(elem.appendTo(nil))
		}
	case *setValue:
		c := v.from(0)
		for range v.len() {
			m := c.next()
			d.xor(m.appendTo(nil))
		}
	case *hashValue:
		c := v.from(0)
		for range v.len() {
			var pair digest
			field := c.next()
			pair.mix(field.appendTo(nil))
			pair.mix(c.val.appendTo(nil))
			if v.times != nil && v.times.get(c.pos-1) != 0 {
				pair.xor([]byte("!!hexpire!!"))
			}
			d.xor(pair[:])
		}
	case *zsetValue:
		c := v.from(0)
		for range v.len() {
			var pair digest
			m := c.next()
			pair.mix(m.appendTo(nil))
			pair.mix(appendDouble(nil, c.score))
			d.xor(pair[:])
		}
	case *streamValue:
		v.walk(streamID{}, maxStreamID, false, func(e *streamEntry) bool {
			d.mix(fmt.Appendf(nil, "%d.%d", e.id.ms, e.id.seq))
			e.each(func(w word) { d.mix(w.appendTo(nil)) })
			return true
		})
	default:
		d.mix(it.appendString(nil))
	}
	if it.deadline() != 0 {
		d.xor([]byte("!!expire!!"))
	}
}

// The sub-commands of DEBUG that look at data. They are no commands of their own: DEBUG executes them.
var (
	DebugDigest      = &Spec{Name: "digest", Arity: 2, Flags: FlagReadonly | FlagAllKeys, Run: runDebugDigest}
	DebugDigestValue = debugSpec("digest-value", -2, -1, runDebugDigestValue)
	DebugListpack    = debugSpec("listpack", 3, 2, runDebugListpack)
	DebugObject      = debugSpec("object", 3, 2, runDebugObject)
)

func debugSpec(name string, arity, lastKey int, run runFunc) *Spec {
	return &Spec{Name: name, Arity: arity, Flags: FlagReadonly, FirstKey: 2, LastKey: lastKey, KeyStep: 1, Run: run}
}

// runDebugDigest walks a frozen view, so that it blocks nobody. Keys that are due do not count.
func runDebugDigest(tx *Tx, _ [][]byte, out Out) {
	v := tx.s.freeze()
	now := tx.now
	tx.unlock()
	defer v.Close()
	var total digest
	for db := range Databases {
		var keys digest // xor of all of them
		found := false
		v.eachSlot(db, func(_ int, all *frozenSlot) {
			for i := range all.Len() {
				if it := all.item(i); !it.expired(now) {
					var d digest
					d.mix(it.key())
					d.value(&it)
					keys.xor(d[:])
					found = true
				}
			}
		})
		if found {
			total.mixNumber(db)
			for i := range total {
				total[i] ^= keys[i]
			}
		}
	}
	out.Simple(total.String())
}

func runDebugDigestValue(tx *Tx, args [][]byte, out Out) {
	out.Array(len(args) - 2)
	for _, key := range args[2:] {
		var d digest
		if it := tx.peek(key); !it.absent() {
			d.value(&it)
		}
		out.Simple(d.String())
	}
}

// runDebugObject answers in the words of Redis. The address is the place in the keyspace, the serialized length that of
// the object in the payload of DUMP; nothing notes when a key was used.
func runDebugObject(tx *Tx, args [][]byte, out Out) {
	it := tx.peek(args[2])
	if it.absent() {
		out.Error(errNoSuchKey)
		return
	}
	slot, hash := tx.address(args[2])
	text := fmt.Sprintf("Value at:%#x refcount:1 encoding:%s serializedlength:%d",
		uint64(slot)<<32|uint64(hash), formNames[it.kind()][it.form()], tx.serializedLen(&it))
	if l, ok := it.object().(*listValue); ok && l.form() == listQuick {
		nodes := len(l.large.chunks())
		text += fmt.Sprintf(" ql_nodes:%d ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:0 ql_uncompressed_size:%d",
			nodes, float64(l.len())/float64(nodes), ListMaxListpackSize, listpackFrame+l.packLen())
	}
	out.Simple(text)
}

const errNotListpack = "ERR Not a listpack encoded object."

// runDebugListpack answers the text that describes a packed value, as Redis would hold it.
func runDebugListpack(tx *Tx, args [][]byte, out Out) {
	it := tx.peek(args[2])
	switch {
	case it.absent():
		out.Error(errNoSuchKey)
		return
	case !strings.HasPrefix(formNames[it.kind()][it.form()], "listpack"):
		out.Error(errNotListpack)
		return
	}
	elements, total := it.packed(), listpackFrame
	var b strings.Builder
	for i, s := range elements {
		n := packedLen(s)
		total += n
		fmt.Fprintf(&b, "\n{%d, entry bytes %d} %q", i, n, s)
	}
	out.BulkString(fmt.Sprintf("{total bytes %d} {num entries %d}", total, len(elements)) + b.String())
}

// packed lists what stands in the listpack of a collection, in the order of Redis as far as it is known here.
func (it *item) packed() (elements [][]byte) {
	add := func(s []byte) { elements = append(elements, s) }
	switch v := it.collection(new(light)).(type) {
	case *listValue:
		for it, n := v.iter(0, false), v.len(); n > 0; n-- {
			elem := it.next()
			add(elem.appendTo(nil))
		}
	case *setValue:
		c := v.from(0)
		for range v.len() {
			m := c.next()
			add(m.appendTo(nil))
		}
	case *hashValue:
		if v.times == nil {
			c := v.from(0)
			for range v.len() {
				field := c.next()
				add(field.appendTo(nil))
				add(c.val.appendTo(nil))
			}
			break
		}
		v.byTime(func(c *hashCursor, at int64) {
			add(c.field.appendTo(nil))
			add(c.val.appendTo(nil))
			add(appendInt(nil, at))
		})
	case *zsetValue:
		v.walk(0, v.len(), false, func(m word, score float64) {
			add(m.appendTo(nil))
			add(appendDouble(nil, score))
		})
	}
	return elements
}

// FreezeShared is Freeze for any goroutine: it waits for the command in execution, and blocks those behind it for as long
// as a copy of one pointer per shard takes. In the middle of an entry the view shows those of its commands that are done.
func (s *Store) FreezeShared() *View {
	tx := Tx{s: s, locked: allShards}
	tx.acquire()
	defer tx.unlock()
	return s.freeze()
}

// GlobMatch reports whether s matches a pattern, by Redis' rules for KEYS.
func GlobMatch(pattern, s []byte) bool { return globMatch(pattern, s) }
