package fsm

import (
	"math"

	"github.com/tidwall/btree"
)

// expireCondition is the option of the EXPIRE family that says when a deadline may be replaced.
type expireCondition struct{ nx, xx, gt, lt bool }

func runExpire(tx *Tx, args [][]byte, out Out)    { setExpire(tx, args, 1000, tx.now, "expire", out) }
func runPExpire(tx *Tx, args [][]byte, out Out)   { setExpire(tx, args, 1, tx.now, "pexpire", out) }
func runExpireAt(tx *Tx, args [][]byte, out Out)  { setExpire(tx, args, 1000, 0, "expireat", out) }
func runPExpireAt(tx *Tx, args [][]byte, out Out) { setExpire(tx, args, 1, 0, "pexpireat", out) }

// expireTime computes base + n*unit in ms; ok is false if it does not fit.
func expireTime(n, unit, base int64) (at int64, ok bool) {
	if n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return 0, false
	}
	n *= unit
	if n > math.MaxInt64-base {
		return 0, false
	}
	return base + n, true
}

// setExpire serves the EXPIRE family: unit is that of the argument in ms, base what it counts from in Unix ms.
func setExpire(tx *Tx, args [][]byte, unit, base int64, name string, out Out) {
	cond, ok := parseExpireCondition(args[3:], out)
	if !ok {
		return
	}
	n, ok := intArg(args[2], out)
	if !ok {
		return
	}
	at, ok := expireTime(n, unit, base)
	if !ok {
		out.Error(errExpire(name))
		return
	}
	p, found := tx.findWrite(tx.DB, args[1])
	if !found || !cond.allows(p.deadline(), at) {
		out.Int(0)
		return
	}
	if at <= tx.now {
		tx.remove(&p)
	} else {
		tx.setDeadline(&p, at)
		tx.modified(&p)
		tx.tell(EventGeneric, "expire", args[1])
	}
	out.Int(1)
}

func parseExpireCondition(args [][]byte, out Out) (c expireCondition, ok bool) {
	for _, a := range args {
		switch {
		case matchWord(a, "nx"):
			c.nx = true
		case matchWord(a, "xx"):
			c.xx = true
		case matchWord(a, "gt"):
			c.gt = true
		case matchWord(a, "lt"):
			c.lt = true
		default:
			out.Error(errOption(a))
			return c, false
		}
	}
	if c.nx && (c.xx || c.gt || c.lt) {
		out.Error(errExpireNXXX)
		return c, false
	}
	if c.gt && c.lt {
		out.Error(errExpireGTLT)
		return c, false
	}
	return c, true
}

// allows reports whether the deadline old (0 = none, which is later than any) may become at.
func (c expireCondition) allows(old, at int64) bool {
	switch {
	case c.nx && old != 0,
		c.xx && old == 0,
		c.gt && (old == 0 || at <= old),
		c.lt && old != 0 && at >= old:
		return false
	}
	return true
}

func runPersist(tx *Tx, args [][]byte, out Out) {
	p, found := tx.findWrite(tx.DB, args[1])
	if !found || p.deadline() == 0 {
		out.Int(0)
		return
	}
	tx.setDeadline(&p, 0)
	tx.modified(&p)
	tx.tell(EventGeneric, "persist", args[1])
	out.Int(1)
}

func runTTL(tx *Tx, args [][]byte, out Out)         { replyDeadline(tx, args[1], 1000, tx.now, out) }
func runPTTL(tx *Tx, args [][]byte, out Out)        { replyDeadline(tx, args[1], 1, tx.now, out) }
func runExpireTime(tx *Tx, args [][]byte, out Out)  { replyDeadline(tx, args[1], 1000, 0, out) }
func runPExpireTime(tx *Tx, args [][]byte, out Out) { replyDeadline(tx, args[1], 1, 0, out) }

// replyDeadline answers the deadline of a key counted from base, rounded to unit (both ms); -2 without the key, -1
// without a deadline.
func replyDeadline(tx *Tx, key []byte, unit, base int64, out Out) {
	it := tx.look(key)
	if it.absent() {
		out.Int(-2)
		return
	}
	switch at := it.deadline(); {
	case at == 0:
		out.Int(-1)
	case unit == 1:
		out.Int(at - base)
	default:
		out.Int(int64(uint64(at-base+500) / uint64(unit)))
	}
}

// sweepName is the command by which a leader has due keys and fields deleted on every node. Clients cannot call it.
const sweepName = "_sweep"

var internalCommands = []*Spec{{
	Name: sweepName, Event: noEvent, Arity: 2, Flags: FlagWrite | FlagInternal, Group: "generic", Run: runSweep,
	Summary:    "Deletes the first n keys and fields that are due at the entry's time.",
	Complexity: "O(n log k) with k deadlines",
}, evictSpec, execSpec, unblockSpec}

// SweepCommand returns the internal write command that deletes the limit keys and fields with the earliest deadlines, as far as
// they are due at the stamp of the entry. raw is dst with the command's RESP appended; c refers to it.
func SweepCommand(dst []byte, limit int) (raw []byte, c Command) {
	number := appendInt(nil, int64(limit))
	start := len(dst)
	raw = append(dst, "*2\r\n$6\r\n"+sweepName+"\r\n$"...)
	raw = appendInt(raw, int64(len(number)))
	raw = append(raw, "\r\n"...)
	raw = append(raw, number...)
	raw = append(raw, "\r\n"...)
	c = Command{Spec: internalCommands[0], Args: [][]byte{[]byte(sweepName), number}, Raw: raw[start:]}
	return raw, c
}

// runSweep deletes in the order of deadline, database, keys before fields, key; of a hash all fields that are due together. The spec
// names no keys: each is deleted under the lock of its own shard, which changes nothing that a reader could see but the lengths of
// hashes, because what is due is invisible already.
func runSweep(tx *Tx, args [][]byte, out Out) {
	limit, ok := intArg(args[1], out)
	if !ok {
		return
	}
	tx.quiet = true
	n := int64(0)
	for n < limit {
		db, key := tx.firstDue()
		if key == nil {
			break
		}
		n += tx.sweep(db, key, limit-n)
	}
	out.Int(n)
}

// firstDue returns the key that is due first, or of which a field is; nil if nothing is due.
func (tx *Tx) firstDue() (n int, key []byte) {
	next := deadline{at: tx.now}
	for i := range tx.s.dbs {
		db := tx.s.dbs[i].Load()
		if db == nil {
			continue
		}
		for _, order := range [...]*btree.BTreeG[deadline]{db.due, db.fields} {
			if d, ok := order.Min(); ok && d.at < next.at {
				n, next, key = i, d, db.record(d.ref).key()
			}
		}
	}
	return n, key
}

// sweep deletes one due key, or up to limit due fields of a hash. It returns how many.
func (tx *Tx) sweep(db int, key []byte, limit int64) int64 {
	tx.buf = append(tx.buf[:0], key...)
	tx.lastKey = nil // the scratch holds another key now
	sh := &tx.s.shards[int(Slot(tx.buf))/pageSlots]
	n := int64(1)
	sh.mu.Lock()
	if p, found := tx.findWrite(db, tx.buf); found {
		n = tx.sweepFields(&p, limit)
	}
	sh.mu.Unlock()
	tx.lastKey = nil
	return n
}
