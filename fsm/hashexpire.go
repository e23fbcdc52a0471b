package fsm

// The commands on deadlines of fields, those of Redis 7.4.

func hexpireSpec(name, summary string, time Arg, unit int64, relative bool) *Spec {
	return &Spec{
		Name: name, Event: "hexpire", Arity: -6, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "7.4.0", Group: "hash", Run: runHExpire(name, unit, relative),
		Summary: summary, Complexity: "O(N) in the fields given",
		Args: []Arg{
			argKey("key"), time,
			argOneOf("condition", argToken("nx", "NX"), argToken("xx", "XX"), argToken("gt", "GT"), argToken("lt", "LT")).optional(),
			argFields(),
		},
	}
}

func httlSpec(name, summary string, flags Flags, unit int64, relative bool) *Spec {
	return &Spec{
		Name: name, Arity: -5, Flags: FlagReadonly | FlagFast | flags, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "7.4.0", Group: "hash", Run: runHTTL(unit, relative),
		Summary: summary, Complexity: "O(N) in the fields given",
		Args: []Arg{argKey("key"), argFields()},
	}
}

func argFields() Arg {
	return argBlock("fields", argInt("numfields"), argString("field").many()).with("FIELDS")
}

var hashExpireCommands = []*Spec{
	hexpireSpec("hexpire", "Sets the time to live of fields, in seconds.", argInt("seconds"), 1000, true),
	hexpireSpec("hexpireat", "Sets the deadline of fields, in Unix seconds.", argTime("unix-time-seconds"), 1000, false),
	httlSpec("hexpiretime", "Returns the deadlines of fields, in Unix seconds.", 0, 1000, false),
	{
		Name: "hpersist", Arity: -5, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "7.4.0", Group: "hash", Run: runHPersist,
		Summary: "Takes the deadlines of fields.", Complexity: "O(N) in the fields given",
		Args: []Arg{argKey("key"), argFields()},
	},
	hexpireSpec("hpexpire", "Sets the time to live of fields, in milliseconds.", argInt("milliseconds"), 1, true),
	hexpireSpec("hpexpireat", "Sets the deadline of fields, in Unix milliseconds.", argTime("unix-time-milliseconds"), 1, false),
	httlSpec("hpexpiretime", "Returns the deadlines of fields, in Unix milliseconds.", 0, 1, false),
	httlSpec("hpttl", "Returns the times to live of fields, in milliseconds.", FlagClock, 1, true),
	httlSpec("httl", "Returns the times to live of fields, in seconds.", FlagClock, 1000, true),
}

// What the commands answer for a field, beside times.
const (
	timeNoField = -2
	timeNone    = -1 // it has no deadline
	timeKept    = 0  // the condition does not hold
	timeSet     = 1
	timeDeleted = 2 // the deadline is past
)

// fieldArgs reads FIELDS, a number and as many fields, which args begin with and end. Otherwise it answers an error, count if the
// number is none.
func fieldArgs(args [][]byte, count string, out Out) (fields [][]byte, ok bool) {
	if len(args) == 0 || !matchWord(args[0], "fields") {
		out.Error(errFieldsWord)
		return nil, false
	}
	n := int64(0)
	if len(args) > 1 {
		n, ok = parseInt(args[1])
	}
	switch {
	case !ok || n < 1:
		out.Error(count)
	case n != int64(len(args)-2):
		out.Error(errFieldsMatch)
	default:
		return args[2:], true
	}
	return nil, false
}

// fieldExpireTime reads what a deadline of fields is computed from, base + n*unit in ms; it answers an error itself.
func fieldExpireTime(arg []byte, name string, unit, base int64, out Out) (at int64, ok bool) {
	n, ok := intArg(arg, out)
	if !ok {
		return 0, false
	}
	if n < 0 {
		out.Error(errHashExpire)
		return 0, false
	}
	if at, ok = expireTime(n, unit, base); !ok || n > maxFieldExpire/unit || at > maxFieldExpire {
		out.Error(errExpire(name))
		return 0, false
	}
	return at, true
}

// fieldsOf is fieldArgs for h, which begins the array of answers. Without a hash, nil, it gives them all.
func fieldsOf(h *hashValue, args [][]byte, count string, out Out) (fields [][]byte, ok bool) {
	fields, ok = fieldArgs(args, count, out)
	if !ok {
		return nil, false
	}
	out.Array(len(fields))
	if h == nil {
		for range fields {
			out.Int(timeNoField)
		}
		return nil, false
	}
	return fields, true
}

