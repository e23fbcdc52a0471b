package fsm

import "math"

const (
	errAutoCount = "ERR COUNT must be > 0"
	// claimAttempts is how many pending entries XAUTOCLAIM looks at for each that it may claim.
	claimAttempts = 10
	// claimCount is how many it claims if it is not told.
	claimCount = 100
)

func errClaimNumber(what, command string) string {
	return "ERR Invalid " + what + " argument for " + command
}

// streamClaim is how XCLAIM and XAUTOCLAIM give pending entries to a consumer.
type streamClaim struct {
	idle   int64 // ms for which nothing must have happened to an entry
	at     int64 // Unix ms, what becomes the time of its delivery
	times  int64 // what becomes the number of deliveries, -1 = one more
	justID bool  // answer ids only, and count no delivery
	force  bool  // entries that are not pending, too
	last   streamID
}

// claimedGroup returns the group that a claim is about, for changing it; otherwise it answers the error.
func claimedGroup(tx *Tx, args [][]byte, out Out) (*streamValue, *streamGroup) {
	s, ok := writeStream(tx, args[1], out)
	if !ok {
		return nil, nil
	}
	if s == nil || s.group(args[2]) == nil {
		out.Error(errNoGroup(args[1], args[2]))
		return nil, nil
	}
	return s, s.change(args[2])
}

// parse reads the options of XCLAIM behind its ids; otherwise it answers the error.
func (c *streamClaim) parse(args [][]byte, now int64, out Out) bool {
	c.at, c.times = -1, -1
	number := func(b []byte, what string) (int64, bool) {
		n, ok := parseInt(b)
		if !ok {
			out.Error(errClaimNumber(what, "XCLAIM"))
		}
		return n, ok
	}
	for i := 0; i < len(args); i++ {
		opt, more, ok := args[i], i+1 < len(args), true
		switch {
		case matchWord(opt, "force"):
			c.force = true
		case matchWord(opt, "justid"):
			c.justID = true
		case matchWord(opt, "idle") && more:
			i++
			c.at, ok = number(args[i], "IDLE option")
			c.at = now - c.at
		case matchWord(opt, "time") && more:
			i++
			c.at, ok = number(args[i], "TIME option")
		case matchWord(opt, "retrycount") && more:
			i++
			c.times, ok = number(args[i], "RETRYCOUNT option")
		case matchWord(opt, "lastid") && more:
			i++
			c.last, ok = streamIDArg(args[i], out)
		default:
			out.Error("ERR Unrecognized XCLAIM option '" + oneLine(opt) + "'")
			return false
		}
		if !ok {
			return false
		}
	}
	if c.at < 0 || c.at > now {
		c.at = now
	}
	return true
}

// attend returns the number of a consumer of the stream at key, which there is then, and notes that a command has named it.
func (tx *Tx) attend(key []byte, s *streamValue, g *streamGroup, name []byte) uint32 {
	n, ok := g.consumer(name)
	if !ok {
		tx.tell(EventStream, "xgroup-createconsumer", key)
		return s.addConsumer(g, name, tx.now)
	}
	if g.consumers[n].seen != tx.now {
		c := g.writable(n)
		c.seen = tx.now
		g.counted(c)
	}
	return n
}

// served notes that a consumer was given something.
func (g *streamGroup) served(n uint32, now int64) {
	c := g.writable(n)
	c.active = now
	g.counted(c)
}

func runXClaim(tx *Tx, args [][]byte, out Out) {
	tx.missed(args[1])
	s, g := claimedGroup(tx, args, out)
	if g == nil {
		return
	}
	var c streamClaim
	var ok bool
	if c.idle, ok = parseInt(args[4]); !ok {
		out.Error(errClaimNumber("min-idle-time", "XCLAIM"))
		return
	}
	var ids []streamID
	rest := args[5:]
	for ; len(rest) > 0; rest = rest[1:] {
		id, ok := parseStreamID(rest[0], 0)
		if !ok {
			break
		}
		ids = append(ids, id)
	}
	if !c.parse(rest, tx.now, out) {
		return
	}
	if g.last.less(c.last) {
		g.last = c.last
	}
	who := tx.attend(args[1], s, g, args[3])
	var claimed []streamEntry
	for _, id := range ids {
		if e, ok := s.claim(g, id, who, &c, tx.now); ok {
			claimed = append(claimed, e)
		}
	}
	c.reply(tx, claimed, out)
	tx.store(args[1], s)
}

