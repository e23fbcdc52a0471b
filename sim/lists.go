package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"kvapp/fsm"
	"kvapp/node"
)

// In worlds with the class blocks clients push to lists, and wait for what others push. The model of it is here: lists, and who
// waits for them, executed from the log once more. It says at which entry each command is answered, and what; waits.go has the
// clients' part. A wait ends with the push that feeds it, the oldest first, with an entry that says so, or with the first entry of
// the next leader. So nothing that was pushed is lost or handed out twice, and nobody is told that there was nothing unless his
// time was over.

// The verbs of lists.
const (
	push verb = verbs + 2 + iota // RPUSH or LPUSH of one or two elements
	drop                         // DEL, with a key that nobody has: its name is the token
	pop                          // BLPOP or BRPOP
	move                         // BLMOVE
	take                         // BLMPOP
)

// listOp is what a command on lists does. Its token stands in the elements that it pushes, in the key that it drops in vain, or in
// the digits of its timeout.
type listOp struct {
	verb          verb
	from          []int // positions in World.lists; of push and drop the first
	to            int   // move
	front, toward bool  // at the left end; of move: of what it takes from, and of what it adds to
	count         int   // push: elements; take: at most
	ms            int64 // how long it waits, 0 = without end
}

// list is what the model knows of one list.
type list struct {
	name  string
	index uint64 // of the entry that changed it last
	items []string
	fed   bool // it stands in World.fed
}

// waiting is a command that waits, by the log.
type waiting struct {
	id    fsm.WaiterID
	token uint32
	op    *listOp
}

// maxLists is how many lists clients share.
const maxLists = 2

// drawListOp draws a push, a wait, or now and then a deletion.
func (w *World) drawListOp(d *dice) *listOp {
	op := &listOp{from: []int{d.n(len(w.lists))}, to: d.n(len(w.lists)), front: d.oneIn(2), toward: d.oneIn(2), count: 1 + d.n(2)}
	switch n := d.n(20); {
	case n < 9:
		op.verb = push
		return op
	case n == 9:
		op.verb = drop
		return op
	case n < 14:
		op.verb = move
	case n < 17:
		op.verb = pop
	default:
		op.verb = take
	}
	if op.verb != move && d.oneIn(3) {
		op.from = append(op.from, d.n(len(w.lists))) // it may be the same
	}
	op.ms = d.pick(0, 0, d.between(1, 50), d.between(50, 1000))
	return op
}

// listCommand draws a token for a command on lists, and builds it as the server parses it.
func (w *World) listCommand(a *attempt, c *command) fsm.Command {
	c.token = w.newToken(-1)
	line := c.op.line(w, c.token)
	t := &w.tokens[c.token]
	t.op, t.args, t.attempt = c.op, line.Args, a
	return line
}

// line is the command with its token.
func (op *listOp) line(w *World, id uint32) fsm.Command {
	sides := func(front bool) string {
		if front {
			return "left"
		}
		return "right"
	}
	first, number := w.lists[op.from[0]].name, strconv.FormatUint(uint64(id), 10)
	timeout := "0e" + number
	if op.ms > 0 {
		timeout = fmt.Sprintf("%d.%03d%09d", op.ms/1000, op.ms%1000, id)
	}
	var words []string
	switch op.verb {
	case push:
		words = []string{sides(op.front)[:1] + "push", first}
		words = append(words, op.elements(id)...)
	case drop:
		words = []string{"del", first, number}
	case move:
		words = []string{"blmove", first, w.lists[op.to].name, sides(op.front), sides(op.toward), timeout}
	case pop:
		words = []string{"b" + sides(op.front)[:1] + "pop", first}
		for _, n := range op.from[1:] {
			words = append(words, w.lists[n].name)
		}
		words = append(words, timeout)
	default:
		words = []string{"blmpop", timeout, strconv.Itoa(len(op.from))}
		for _, n := range op.from {
			words = append(words, w.lists[n].name)
		}
		words = append(words, sides(op.front), "count", strconv.Itoa(op.count))
	}
	c := fsm.Command{Spec: fsm.Lookup([]byte(words[0]))}
	for _, word := range words {
		c.Args = append(c.Args, []byte(word))
	}
	c.Raw = rawCommand(c.Args)
	return c
}

// elements is what a push adds.
func (op *listOp) elements(id uint32) (all []string) {
	for n := range op.count {
		all = append(all, strconv.FormatUint(uint64(id), 10)+string(rune('a'+n)))
	}
	return all
}

