package fsm

const (
	errReadGroup = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	errReadNoAck = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
	errNoGroupOp = "ERR Missing GROUP option for XREADGROUP"
	errReadNew   = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
	errReadLast  = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying " +
		"a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
	errUnbalanced  = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
	errReadTimeout = "ERR timeout is not an integer or out of range"
)

// errReadNoGroup answers a group, or its key, that does not exist.
func errReadNoGroup(key, group []byte) string {
	return errNoGroup(key, group) + " in XREADGROUP with GROUP option"
}

// streamRead is XREAD or, grouped, XREADGROUP.
type streamRead struct {
	grouped         bool
	group, consumer []byte
	noAck           bool
	count           int
	wait            int64 // ms, 0 = without end, noWait
	keys            int   // position of the first key
	n               int   // how many keys there are, and ids behind them
	reads           []keyRead
}

const noWait = -1

// keyRead is what is read of one stream.
type keyRead struct {
	at     int // position of the key
	s      *streamValue
	after  streamID // what was read before
	unread bool     // of a group: what it was not given yet, and not what is pending for the consumer
	// What there is: the ids of what is pending, or so many entries behind after.
	pending []streamID
	entries int
}

func runXRead(tx *Tx, args [][]byte, out Out)      { runRead(tx, args, false, out) }
func runXReadGroup(tx *Tx, args [][]byte, out Out) { runRead(tx, args, true, out) }

// runRead looks first at what there is, and notes it, because a reply begins with the number of its streams.
func runRead(tx *Tx, args [][]byte, grouped bool, out Out) {
	r := streamRead{grouped: grouped, count: noLimit, wait: noWait}
	if !r.parse(args, out) || !r.resolve(tx, args, out) {
		return
	}
	var served []*keyRead
	for i := range r.reads {
		if k := &r.reads[i]; r.take(tx, args, k) {
			served = append(served, k)
		}
	}
	if len(served) == 0 {
		if !r.await(tx, args, out) {
			out.NullArray()
		}
		return
	}
	if out.RESP3() {
		out.Map(len(served))
	} else {
		out.Array(len(served))
	}
	for _, k := range served {
		if !out.RESP3() {
			out.Array(2)
		}
		out.Bulk(args[k.at])
		k.reply(tx, &r, out)
	}
}

// parse reads the options up to the streams; otherwise it answers the error.
func (r *streamRead) parse(args [][]byte, out Out) (ok bool) {
	for i := 1; i < len(args) && r.keys == 0; i++ {
		switch opt, more := args[i], len(args)-1-i; {
		case matchWord(opt, "block") && more > 0:
			i++
			if r.wait, ok = parseInt(args[i]); !ok {
				out.Error(errReadTimeout)
				return false
			}
			if r.wait < 0 {
				out.Error(errTimeoutNeg)
				return false
			}
		case matchWord(opt, "count") && more > 0:
			i++
			n, ok := intArg(args[i], out)
			if !ok {
				return false
			}
			if r.count = int(n); n <= 0 {
				r.count = noLimit
			}
		case matchWord(opt, "streams") && more > 0:
			r.keys, r.n = i+1, more/2
			if more%2 != 0 {
				out.Error(errUnbalanced)
				return false
			}
		case matchWord(opt, "group") && more > 1:
			if !r.grouped {
				out.Error(errReadGroup)
				return false
			}
			r.group, r.consumer = args[i+1], args[i+2]
			i += 2
		case matchWord(opt, "noack"):
			if r.noAck = true; !r.grouped {
				out.Error(errReadNoAck)
				return false
			}
		default:
			out.Error(errSyntax)
			return false
		}
	}
	switch {
	case r.keys == 0:
		out.Error(errSyntax)
	case r.grouped && r.group == nil:
		out.Error(errNoGroupOp)
	default:
		return true
	}
	return false
}

// resolve looks the streams up; otherwise it answers the error. While a command that has waited is served, it is only about the key
// that is ready.
func (r *streamRead) resolve(tx *Tx, args [][]byte, out Out) bool {
	only := tx.offered(nil)
	for at := r.keys; at < r.keys+r.n; at++ {
		if only != nil && string(args[at]) != string(only[0]) {
			continue
		}
		k := keyRead{at: at}
		find := readStream
		if r.grouped {
			find = writeStream
		}
		var ok bool
		if k.s, ok = find(tx, args[at], out); !ok {
			return false
		}
		if r.grouped {
			tx.missed(args[at])
		}
		if r.grouped && (k.s == nil || k.s.group(r.group) == nil) {
			out.Error(errReadNoGroup(args[at], r.group))
			return false
		}
		switch id := args[at+r.n]; {
		case string(id) == "$" && r.grouped:
			out.Error(errReadLast)
			return false
		case string(id) == "$":
			if k.s != nil {
				k.after = k.s.last
			}
		case string(id) == ">" && !r.grouped:
			out.Error(errReadNew)
			return false
		case string(id) == ">":
			k.unread = true
		default:
			if k.after, ok = streamIDArg(id, out); !ok {
				return false
			}
			k.unread = r.grouped && k.after == maxStreamID // as Redis notes >
		}
		r.reads = append(r.reads, k)
	}
	return true
}