// claim gives a pending entry to a consumer, and returns it; false if it is not pending, or not long enough. What is not in the
// stream any more is no longer pending.
func (s *streamValue) claim(g *streamGroup, id streamID, who uint32, c *streamClaim, now int64) (e streamEntry, ok bool) {
	e, ok = s.find(id)
	if !ok {
		s.acknowledge(g, id)
		return e, false
	}
	p, pending := g.pel.Get(streamPending{id: id})
	switch {
	case !pending && !c.force:
		return e, false
	case !pending:
		p = streamPending{id: id, times: 1}
	case c.idle > 0 && now-p.at < c.idle:
		return e, false
	}
	p.at, p.consumer = c.at, who
	if c.times >= 0 {
		p.times = c.times
	} else if !c.justID {
		p.times++
	}
	s.pend(g, p)
	g.served(who, now)
	return e, true
}

// reply answers the entries claimed.
func (c *streamClaim) reply(tx *Tx, claimed []streamEntry, out Out) {
	out.Array(len(claimed))
	for i := range claimed {
		if c.justID {
			claimed[i].id.reply(tx, out)
		} else {
			claimed[i].reply(tx, out)
		}
	}
}

// autoClaim is what XAUTOCLAIM is told besides.
type autoClaim struct {
	streamClaim
	first streamID
	count int64
}

// parse reads the arguments; otherwise it answers the error.
func (c *autoClaim) parse(args [][]byte, now int64, out Out) (ok bool) {
	c.count, c.at, c.times = claimCount, now, -1
	if c.idle, ok = parseInt(args[4]); !ok {
		out.Error(errClaimNumber("min-idle-time", "XAUTOCLAIM"))
		return false
	}
	if c.first, ok = edgeArg(args[5], false, out); !ok {
		return false
	}
	for i := 6; i < len(args); i++ {
		switch {
		case matchWord(args[i], "count") && i+1 < len(args):
			i++
			if c.count, ok = rangeArg(args[i], 1, errAutoCount, out); !ok {
				return false
			}
			if c.count > math.MaxInt64/16 {
				out.Error(errAutoCount)
				return false
			}
		case matchWord(args[i], "justid"):
			c.justID = true
		default:
			out.Error(errSyntax)
			return false
		}
	}
	return true
}

func runXAutoClaim(tx *Tx, args [][]byte, out Out) {
	var c autoClaim
	tx.missed(args[1])
	if !c.parse(args, tx.now, out) {
		return
	}
	s, g := claimedGroup(tx, args, out)
	if g == nil {
		return
	}
	who := tx.attend(args[1], s, g, args[3])
	// What is looked at comes first: claiming changes the tree.
	var ids []streamID
	next, left, attempts := streamID{}, c.count, c.count*claimAttempts
	g.pel.Ascend(streamPending{id: c.first}, func(p streamPending) bool {
		if left == 0 || attempts == 0 {
			next = p.id
			return false
		}
		attempts--
		if _, exists := s.find(p.id); !exists || c.idle <= 0 || tx.now-p.at >= c.idle {
			ids = append(ids, p.id)
			left--
		}
		return true
	})
	var claimed []streamEntry
	var gone []streamID
	for _, id := range ids {
		if e, ok := s.claim(g, id, who, &c.streamClaim, tx.now); ok {
			claimed = append(claimed, e)
		} else {
			gone = append(gone, id)
		}
	}
	out.Array(3)
	next.reply(tx, out)
	c.reply(tx, claimed, out)
	out.Array(len(gone))
	for _, id := range gone {
		id.reply(tx, out)
	}
	tx.store(args[1], s)
}