// waits says that the command may have to wait.
func (op *listOp) waits() bool { return op.verb != push && op.verb != drop }

// tokenOf finds the token in a command on lists.
func tokenOf(args [][]byte) (uint32, bool) {
	text := args[len(args)-1]
	switch name := string(args[0]); {
	case name == "blmpop":
		text = args[1]
	case name == "lpush" || name == "rpush":
		text = bytes.TrimRight(args[2], "abc")
	}
	if rest, ok := bytes.CutPrefix(text, []byte("0e")); ok {
		text = rest
	} else if at := bytes.IndexByte(text, '.'); at >= 0 && len(text) > at+4 {
		text = text[at+4:]
	}
	id, err := strconv.ParseUint(string(text), 10, 32)
	return uint32(id), err == nil
}

// executeOnLists executes a command of the log, if it is one on lists.
func (w *World) executeOnLists(index uint64, args [][]byte) {
	if len(w.lists) == 0 {
		return
	}
	switch string(args[0]) {
	case unblockName:
		w.executeUnblock(index, args)
		return
	case evictName:
		for i := 1; i+1 < len(args); i += 2 {
			w.evictList(index, args[i], args[i+1])
		}
		return
	case "blmpop", "blpop", "brpop", "blmove":
	case "lpush", "rpush", "del":
		if len(args) < 3 || !w.isList(args[1]) {
			return
		}
	default:
		return
	}
	id, ok := tokenOf(args)
	if !ok || id >= uint32(len(w.tokens)) || !slices.EqualFunc(args, w.tokens[id].args, bytes.Equal) {
		w.fail("command-known", "entry %d holds a command that no client has sent: %q", index, args)
		return
	}
	t := &w.tokens[id]
	if !w.stands(index, t, args) {
		return
	}
	w.runOnLists(index, id)
	if !w.inMulti {
		w.feed(index)
	}
}

func (w *World) isList(name []byte) bool {
	return slices.ContainsFunc(w.lists, func(l *list) bool { return l.name == string(name) })
}

func (w *World) runOnLists(index uint64, id uint32) {
	t := &w.tokens[id]
	op, l := t.op, w.lists[t.op.from[0]]
	switch op.verb {
	case push:
		for _, item := range op.elements(id) {
			l.add(item, op.front)
		}
		w.grew(index, l)
		t.answer(index, reply{kind: ':', num: int64(len(l.items))})
	case drop:
		n := min(1, len(l.items))
		l.items, l.index = nil, index
		t.answer(index, reply{kind: ':', num: int64(n)})
	default:
		for _, n := range op.from {
			if w.serveFrom(index, id, w.lists[n]) {
				return
			}
		}
		if w.inMulti {
			t.answer(index, reply{kind: '_'})
			return
		}
		w.reach(commandWaits)
		w.waiting = append(w.waiting, waiting{fsm.WaiterID{Index: index, Position: w.position}, id, op})
	}
}

func (l *list) add(item string, front bool) {
	if front {
		l.items = slices.Insert(l.items, 0, item)
	} else {
		l.items = append(l.items, item)
	}
}

// cut takes an element.
func (l *list) cut(front bool) (item string) {
	n := len(l.items) - 1
	if front {
		item, l.items = l.items[0], l.items[1:]
	} else {
		item, l.items = l.items[n], l.items[:n]
	}
	return item
}

// grew notes that there may be something for who waits for the list.
func (w *World) grew(index uint64, l *list) {
	l.index = index
	if !l.fed {
		l.fed = true
		w.fed = append(w.fed, l)
	}
}

// serveFrom executes a command that may wait on one list. It returns false if there is nothing.
func (w *World) serveFrom(index uint64, id uint32, l *list) bool {
	t := &w.tokens[id]
	if len(l.items) == 0 {
		return false
	}
	bulk := func(s string) reply { return reply{kind: '$', text: s} }
	switch op := t.op; op.verb {
	case move:
		item := l.cut(op.front)
		w.lists[op.to].add(item, op.toward)
		t.answer(index, bulk(item))
		w.grew(index, l)
		w.grew(index, w.lists[op.to])
	case pop:
		t.answer(index, reply{kind: '*', num: 2}, bulk(l.name), bulk(l.cut(op.front)))
		w.grew(index, l)
	default:
		n := min(op.count, len(l.items))
		all := []reply{{kind: '*', num: 2}, bulk(l.name), {kind: '*', num: int64(n)}}
		for range n {
			all = append(all, bulk(l.cut(op.front)))
		}
		t.answer(index, all...)
		w.grew(index, l)
	}
	return true
}

