package sim

import (
	"fmt"
	"strconv"
	"strings"

	"kvapp/node"
	"kvapp/raft"
)

// The model is a second, dumb implementation of the few commands that clients use. It executes every committed entry once,
// in the order of the log, and knows what each key has held and from which index on. What a client was told is compared
// with it at once: a write must have had its effect, with its reply, at the index it was told; a read must show a state
// that was in effect at or behind every index that somebody had seen before the read began. The log is the order in which
// all of it happened, so this is linearizability over all keys together.

// version is a value that a key has had from an index on.
type version struct {
	index   uint64
	value   int64 // of a register or a counter; of a list its length in bytes
	begin   int   // of a list: where in key.text it begins
	gone    bool  // the key was evicted
	expires bool  // it has a deadline
}

// key is what the model knows of one key. The first letter of its name is its type: r register, c counter, l list.
type key struct {
	name     string
	versions []version // without the one that it had at first: absent
	text     []byte    // of a list: all that was ever appended, also to what was evicted since
	ops      int       // drawn by clients
	history  []operation
}

// fate is what is known of a command with a token.
type fate uint8

const (
	proposed fate = iota
	executed      // it stands in a committed entry
	broken        // it stands in a transaction that was not executed, because a watched key had changed
	notInLog      // somebody was told that it is in no log
)

// token is one write command.
type token struct {
	fate  fate
	key   int
	index uint64 // executed: of its entry
	reply reply  // executed: what it answers
	// Executed: how many versions its key had in front of it, and has behind it.
	before, after int

	// Of a command on lists.
	op      *listOp
	args    [][]byte // as it was sent
	attempt *attempt
	wanted  [3]bool // by fsm.Unblocking: somebody wants its wait to end
	ended   uint64  // the entry by which it is answered, 0 = it is not
	told    []reply // what it is answered
}

// answer notes what a command on lists is answered.
func (t *token) answer(index uint64, values ...reply) { t.ended, t.told = index, values }

// key returns the position of the key in use for a number; one that has had enough operations is replaced by a new one,
// so that histories and lists stay short.
func (w *World) key(kind byte, n int) int {
	slot := n<<8 | int(kind)
	at, ok := w.current[slot]
	if !ok || w.keys[at].ops >= w.o.Generation {
		at = len(w.keys)
		name := fmt.Sprintf("%c%d.%d", kind, n, at)
		w.keys = append(w.keys, &key{name: name})
		w.keyAt[name] = at
		w.current[slot] = at
	}
	w.keys[at].ops++
	return at
}

func (w *World) newToken(key int) uint32 {
	w.tokens = append(w.tokens, token{key: key})
	return uint32(len(w.tokens) - 1)
}

// executeEntry executes the commands of a committed entry.
func (w *World) executeEntry(index uint64, e *committed) {
	switch e.kind {
	case raft.EntryNoop:
		w.endWaits(index)
		return
	case raft.EntryCommand:
	default:
		return
	}
	args := make([][]byte, 0, 4)
	var err error
	w.position = 0
	for at := entryHeader; at < len(e.data); {
		if args, at, err = parseCommand(e.data, at, args[:0]); err != nil {
			w.fail("entry-readable", "entry %d: %v", index, err)
			return
		}
		w.position++
		w.execute(index, args)
	}
}

// execute executes one command of the log.
func (w *World) execute(index uint64, args [][]byte) {
	if string(args[0]) == execName {
		w.executeTransaction(index, args)
		return
	}
	w.executeOnLists(index, args)
	if w.relisting {
		return
	}
	if string(args[0]) == evictName {
		w.evict(index, args[1:])
		return
	}
	v := get
	for c := range verbs {
		if string(args[0]) == verbNames[c] {
			v = c
		}
	}
	if v != get {
		w.executeOne(index, v, args)
	}
}

func (w *World) executeOne(index uint64, v verb, args [][]byte) {
	id, at, ok := w.tokenOfKey(args)
	if !ok {
		w.fail("command-known", "entry %d holds a command that no client has sent: %q", index, args)
		return
	}
	if t := &w.tokens[id]; w.stands(index, t, args) {
		t.before = len(w.keys[at].versions)
		t.reply = w.keys[at].run(index, v, int64(id), args[2:])
		t.after = len(w.keys[at].versions)
	}
}

// tokenOfKey finds the token of a write to a key, and where the key is.
func (w *World) tokenOfKey(args [][]byte) (id uint32, at int, ok bool) {
	at, ok = w.keyAt[string(args[1])]
	if !ok || len(args) < 3 {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(string(args[2]), ","), 10, 32)
	return uint32(n), at, err == nil && n < uint64(len(w.tokens)) && w.tokens[n].key == at
}

// stands notes that the command of a token stands in an entry. It returns false if that must not be.
func (w *World) stands(index uint64, t *token, args [][]byte) bool {
	switch t.fate {
	case executed, broken:
		w.fail("executed-once", "%q stands in entry %d and in entry %d", args, t.index, index)
		return false
	case notInLog:
		w.fail("refused-means-refused", "%q was refused as certainly in no log, and stands in entry %d", args, index)
		return false
	}
	t.fate, t.index = executed, index
	return true
}

// now is the version in effect, nil if the key is absent.
func (k *key) now() *version {
	if n := len(k.versions); n > 0 && !k.versions[n-1].gone {
		return &k.versions[n-1]
	}
	return nil
}

