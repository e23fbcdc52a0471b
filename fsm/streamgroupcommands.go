package fsm

const (
	errGroupKey = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option " +
		"to create an empty stream automatically."
	errBusyGroup   = "BUSYGROUP Consumer Group name already exists"
	errEntriesRead = "ERR value for ENTRIESREAD must be positive or -1"
)

// groupOptions are what stands behind the id of XGROUP CREATE and SETID.
type groupOptions struct {
	make bool // MKSTREAM
	read int64
}

// parse reads the options; otherwise it answers the error.
func (o *groupOptions) parse(args [][]byte, create bool, out Out) bool {
	o.read = unknownRead
	for i := 5; i < len(args); i++ {
		switch {
		case create && matchWord(args[i], "mkstream"):
			o.make = true
		case matchWord(args[i], "entriesread") && i+1 < len(args):
			i++
			var ok bool
			if o.read, ok = intArg(args[i], out); !ok {
				return false
			}
			if o.read < unknownRead {
				out.Error(errEntriesRead)
				return false
			}
		default:
			out.Error(errSubSyntax(args[1], "XGROUP"))
			return false
		}
	}
	return true
}

// lastArg reads the id up to which a group was given entries: $ is the last of the stream. Otherwise it answers the error. Edges
// says that - and + are ids, too.
func lastArg(b []byte, s *streamValue, edges bool, out Out) (streamID, bool) {
	switch {
	case string(b) == "$":
		return s.last, true
	case edges && string(b) == "-":
		return streamID{}, true
	case edges && string(b) == "+":
		return maxStreamID, true
	}
	return streamIDArg(b, out)
}

func runXGroupCreate(tx *Tx, args [][]byte, out Out) {
	var o groupOptions
	if !o.parse(args, true, out) {
		return
	}
	s, ok := writeStream(tx, args[2], out)
	switch {
	case !ok:
		return
	case s == nil && !o.make:
		out.Error(errGroupKey)
		return
	case len(args) > 8:
		out.Error(errSubSyntax(args[1], "XGROUP"))
		return
	case s == nil:
		s = newStream()
	}
	last, ok := lastArg(args[4], s, false, out)
	if !ok {
		return
	}
	if s.addGroup(args[3], last, o.read) == nil {
		out.Error(errBusyGroup)
		return
	}
	tx.store(args[2], s)
	out.Simple("OK")
}

// groupToChange returns a group of the stream at args[2] for changing it, and the stream; otherwise it answers the error.
func groupToChange(tx *Tx, args [][]byte, out Out) (*streamValue, *streamGroup) {
	s, ok := writeStream(tx, args[2], out)
	if !ok {
		return nil, nil
	}
	if s == nil {
		out.Error(errGroupKey)
		return nil, nil
	}
	g := s.change(args[3])
	if g == nil {
		out.Error(errNoGroupFor(args[3], args[2]))
	}
	return s, g
}

func runXGroupSetID(tx *Tx, args [][]byte, out Out) {
	var o groupOptions
	if !o.parse(args, false, out) {
		return
	}
	s, g := groupToChange(tx, args, out)
	if g == nil {
		return
	}
	if len(args) != 5 && len(args) != 7 {
		out.Error(errSubSyntax(args[1], "XGROUP"))
		return
	}
	last, ok := lastArg(args[4], s, true, out)
	if !ok {
		return
	}
	g.last, g.read = last, o.read
	tx.store(args[2], s)
	out.Simple("OK")
}

func runXGroupDestroy(tx *Tx, args [][]byte, out Out) {
	s, ok := writeStream(tx, args[2], out)
	switch {
	case !ok:
	case s == nil:
		out.Error(errGroupKey)
	case s.dropGroup(args[3]):
		tx.store(args[2], s)
		out.Int(1)
	default:
		out.Int(0)
	}
}

func runXGroupCreateConsumer(tx *Tx, args [][]byte, out Out) {
	s, g := groupToChange(tx, args, out)
	if g == nil {
		return
	}
	if _, ok := g.consumer(args[4]); ok {
		out.Int(0)
		return
	}
	s.addConsumer(g, args[4], tx.now)
	tx.store(args[2], s)
	out.Int(1)
}