// take finds out what there is to read of a stream, notes it as delivered, and reports whether the stream is answered at all.
func (r *streamRead) take(tx *Tx, args [][]byte, k *keyRead) bool {
	if k.s == nil {
		if !tx.writes {
			tx.tell(EventMiss, "keymiss", args[k.at]) // Redis looks twice
		}
		return false
	}
	if !r.grouped {
		if k.s.edge(true).less(k.after) || k.s.edge(true) == k.after || k.s.n == 0 {
			return false
		}
		first, _ := k.after.next()
		k.entries = k.s.count(first, maxStreamID, r.count)
		return true
	}
	s, g := k.s, k.s.change(r.group)
	fresh := k.unread && s.n > 0 && g.last.less(s.edge(true))
	if k.unread && !fresh && tx.offered(nil) != nil {
		return false // what changes nothing leaves no trace: it would wake this command again
	}
	who := tx.attend(args[k.at], s, g, r.consumer)
	switch {
	case fresh:
		k.after = g.last
		k.entries = r.deliver(s, g, who, tx.now)
	case !k.unread:
		k.pending = r.history(s, g, who, k.after, tx.now)
	}
	tx.store(args[k.at], s)
	return fresh || !k.unread
}

// deliver gives a consumer what the group was not given yet, and returns how many entries.
func (r *streamRead) deliver(s *streamValue, g *streamGroup, who uint32, now int64) (n int) {
	first, _ := g.last.next()
	s.walk(first, maxStreamID, false, func(e *streamEntry) bool {
		s.deliver(g, e.id)
		if !r.noAck {
			s.pend(g, streamPending{id: e.id, at: now, times: 1, consumer: who})
		}
		n++
		return n < r.count
	})
	if !r.noAck {
		g.served(who, now)
	}
	return n
}

// history delivers anew what is pending for a consumer behind an id, and returns the ids. What is gone from the stream stays as it is.
func (r *streamRead) history(s *streamValue, g *streamGroup, who uint32, after streamID, now int64) (ids []streamID) {
	first, _ := after.next()
	g.consumers[who].pel.Ascend(first, func(id streamID) bool {
		ids = append(ids, id)
		return len(ids) < r.count
	})
	for _, id := range ids {
		if _, ok := s.find(id); ok {
			p, _ := g.pel.Get(streamPending{id: id})
			p.at, p.times = now, p.times+1
			s.pend(g, p)
		}
	}
	return ids
}

// reply answers the entries of one stream.
func (k *keyRead) reply(tx *Tx, r *streamRead, out Out) {
	if !r.grouped || k.unread {
		first, _ := k.after.next()
		k.s.replyRange(tx, first, maxStreamID, k.entries, false, out)
		return
	}
	out.Array(len(k.pending))
	for _, id := range k.pending {
		if e, ok := k.s.find(id); ok {
			e.reply(tx, out)
			continue
		}
		out.Array(2)
		id.reply(tx, out)
		out.NullArray()
	}
}

// await has the command wait, if it wants to and may: an id $ becomes the last one of now.
func (r *streamRead) await(tx *Tx, args [][]byte, out Out) bool {
	if r.wait == noWait {
		return false
	}
	again := append([][]byte(nil), args...)
	for i := range r.reads {
		if k := &r.reads[i]; string(args[k.at+r.n]) == "$" {
			again[k.at+r.n] = k.after.appendTo(nil)
		}
	}
	return tx.await(wish{kind: kindStream, keys: span(r.keys, r.keys+r.n), ms: r.wait, gone: r.grouped}, again, out)
}

// readKeys are the positions of the keys of XREAD and XREADGROUP: the first half of what stands behind STREAMS.
func readKeys(args [][]byte, dst []int) []int {
	for i := 1; i < len(args); i++ {
		switch more := len(args) - 1 - i; {
		case matchWord(args[i], "streams"):
			if more == 0 || more%2 != 0 {
				return dst
			}
			return append(dst, span(i+1, i+1+more/2)...)
		case matchWord(args[i], "block"), matchWord(args[i], "count"):
			i++
		case matchWord(args[i], "group"):
			i += 2
		case !matchWord(args[i], "noack"):
			return dst
		}
	}
	return dst
}

// readWaits says that XREAD or XREADGROUP wants to wait.
func readWaits(args [][]byte) bool {
	for i := 1; i < len(args) && !matchWord(args[i], "streams"); i++ {
		switch {
		case matchWord(args[i], "block"):
			return true
		case matchWord(args[i], "count"):
			i++
		case matchWord(args[i], "group"):
			i += 2
		}
	}
	return false
}