// run executes one command on the model of its key. args begin with what carries its token.
func (k *key) run(index uint64, v verb, value int64, args [][]byte) reply {
	next := version{index: index, value: value, begin: len(k.text)}
	old := k.now()
	switch v {
	case set:
		next.expires = len(args) > 1
		k.versions = append(k.versions, next)
		return reply{kind: '+', text: "OK"}
	case setnx:
		if old != nil {
			return reply{kind: ':', num: 0}
		}
		k.versions = append(k.versions, next)
		return reply{kind: ':', num: 1}
	case incrby:
		if old != nil {
			next.value += old.value
		}
	default:
		k.text = append(k.text, args[0]...)
		next.value = int64(len(args[0]))
		if old != nil {
			next.begin, next.value = old.begin, next.value+old.value
		}
	}
	k.versions = append(k.versions, next)
	return reply{kind: ':', num: next.value}
}

// entryHeader is the size of what stands in front of the commands of an entry: version, time, seed.
const entryHeader = 1 + 8 + 8

// parseCommand reads the database and one RESP command at data[at:].
func parseCommand(data []byte, at int, args [][]byte) ([][]byte, int, error) {
	for data[at]&0x80 != 0 { // a uvarint
		at++
	}
	at++
	number := func(mark byte) int {
		n := 0
		if at >= len(data) || data[at] != mark {
			return -1
		}
		for at++; at < len(data) && data[at] != '\r'; at++ {
			n = n*10 + int(data[at]-'0')
		}
		at += 2
		return n
	}
	count := number('*')
	for range count {
		n := number('$')
		if n < 0 || at+n+2 > len(data) {
			return nil, at, fmt.Errorf("malformed at byte %d", at)
		}
		args = append(args, data[at:at+n])
		at += n + 2
	}
	if count < 1 || at > len(data) {
		return nil, at, fmt.Errorf("malformed at byte %d", at)
	}
	return args, at, nil
}

// checkDone compares an answer with the model, and notes what everybody knows from now on.
func (w *World) checkDone(a *attempt) {
	switch c := &a.cmds[0]; {
	case c.op != nil:
		w.checkWait(a)
		return
	case c.verb == watch:
		if w.checkWatch(a); w.failure == nil {
			a.c.watching = c.txn
		}
		return
	case c.verb == exec:
		w.checkExec(a)
		return
	}
	if len(a.out.values) != len(a.cmds) {
		w.fail("replies-complete", "%s: %d replies", describe{a}, len(a.out.values))
		return
	}
	seen := w.acked
	for i := range a.cmds {
		c, got := &a.cmds[i], &a.out.values[i]
		if c.verb == other {
			continue
		}
		if c.verb == get {
			low, high := a.floor, ^uint64(0)
			if !a.read {
				low, high = a.batch.Index-1, a.batch.Index
			}
			index, ok := w.keys[c.key].shows(got, low, high)
			if !ok {
				w.fail("linearizable", "%s: %s, which was not so at entry %d or later", describe{a}, got, a.floor)
				return
			}
			seen = max(seen, index)
			continue
		}
		t := &w.tokens[c.token]
		if t.fate != executed || t.index != a.batch.Index || t.reply != *got {
			w.fail("done-is-done", "%s: %s, but the log says %s at entry %d", describe{a}, got, &t.reply, t.index)
			return
		}
		seen = max(seen, t.index)
	}
	w.acked = seen
	w.remember(a, true)
}

// shows reports whether a key has had the value that a read returned, at some index from low to high, and since when.
func (k *key) shows(got *reply, low, high uint64) (uint64, bool) {
	if got.kind != '_' && got.kind != '$' {
		return 0, false
	}
	next := ^uint64(0)
	for i := len(k.versions) - 1; i >= 0; i-- {
		v := &k.versions[i]
		if next <= low {
			return 0, false
		}
		if v.index <= high && k.reads(v, got) {
			return v.index, true
		}
		next = v.index
	}
	return 0, got.kind == '_' && next > low
}

// reads says whether a version of the key reads as got.
func (k *key) reads(v *version, got *reply) bool {
	switch {
	case v.gone || got.kind == '_':
		return v.gone && got.kind == '_'
	case k.name[0] == 'l':
		return string(k.text[v.begin:v.begin+int(v.value)]) == got.text
	}
	n, err := strconv.ParseInt(got.text, 10, 64)
	return err == nil && n == v.value
}

// refuse notes that the commands of an attempt are certainly in no log.
func (w *World) refuse(a *attempt) {
	w.reach(outcomeRefused)
	switch {
	case a.ending != answered:
	case a.batch.Outcome == node.OutOfMemory:
		w.reach(memoryRefused)
	case a.batch.Outcome == node.DiskFull:
		w.reach(diskRefused)
	}
	if a.batch.Outcome == node.Overwritten && a.ending == answered {
		w.reach(outcomeOverwritten)
	}
	for _, c := range a.commands() {
		if c.verb == get || c.verb == other {
			continue
		}
		if t := &w.tokens[c.token]; t.fate == executed || t.fate == broken {
			w.fail("refused-means-refused", "%s, but its command stands in entry %d", describe{a}, t.index)
		} else {
			t.fate = notInLog
		}
	}
}