// runHExpire serves the HEXPIRE family: unit is that of the argument in ms, which counts from now if it is relative. The type of
// the key is looked at before the arguments, as in Redis.
func runHExpire(name string, unit int64, relative bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		h, ok := writeHash(tx, args[1], out)
		if !ok {
			return
		}
		base := int64(0)
		if relative {
			base = tx.now
		}
		at, ok := fieldExpireTime(args[2], name, unit, base, out)
		if !ok {
			return
		}
		cond, rest := fieldCondition(args[3:])
		fields, ok := fieldsOf(h, rest, errFieldsZero, out)
		if !ok {
			return
		}
		changed := false
		for _, f := range fields {
			r := tx.expireField(h, f, at, cond)
			changed = changed || r > timeKept
			out.Int(r)
		}
		if changed {
			storeHash(tx, args[1], h)
		}
	}
}

// fieldCondition reads the condition that args may begin with: one.
func fieldCondition(args [][]byte) (c expireCondition, rest [][]byte) {
	switch word := args[0]; {
	case matchWord(word, "nx"):
		c.nx = true
	case matchWord(word, "xx"):
		c.xx = true
	case matchWord(word, "gt"):
		c.gt = true
	case matchWord(word, "lt"):
		c.lt = true
	default:
		return c, args
	}
	return c, args[1:]
}

// expireField gives a field of h a deadline, or deletes it if that is past, and returns what is answered.
func (tx *Tx) expireField(h *hashValue, field []byte, at int64, cond expireCondition) int64 {
	off, pos := h.find(field)
	if off < 0 || h.due(pos, tx.now) {
		return timeNoField
	}
	old := int64(0)
	if h.times != nil {
		old = h.times.get(pos)
	}
	switch {
	case !cond.allows(old, at):
		return timeKept
	case at <= tx.now:
		h.removeAt(off, pos)
		tx.s.subkeys.Add(1)
		return timeDeleted
	}
	h.timed().put(pos, at)
	return timeSet
}

// runHTTL answers deadlines counted from now, if they are relative, rounded up to unit (ms).
func runHTTL(unit int64, relative bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		h, ok := readHash(tx, args[1], out)
		if !ok {
			return
		}
		fields, ok := fieldsOf(h, args[2:], errFieldsCount, out)
		if !ok {
			return
		}
		base := int64(0)
		if relative {
			base = tx.now
		}
		for _, f := range fields {
			r := h.deadlineOf(f, tx.now)
			if r > 0 {
				r = (r - base + unit - 1) / unit
			}
			out.Int(r)
		}
	}
}

// deadlineOf returns the deadline of field in Unix ms; timeNoField without the field or if it is due at now, timeNone without
// a deadline.
func (h *hashValue) deadlineOf(field []byte, now int64) int64 {
	off, pos := h.find(field)
	switch {
	case off < 0 || h.due(pos, now):
		return timeNoField
	case h.times == nil || h.times.get(pos) == 0:
		return timeNone
	}
	return h.times.get(pos)
}

func runHPersist(tx *Tx, args [][]byte, out Out) {
	h, ok := writeHash(tx, args[1], out)
	if !ok {
		return
	}
	fields, ok := fieldsOf(h, args[2:], errFieldsCount, out)
	if !ok {
		return
	}
	changed := false
	for _, f := range fields {
		r := h.deadlineOf(f, tx.now)
		if r > 0 {
			_, pos := h.find(f)
			h.times.put(pos, 0)
			changed, r = true, timeSet
		}
		out.Int(r)
	}
	if changed {
		tx.store(args[1], h)
	}
}

// sweepFields deletes the fields of the hash at p that are due, up to limit, the first ones first, and returns how many. One is not
// due, or the hash would not be there.
func (tx *Tx) sweepFields(p *place, limit int64) (n int64) {
	h, ok := tx.privateObject(p).(*hashValue)
	if !ok {
		return limit
	}
	for ; n < limit; n++ {
		f := h.times.first()
		if f.at == 0 || tx.now <= f.at {
			break
		}
		h.removeAt(h.offset(f.pos), f.pos)
	}
	tx.s.subkeys.Add(uint64(n))
	tx.tellAt(p, EventHash, "hexpired")
	tx.changed(p)
	return n
}
