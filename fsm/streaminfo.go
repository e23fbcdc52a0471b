package fsm

// infoCount is how many entries, and pending ones of each list, XINFO STREAM FULL shows if it is not told.
const infoCount = 10

// missingStream answers the error of a key that must exist, and has no stream.
func missingStream(tx *Tx, key []byte, out Out) *streamValue {
	s, ok := readStream(tx, key, out)
	if ok && s == nil {
		out.Error(errNoSuchKey)
	}
	return s
}

func runXInfoStream(tx *Tx, args [][]byte, out Out) {
	s := missingStream(tx, args[2], out)
	if s == nil {
		return
	}
	full, count := len(args) > 3, infoCount
	if full {
		if len(args) != 4 && len(args) != 6 || !matchWord(args[3], "full") || len(args) == 6 && !matchWord(args[4], "count") {
			out.Error(errSubSyntax(args[1], "XINFO"))
			return
		}
		if len(args) == 6 {
			n, ok := intArg(args[5], out)
			if !ok {
				return
			}
			if n >= 0 {
				count = int(n)
			}
		}
	}
	fields := 10
	if full {
		fields = 9
	}
	out.Map(fields)
	field := func(name string, n int64) {
		out.BulkString(name)
		out.Int(n)
	}
	field("length", int64(s.n))
	field("radix-tree-keys", int64(s.blocks.Len()))
	field("radix-tree-nodes", int64(s.radixNodes()))
	out.BulkString("last-generated-id")
	s.last.reply(tx, out)
	out.BulkString("max-deleted-entry-id")
	s.maxDel.reply(tx, out)
	field("entries-added", int64(s.added))
	out.BulkString("recorded-first-entry-id")
	s.edge(false).reply(tx, out)
	if full {
		s.replyFull(tx, count, out)
		return
	}
	field("groups", int64(len(s.groups)))
	out.BulkString("first-entry")
	s.replyEdge(tx, false, out)
	out.BulkString("last-entry")
	s.replyEdge(tx, true, out)
}

// replyEdge answers the first or last entry.
func (s *streamValue) replyEdge(tx *Tx, last bool, out Out) {
	if s.n == 0 {
		out.Null()
		return
	}
	s.walk(streamID{}, maxStreamID, last, func(e *streamEntry) bool {
		e.reply(tx, out)
		return false
	})
}

// replyFull answers the last two fields of XINFO STREAM FULL: count entries, 0 = all, and the groups with as many pending ones.
func (s *streamValue) replyFull(tx *Tx, count int, out Out) {
	if count == 0 {
		count = noLimit
	}
	out.BulkString("entries")
	s.replyRange(tx, streamID{}, maxStreamID, count, false, out)
	out.BulkString("groups")
	out.Array(len(s.groups))
	for _, g := range s.groups {
		out.Map(7)
		out.BulkString("name")
		out.BulkString(g.name)
		s.replyProgress(tx, g, out)
		out.BulkString("pel-count")
		out.Int(int64(g.pel.Len()))
		out.BulkString("pending")
		n := min(count, g.pel.Len())
		out.Array(n)
		g.pel.Scan(func(p streamPending) bool {
			if n == 0 {
				return false
			}
			n--
			out.Array(4)
			p.id.reply(tx, out)
			out.BulkString(g.consumers[p.consumer].name)
			out.Int(p.at)
			out.Int(p.times)
			return true
		})
		out.BulkString("consumers")
		out.Array(len(g.order))
		for _, n := range g.order {
			g.replyConsumer(tx, g.consumers[n], count, out)
		}
	}
}

// replyProgress answers three fields: how far the group is.
func (s *streamValue) replyProgress(tx *Tx, g *streamGroup, out Out) {
	out.BulkString("last-delivered-id")
	g.last.reply(tx, out)
	out.BulkString("entries-read")
	if g.read == unknownRead {
		out.Null()
	} else {
		out.Int(g.read)
	}
	out.BulkString("lag")
	if n, ok := s.lag(g); ok {
		out.Int(n)
	} else {
		out.Null()
	}
}

// replyConsumer answers a consumer as XINFO STREAM FULL shows it.
func (g *streamGroup) replyConsumer(tx *Tx, c *streamConsumer, count int, out Out) {
	out.Map(5)
	out.BulkString("name")
	out.BulkString(c.name)
	out.BulkString("seen-time")
	out.Int(c.seen)
	out.BulkString("active-time")
	out.Int(c.active)
	out.BulkString("pel-count")
	out.Int(int64(c.pel.Len()))
	out.BulkString("pending")
	n := min(count, c.pel.Len())
	out.Array(n)
	c.pel.Scan(func(id streamID) bool {
		if n == 0 {
			return false
		}
		n--
		p, _ := g.pel.Get(streamPending{id: id})
		out.Array(3)
		id.reply(tx, out)
		out.Int(p.at)
		out.Int(p.times)
		return true
	})
}

func runXInfoGroups(tx *Tx, args [][]byte, out Out) {
	s := missingStream(tx, args[2], out)
	if s == nil {
		return
	}
	out.Array(len(s.groups))
	for _, g := range s.groups {
		out.Map(6)
		out.BulkString("name")
		out.BulkString(g.name)
		out.BulkString("consumers")
		out.Int(int64(len(g.order)))
		out.BulkString("pending")
		out.Int(int64(g.pel.Len()))
		s.replyProgress(tx, g, out)
	}
}

func runXInfoConsumers(tx *Tx, args [][]byte, out Out) {
	s := missingStream(tx, args[2], out)
	if s == nil {
		return
	}
	g := s.group(args[3])
	if g == nil {
		out.Error(errNoGroupFor(args[3], args[2]))
		return
	}
	out.Array(len(g.order))
	for _, n := range g.order {
		c := g.consumers[n]
		out.Map(4)
		out.BulkString("name")
		out.BulkString(c.name)
		out.BulkString("pending")
		out.Int(int64(c.pel.Len()))
		out.BulkString("idle")
		out.Int(max(0, tx.now-c.seen))
		out.BulkString("inactive")
		if c.active == neverActive {
			out.Int(-1)
		} else {
			out.Int(max(0, tx.now-c.active))
		}
	}
}
