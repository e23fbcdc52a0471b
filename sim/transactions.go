package sim

import (
	"slices"
	"strconv"

	"kvapp/fsm"
)

// In worlds with the class multi clients send transactions, half of them with watched keys, whose versions they asked for before,
// perhaps of another leader. The log says whether a transaction is executed: then its commands are, one behind the other and
// nothing between them, and each reply is what the model says. One that only reads shows the state at one entry.

// The verbs of transactions.
const (
	watch verb = take + 1 + iota // asks for the versions of keys
	exec
)

const execName = "_exec"

// transaction is what WATCH, MULTI and EXEC make.
type transaction struct {
	cmds     []command
	watches  []int    // positions in World.keys
	versions []uint64 // of watches, once they are known
}

// writes says that any of the commands writes.
func (t *transaction) writes() bool {
	return slices.ContainsFunc(t.cmds, func(c command) bool { return c.verb != get })
}

func (w *World) drawTransaction(d *dice) *transaction {
	t := &transaction{}
	reads := d.oneIn(4)
	for range 2 + d.n(3) {
		c := w.drawCommand(d)
		if reads {
			c.verb = get
		}
		t.cmds = append(t.cmds, c)
	}
	for range d.n(3) {
		if k := t.cmds[d.n(len(t.cmds))].key; !slices.Contains(t.watches, k) {
			t.watches = append(t.watches, k)
		}
	}
	if len(w.lists) > 0 && !reads {
		for range d.n(3) {
			op := w.drawListOp(d)
			t.cmds = append(t.cmds, command{verb: op.verb, op: op})
		}
	}
	return t
}

// beginTransaction has a client ask for versions, or send the transaction at once if it watches nothing.
func (w *World) beginTransaction(c *client, d dice) {
	t := w.drawTransaction(&d)
	c.readOnly = d.oneIn(3)
	if len(t.watches) == 0 {
		w.sendTransaction(c, t)
		return
	}
	c.cmds = append(c.cmds, command{verb: watch, txn: t})
	w.try(c)
}

func (w *World) sendTransaction(c *client, t *transaction) {
	c.cmds = append(c.cmds[:0:0], command{verb: exec, txn: t})
	c.tries = 0
	w.try(c)
}

// watchCommand is the read of the versions.
func (w *World) watchCommand(t *transaction) fsm.Command {
	c := fsm.Command{Spec: fsm.Versions, Args: [][]byte{[]byte(fsm.Versions.Name)}}
	for _, k := range t.watches {
		c.Args = append(c.Args, []byte(w.keys[k].name))
	}
	return c
}

// execCommand draws tokens for the writes, and builds the transaction.
func (w *World) execCommand(a *attempt, t *transaction) fsm.Command {
	txn := &fsm.Transaction{}
	for i, k := range t.watches {
		txn.Watches = append(txn.Watches, fsm.Watch{Key: []byte(w.keys[k].name), Version: t.versions[i]})
	}
	for i := range t.cmds {
		c := &t.cmds[i]
		if c.op != nil {
			txn.Cmds = append(txn.Cmds, w.listCommand(a, c))
			continue
		}
		if c.verb != get {
			c.token = w.newToken(c.key)
		}
		txn.Cmds = append(txn.Cmds, w.encode(c))
	}
	return txn.Command()
}

// commands lists the commands of an attempt, those of a transaction one by one.
func (a *attempt) commands() []command {
	switch a.cmds[0].verb {
	case exec:
		return a.cmds[0].txn.cmds
	case watch:
		return nil
	}
	return a.cmds
}

// place is where a command stands in the log.
type place struct{ index, position uint64 }

// executeTransaction executes a transaction of the log.
func (w *World) executeTransaction(index uint64, args [][]byte) {
	at, rest := place{index, w.position}, args[2:]
	n, _ := strconv.Atoi(string(args[1]))
	same := true
	for ; n > 0 && len(rest) >= 3; n-- {
		same = same && w.versionIs(string(rest[2]), string(rest[1]))
		rest = rest[3:]
	}
	if w.relisting {
		same = !w.broken[at]
	}
	w.broken[at] = !same
	w.inMulti = true
	for ; len(rest) >= 2; rest = rest[2:] {
		inner, _, err := parseCommand(append([]byte{0}, rest[1]...), 0, nil)
		switch {
		case err != nil:
			w.fail("entry-readable", "entry %d: %v", index, err)
		case same:
			w.position++
			w.execute(index, inner)
		default:
			w.breakOff(index, inner)
		}
	}
	w.inMulti = false
	w.feed(index)
}

func (w *World) versionIs(key, version string) bool {
	now := uint64(fsm.Absent)
	if at, ok := w.keyAt[key]; ok {
		if v := w.keys[at].now(); v != nil {
			now = v.index
		}
	}
	return strconv.FormatUint(now, 10) == version
}

// breakOff notes that a command of a transaction is not executed.
func (w *World) breakOff(index uint64, args [][]byte) {
	id, ok := w.tokenAnywhere(args)
	if !ok {
		w.fail("command-known", "entry %d holds a command that no client has sent: %q", index, args)
		return
	}
	t := &w.tokens[id]
	if (t.op != nil || !w.relisting) && w.stands(index, t, args) {
		t.fate = broken
	}
}

// tokenAnywhere finds the token of a command in a transaction.
func (w *World) tokenAnywhere(args [][]byte) (uint32, bool) {
	id, _, ok := w.tokenOfKey(args)
	if !ok {
		id, ok = tokenOf(args)
	}
	return id, ok && id < uint32(len(w.tokens))
}