// feed serves who waits for the lists that a command has written: list by list in the order in which they were written, and of
// those who wait for one the oldest first.
func (w *World) feed(index uint64) {
	for i := 0; i < len(w.fed); i++ {
		l := w.fed[i]
		l.fed = false
		for at := 0; at < len(w.waiting) && len(l.items) > 0; {
			x := &w.waiting[at]
			if !slices.ContainsFunc(x.op.from, func(n int) bool { return w.lists[n] == l }) {
				at++
				continue
			}
			id := x.token
			w.waiting = slices.Delete(w.waiting, at, at+1)
			w.serveFrom(index, id, l)
			w.reach(waitServed)
		}
	}
	w.fed = w.fed[:0]
}

// executeUnblock ends a wait, which somebody must have wanted.
func (w *World) executeUnblock(index uint64, args [][]byte) {
	var n [3]uint64
	for i := range n {
		n[i], _ = strconv.ParseUint(string(args[1+i]), 10, 64)
	}
	id, why := fsm.WaiterID{Index: n[0], Position: n[1]}, fsm.Unblocking(n[2])
	at := slices.IndexFunc(w.waiting, func(x waiting) bool { return x.id == id })
	if at < 0 {
		return
	}
	t := &w.tokens[w.waiting[at].token]
	orphan := why == fsm.UnblockGone && t.attempt.batch.Outcome == node.Uncertain
	if !t.wanted[why] && !orphan {
		w.fail("wait-ends-when-wanted", "entry %d ends the wait of entry %d, reason %d: nobody wanted that", index, id.Index, why)
		return
	}
	w.waiting = slices.Delete(w.waiting, at, at+1)
	switch why {
	case fsm.UnblockTimeout:
		w.reach(waitTimedOut)
		t.answer(index, reply{kind: '_'})
	case fsm.UnblockError:
		w.reach(waitUnblocked)
		t.answer(index, reply{kind: '-', text: fsm.Unblocked})
	default:
		if orphan {
			w.reach(waitOrphaned)
		}
		w.reach(waiterGone)
		t.ended = index
	}
}

// endWaits is the first entry of a leader: whoever waits was told to by another one.
func (w *World) endWaits(index uint64) {
	for i := range w.waiting {
		w.reach(waitForced)
		t := &w.tokens[w.waiting[i].token]
		t.answer(index, reply{kind: '-', text: forced})
	}
	w.waiting = w.waiting[:0]
}

// evictList executes the eviction of a list.
func (w *World) evictList(index uint64, version, name []byte) {
	for _, l := range w.lists {
		if l.name != string(name) || len(l.items) == 0 || strconv.FormatUint(l.index, 10) != string(version) {
			continue
		}
		if w.o.volatile() {
			w.fail("evicts-by-its-policy", "entry %d evicts %s, which has no deadline", index, l.name)
		}
		w.reach(keyEvicted)
		l.items = nil
	}
}

// compareLists compares the lists of a node at rest with the model.
func (w *World) compareLists(h *host) {
	for _, l := range w.lists {
		args := [][]byte{[]byte("lrange"), []byte(l.name), []byte("0"), []byte("-1")}
		var out replies
		h.store.Read(&fsm.Command{Spec: fsm.Lookup(args[0]), Args: args}, &out)
		same := len(out.values) == 1+len(l.items)
		for i := range l.items {
			same = same && out.values[1+i].text == l.items[i]
		}
		if !same {
			w.fail("keys-are-the-model's", "%v: %s is %v, and the log says %v", h, l.name, out.values, l.items)
			return
		}
	}
}

// relist executes the first entries of the history anew, as far as lists go.
func (w *World) relist(keep uint64) {
	w.waiting = w.waiting[:0]
	for _, l := range w.lists {
		*l = list{name: l.name}
	}
	for i := range w.tokens {
		if t := &w.tokens[i]; t.op != nil {
			t.fate, t.index, t.ended, t.told = proposed, 0, 0, nil
		}
	}
	w.relisting = true
	for i := range keep {
		w.executeEntry(i+1, &w.ledger[i])
	}
	w.relisting = false
}
