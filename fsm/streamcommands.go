package fsm

func runXAdd(tx *Tx, args [][]byte, out Out) {
	var o addOptions
	if !o.parse(args, true, out) {
		return
	}
	pairs := args[min(o.idAt+1, len(args)):]
	if len(pairs) < 2 || len(pairs)%2 != 0 {
		out.Error(errArity("xadd"))
		return
	}
	if o.given && o.whole && o.id == (streamID{}) {
		out.Error(errStreamZero)
		return
	}
	s, ok := writeStream(tx, args[1], out)
	switch {
	case !ok:
		return
	case s == nil && o.keep:
		out.Null()
		return
	case s == nil:
		s = newStream()
	}
	id, msg := o.next(s, tx.now)
	if msg == "" && pairsSize(pairs) > streamMaxEntry {
		msg = errStreamLarge
	}
	if msg != "" {
		out.Error(msg)
		return
	}
	s.add(id, pairs)
	trimmed := int64(0)
	if o.trim.by != trimNone {
		trimmed = s.trim(o.trim)
	}
	id.reply(tx, out)
	tx.store(args[1], s)
	if trimmed > 0 {
		tx.tell(EventStream, "xtrim", args[1])
	}
}

func pairsSize(pairs [][]byte) (n int) {
	for _, p := range pairs {
		n += len(p)
	}
	return n
}

// next returns the id of the entry to be added at now, in Unix ms, or the error.
func (o *addOptions) next(s *streamValue, now int64) (id streamID, msg string) {
	if s.last == maxStreamID {
		return id, errStreamFull
	}
	switch id = o.id; {
	case !o.given:
		if id = (streamID{uint64(now), 0}); !s.last.less(id) {
			id, _ = s.last.next()
		}
	case !o.whole && id.ms == s.last.ms:
		if id, _ = s.last.next(); id.ms != s.last.ms {
			return id, errStreamLarge // as Redis calls it
		}
	}
	if !s.last.less(id) {
		return id, errStreamLow
	}
	return id, ""
}

func runXTrim(tx *Tx, args [][]byte, out Out) {
	var o addOptions
	if !o.parse(args, false, out) {
		return
	}
	s, ok := writeStream(tx, args[1], out)
	if !ok {
		return
	}
	removed := int64(0)
	if s != nil {
		if removed = s.trim(o.trim); removed > 0 {
			tx.store(args[1], s)
		}
	}
	out.Int(removed)
}

func runXDel(tx *Tx, args [][]byte, out Out) {
	s, ok := writeStream(tx, args[1], out)
	if !ok {
		return
	}
	if s == nil {
		out.Int(0)
		return
	}
	ids, ok := streamIDArgs(args[2:], out)
	if !ok {
		return
	}
	removed := int64(0)
	for _, id := range ids {
		if s.remove(id) {
			removed++
		}
	}
	if removed > 0 {
		tx.store(args[1], s)
	}
	out.Int(removed)
}

// streamIDArgs reads ids; otherwise it answers the error.
func streamIDArgs(args [][]byte, out Out) ([]streamID, bool) {
	ids := make([]streamID, len(args))
	for i, a := range args {
		var ok bool
		if ids[i], ok = streamIDArg(a, out); !ok {
			return nil, false
		}
	}
	return ids, true
}

func runXLen(tx *Tx, args [][]byte, out Out) {
	s, ok := readStream(tx, args[1], out)
	switch {
	case !ok:
	case s == nil:
		out.Int(0)
	default:
		out.Int(int64(s.n))
	}
}

func runXRange(reverse bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		from, to := args[2], args[3]
		if reverse {
			from, to = to, from
		}
		first, ok := edgeArg(from, false, out)
		if !ok {
			return
		}
		last, ok := edgeArg(to, true, out)
		if !ok {
			return
		}
		count, ok := rangeCount(args[4:], out)
		if !ok {
			return
		}
		s, ok := readStream(tx, args[1], out)
		switch {
		case !ok:
		case s == nil:
			out.Array(0)
		case count == 0:
			out.NullArray()
		default:
			s.replyRange(tx, first, last, count, reverse, out)
		}
	}
}

// rangeCount reads the option of ranges; noLimit without one. Otherwise it answers the error.
func rangeCount(args [][]byte, out Out) (int, bool) {
	count := noLimit
	for i := 0; i < len(args); i += 2 {
		if !matchWord(args[i], "count") || i+1 == len(args) {
			out.Error(errSyntax)
			return 0, false
		}
		n, ok := intArg(args[i+1], out)
		if !ok {
			return 0, false
		}
		count = int(max(n, 0))
	}
	return count, true
}

// replyRange answers up to count entries from first to last.
func (s *streamValue) replyRange(tx *Tx, first, last streamID, count int, reverse bool, out Out) {
	n := s.count(first, last, count)
	out.Array(n)
	if n == 0 {
		return
	}
	s.walk(first, last, reverse, func(e *streamEntry) bool {
		e.reply(tx, out)
		n--
		return n > 0
	})
}

func runXSetID(tx *Tx, args [][]byte, out Out) {
	id, ok := streamIDArg(args[2], out)
	if !ok {
		return
	}
	added, maxDel, ok := setIDOptions(args[3:], id, out)
	if !ok {
		return
	}
	s, ok := writeStream(tx, args[1], out)
	switch {
	case !ok:
		return
	case s == nil:
		out.Error(errNoSuchKey)
	case id.less(s.maxDel):
		out.Error(errSetIDBehind)
	case s.n > 0 && id.less(s.edge(true)):
		out.Error(errSetIDLow)
	case s.n > 0 && added >= 0 && int64(s.n) > added:
		out.Error(errSetIDAdded)
	default:
		s.last = id
		if added >= 0 {
			s.added = uint64(added)
		}
		if maxDel != (streamID{}) {
			s.maxDel = maxDel
		}
		tx.store(args[1], s)
		out.Simple("OK")
	}
}

// setIDOptions reads the options of XSETID; added is -1 if it is not given. Otherwise it answers the error.
func setIDOptions(args [][]byte, id streamID, out Out) (added int64, maxDel streamID, ok bool) {
	added = -1
	for i := 0; i < len(args); i += 2 {
		switch more := i+1 < len(args); {
		case matchWord(args[i], "entriesadded") && more:
			if added, ok = intArg(args[i+1], out); !ok {
				return 0, maxDel, false
			}
			if added < 0 {
				out.Error(errAddedNegative)
				return 0, maxDel, false
			}
		case matchWord(args[i], "maxdeletedid") && more:
			if maxDel, ok = streamIDArg(args[i+1], out); !ok {
				return 0, maxDel, false
			}
			if id.less(maxDel) {
				out.Error(errSetIDDeleted)
				return 0, maxDel, false
			}
		default:
			out.Error(errSyntax)
			return 0, maxDel, false
		}
	}
	return added, maxDel, true
}