func runXGroupDelConsumer(tx *Tx, args [][]byte, out Out) {
	s, g := groupToChange(tx, args, out)
	if g == nil {
		return
	}
	n, ok := s.dropConsumer(g, args[4])
	if ok {
		tx.store(args[2], s)
	}
	out.Int(int64(n))
}

func runXAck(tx *Tx, args [][]byte, out Out) {
	tx.missed(args[1])
	s, ok := writeStream(tx, args[1], out)
	if !ok {
		return
	}
	if s == nil || s.group(args[2]) == nil {
		out.Int(0)
		return
	}
	ids, ok := streamIDArgs(args[3:], out)
	if !ok {
		return
	}
	g, n := s.change(args[2]), int64(0)
	for _, id := range ids {
		if s.acknowledge(g, id) {
			n++
		}
	}
	if n > 0 {
		tx.store(args[1], s)
	}
	out.Int(n)
}

// pendingRange is which pending entries XPENDING lists.
type pendingRange struct {
	first, last streamID
	count, idle int64  // idle is in ms
	consumer    []byte // nil = of all
}

// parse reads the range; otherwise it answers the error.
func (r *pendingRange) parse(args [][]byte, out Out) (ok bool) {
	at := 3
	if matchWord(args[3], "idle") {
		if r.idle, ok = intArg(args[4], out); !ok {
			return false
		}
		if len(args) < 8 {
			out.Error(errSyntax)
			return false
		}
		at = 5
	}
	if r.count, ok = intArg(args[at+2], out); !ok {
		return false
	}
	if r.first, ok = edgeArg(args[at], false, out); !ok {
		return false
	}
	if r.last, ok = edgeArg(args[at+1], true, out); !ok {
		return false
	}
	if at+3 < len(args) {
		r.consumer = args[at+3]
	}
	return true
}

func runXPending(tx *Tx, args [][]byte, out Out) {
	var r pendingRange
	if n := len(args); n != 3 && (n < 6 || n > 9) {
		out.Error(errSyntax)
		return
	}
	if len(args) > 3 && !r.parse(args, out) {
		return
	}
	s, ok := readStream(tx, args[1], out)
	if !ok {
		return
	}
	var g *streamGroup
	if s != nil {
		g = s.group(args[2])
	}
	switch {
	case g == nil:
		out.Error(errNoGroup(args[1], args[2]))
	case len(args) == 3:
		g.replySummary(tx, out)
	default:
		g.replyPending(tx, &r, out)
	}
}

// replySummary answers how much is pending, from where to where, and for whom.
func (g *streamGroup) replySummary(tx *Tx, out Out) {
	out.Array(4)
	out.Int(int64(g.pel.Len()))
	first, ok := g.pel.Min()
	if !ok {
		out.Null()
		out.Null()
		out.NullArray()
		return
	}
	last, _ := g.pel.Max()
	first.id.reply(tx, out)
	last.id.reply(tx, out)
	busy := 0
	for _, n := range g.order {
		if g.consumers[n].pel.Len() > 0 {
			busy++
		}
	}
	out.Array(busy)
	for _, n := range g.order {
		if c := g.consumers[n]; c.pel.Len() > 0 {
			out.Array(2)
			out.BulkString(c.name)
			tx.buf = appendInt(tx.buf[:0], int64(c.pel.Len()))
			out.Bulk(tx.buf)
		}
	}
}

// replyPending answers the pending entries of a range.
func (g *streamGroup) replyPending(tx *Tx, r *pendingRange, out Out) {
	var found []streamPending
	visit := func(p streamPending) bool {
		if int64(len(found)) >= r.count || r.last.less(p.id) {
			return false
		}
		if r.idle == 0 || tx.now-p.at >= r.idle {
			found = append(found, p)
		}
		return true
	}
	if r.consumer == nil {
		g.pel.Ascend(streamPending{id: r.first}, visit)
	} else if n, ok := g.consumer(r.consumer); ok {
		g.consumers[n].pel.Ascend(r.first, func(id streamID) bool {
			p, _ := g.pel.Get(streamPending{id: id})
			return visit(p)
		})
	}
	out.Array(len(found))
	for _, p := range found {
		out.Array(4)
		p.id.reply(tx, out)
		out.BulkString(g.consumers[p.consumer].name)
		out.Int(max(0, tx.now-p.at))
		out.Int(p.times)
	}
}