// checkWatch takes the versions that a client was told: each must be one that the key had at what everybody has seen, or later.
func (w *World) checkWatch(a *attempt) {
	t, got := a.cmds[0].txn, a.out.values
	if len(got) != 2*len(t.watches) {
		w.fail("replies-complete", "%s: %d replies", describe{a}, len(got))
		return
	}
	t.versions = nil
	for i, k := range t.watches {
		version := uint64(got[2*i].num)
		if !w.keys[k].hadVersion(version, a.floor) {
			w.fail("watch-sees-what-is-there", "%s: version %d of %s, which it had not at entry %d or later", describe{a}, version, w.keys[k].name, a.floor)
			return
		}
		t.versions = append(t.versions, version)
	}
}

// hadVersion says that the key had a version at some index from low on.
func (k *key) hadVersion(version, low uint64) bool {
	next := ^uint64(0)
	for i := len(k.versions) - 1; i >= 0 && next > low; i-- {
		v := &k.versions[i]
		if v.gone && version == fsm.Absent || !v.gone && version == v.index {
			return true
		}
		next = v.index
	}
	return version == fsm.Absent && next > low
}

// checkExec compares the answer to a transaction with what the log says of it.
func (w *World) checkExec(a *attempt) {
	t, got := a.cmds[0].txn, a.out.values
	if len(got) == 1 && got[0].kind == '_' {
		w.reach(transactionBroken)
		w.checkBroken(a)
		return
	}
	if len(got) == 0 || got[0] != (reply{kind: '*', num: int64(len(t.cmds))}) {
		w.fail("replies-complete", "%s: %v", describe{a}, got)
		return
	}
	if !t.writes() {
		w.reach(transactionReads)
		w.checkAtOnce(a, got[1:])
		return
	}
	w.reach(transactionDone)
	got = got[1:]
	for i := range t.cmds {
		c := &t.cmds[i]
		want, ok := 1, len(got) > 0
		switch {
		case !ok:
		case c.verb == get:
			ok = w.readsInside(a, i, &got[0])
		case c.op != nil:
			x := &w.tokens[c.token]
			want = len(x.told)
			ok = x.fate == executed && x.index == a.batch.Index && x.ended == x.index && len(got) >= want && slices.Equal(x.told, got[:want])
		default:
			x := &w.tokens[c.token]
			ok = x.fate == executed && x.index == a.batch.Index && x.reply == got[0]
		}
		if !ok {
			w.fail("transaction-is-atomic", "%s: command %d of %d is answered %v at entry %d", describe{a}, i+1, len(t.cmds), got, a.batch.Index)
			return
		}
		got = got[want:]
	}
	w.acked = max(w.acked, a.batch.Index)
	w.remember(a, true)
}

// readsInside says that a read in a transaction shows what the writes in front of it have made, and not what those behind it make.
func (w *World) readsInside(a *attempt, i int, got *reply) bool {
	t := a.cmds[0].txn
	k := w.keys[t.cmds[i].key]
	at := -1 // how many versions there were
	for j := range t.cmds {
		if c := &t.cmds[j]; c.verb == get || c.op != nil || c.key != t.cmds[i].key {
			continue
		} else if x := &w.tokens[c.token]; j < i {
			at = x.after
		} else if at < 0 {
			at = x.before
		}
	}
	if at < 0 { // the others of its entry may have written to it
		_, ok := k.shows(got, a.batch.Index-1, a.batch.Index)
		return ok
	}
	if at == 0 {
		return got.kind == '_'
	}
	return k.reads(&k.versions[at-1], got)
}

// checkBroken checks that a transaction was not executed because a watched key had changed.
func (w *World) checkBroken(a *attempt) {
	t := a.cmds[0].txn
	changed := false
	for i, k := range t.watches {
		v := w.keys[k].versions
		changed = changed || len(v) > 0 && (v[len(v)-1].index > t.versions[i] || v[len(v)-1].gone)
	}
	for i := range t.cmds {
		if c := &t.cmds[i]; c.verb != get {
			x := &w.tokens[c.token]
			changed = changed && x.fate == broken && x.index == a.batch.Index
		}
	}
	if !changed {
		w.fail("transaction-is-atomic", "%s: it is answered as not executed at entry %d, and the log says otherwise", describe{a}, a.batch.Index)
	}
	w.acked = max(w.acked, a.batch.Index)
}

// checkAtOnce checks that there is an entry behind which all keys are as a transaction has read them.
func (w *World) checkAtOnce(a *attempt, got []reply) {
	t := a.cmds[0].txn
	points := []uint64{a.floor}
	for i := range t.cmds {
		for _, v := range w.keys[t.cmds[i].key].versions {
			if v.index > a.floor {
				points = append(points, v.index)
			}
		}
	}
	slices.Sort(points)
	for _, p := range points {
		all := len(got) == len(t.cmds)
		for i := range t.cmds {
			all = all && w.keys[t.cmds[i].key].readsAt(p, &got[i])
		}
		if all {
			w.acked = max(w.acked, p)
			w.remember(a, true)
			return
		}
	}
	w.fail("transaction-is-atomic", "%s: there is no entry from %d on behind which the keys are %v", describe{a}, a.floor, got)
}

// readsAt says whether the key reads as got behind an entry.
func (k *key) readsAt(index uint64, got *reply) bool {
	for i := len(k.versions) - 1; i >= 0; i-- {
		if v := &k.versions[i]; v.index <= index {
			return k.reads(v, got)
		}
	}
	return got.kind == '_'
}
