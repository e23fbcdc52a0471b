package sim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// operation is what one client saw of one command, without looking into the cluster.
type operation struct {
	client     int
	verb       verb
	arg        string
	reply      reply
	known      bool // reply is what was answered; else its client does not know whether it happened
	token      uint32
	index      uint64 // of its entry: of evictions, and of the writes among them once resolve has looked into the log
	begin, end int64
}

// remember adds the commands of an attempt to the histories of their keys.
func (w *World) remember(a *attempt, known bool) {
	end := w.now
	if !known {
		end = never
	}
	cmds, first := a.commands(), 0
	if a.cmds[0].verb == exec {
		first = 1 // behind the head of the array
	}
	for i := range cmds {
		c := &cmds[i]
		if c.verb >= verbs {
			continue
		}
		op := operation{client: a.c.n, verb: c.verb, known: known, token: c.token, begin: a.began, end: end}
		if c.verb != get {
			op.arg = string(c.value())
		}
		if known {
			op.reply = a.out.values[first+i]
		} else if c.verb == get {
			continue // a read that nobody has seen the answer of says nothing
		}
		k := w.keys[c.key]
		k.history = append(k.history, op)
	}
}

// inDoubt notes an attempt of which its client will never know what became.
func (w *World) inDoubt(a *attempt) { w.remember(a, false) }

// value is what a key holds, to the second opinion: of a string its hash and length, of a counter its number. Zero:
// absent; no client writes an empty string, or a counter of zero. Porcupine compares values millions of times.
type value struct {
	hash uint64
	n    int64
}

// base is the base of the hash, which is a polynomial modulo 2^64: that of two strings, one behind the other, follows from
// theirs.
const base = 0x9e3779b97f4a7c15

func stringValue(s string) value {
	v := value{n: int64(len(s))}
	for i := range len(s) {
		v.hash = v.hash*base + uint64(s[i]) + 1
	}
	return v
}

// counterValue is what a counter holds that reads as s; false if none does.
func counterValue(s string) (value, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return value{hash: 1, n: n}, err == nil && strconv.FormatInt(n, 10) == s
}

// judged is an operation, made ready for being executed many times.
type judged struct {
	*operation
	arg   value
	power uint64 // append: base to the power of the length of what is appended
	shows value  // get: what the reply says that the key holds
	wrong bool   // get: the key can never hold that
}

// ready prepares an operation on a key whose type is kind.
func (op *operation) ready(kind byte) judged {
	j := judged{operation: op, power: 1}
	switch op.verb {
	case evicted:
	case get:
		switch {
		case op.reply.kind == '_':
		case op.reply.kind != '$':
			j.wrong = true
		case kind == 'c':
			var ok bool
			j.shows, ok = counterValue(op.reply.text)
			j.wrong = !ok
		default:
			j.shows = stringValue(op.reply.text)
		}
	case incrby:
		j.arg, _ = counterValue(op.arg) // the client's own number
	default:
		j.arg = stringValue(op.arg)
		for range len(op.arg) {
			j.power *= base
		}
	}
	return j
}

// state is what a key holds, and since which entry if that is told.
type state struct {
	value
	index uint64
}

// oneKey is a key of any type. Where there are evictions the order of writes is that of the log.
var oneKey = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, input, _ any) (bool, any) {
		now, op := before.(state), input.(*judged)
		if op.verb == get {
			return !op.wrong && op.shows == now.value, before
		}
		next, want := op.on(now.value)
		if op.known && op.reply != want || op.index < now.index || op.verb == evicted && op.index == now.index {
			return false, before
		}
		return true, state{next, op.index}
	},
}

// on returns what a write makes of a value, and what it answers.
func (op *judged) on(now value) (value, reply) {
	switch op.verb {
	case evicted:
		return value{}, reply{}
	case set:
		return op.arg, reply{kind: '+', text: "OK"}
	case setnx:
		if now != (value{}) {
			return now, reply{kind: ':'}
		}
		return op.arg, reply{kind: ':', num: 1}
	case incrby:
		sum := now.n + op.arg.n
		return value{hash: 1, n: sum}, reply{kind: ':', num: sum}
	default:
		n := now.n + op.arg.n
		return value{hash: now.hash*op.power + op.arg.hash, n: n}, reply{kind: ':', num: n}
	}
}

// never is when an operation ends of which nobody has seen the end.
const never = math.MaxInt64

const judgeTime = 5 * time.Second // for one key

// judge asks porcupine, which knows nothing of logs and indices, whether the histories of the keys are linearizable. Of the
// commands that no client knows the fate of, it is told what the log says. A verdict that takes too long is counted.
func (w *World) judge() {
	for _, c := range w.clients {
		if c.attempt != nil && c.attempt.epoch == w.epoch { // it still waits, and its commands may have been executed
			w.inDoubt(c.attempt)
		}
	}
	for _, k := range w.keys {
		told := key{name: k.name, history: resolve(k.history, w.tokens)}
		switch told.judge(judgeTime) {
		case porcupine.Illegal:
			w.fail("linearizable-by-porcupine", "key %s:%s", k.name, historyText(k.history))
			return
		case porcupine.Unknown:
			w.reach(verdictUnknown)
		}
	}
}

// resolve returns a history in which the log has decided about commands in doubt: those that it does not hold have not
// happened, and those that it does have happened before the answer to any command behind them. Each of them left in doubt
// doubles what porcupine has to try. This hides nothing: a client that saw the effect of a command which is in no log, or
// saw two commands in another order than that of the log, has seen what cannot be explained. An eviction, of which no client
// knows, happens between the writes that the log has in front of it and behind it.
func resolve(ops []operation, tokens []token) []operation {
	out := make([]operation, 0, len(ops))
	evicts := slices.ContainsFunc(ops, func(op operation) bool { return op.verb == evicted })
	for _, op := range ops {
		if op.verb != get && op.verb != evicted {
			t := &tokens[op.token]
			if !op.known && t.fate != executed {
				continue
			}
			if evicts {
				op.index = t.index
			}
		}
		if !op.known {
			for i := range ops {
				if o := &ops[i]; o.known && o.verb != get && tokens[o.token].index > tokens[op.token].index {
					op.end = max(op.begin, min(op.end, o.end))
				}
			}
		}
		out = append(out, op)
	}
	for i := range out {
		if out[i].verb == evicted {
			out[i].between(out)
		}
	}
	return out
}

// between narrows down when an eviction happened. A write of its entry is behind it: the leader's own commands go first.
func (op *operation) between(ops []operation) {
	for i := range ops {
		switch o := &ops[i]; {
		case o.verb == get || o.verb == evicted:
		case o.index < op.index:
			op.begin = max(op.begin, o.begin)
		default:
			op.end = min(op.end, o.end)
		}
	}
}

// judge asks about one key.
func (k *key) judge(within time.Duration) porcupine.CheckResult {
	ops := make([]porcupine.Operation, len(k.history))
	ready := make([]judged, len(k.history))
	for i := range k.history {
		op := &k.history[i]
		ready[i] = op.ready(k.name[0])
		ops[i] = porcupine.Operation{ClientId: op.client, Input: &ready[i], Call: op.begin, Return: op.end}
	}
	return porcupine.CheckOperationsTimeout(oneKey, ops, within)
}

func historyText(ops []operation) string {
	var b strings.Builder
	for i := range ops {
		op := &ops[i]
		if op.verb == evicted {
			fmt.Fprintf(&b, "\n  evicted by entry %d", op.index)
			continue
		}
		fmt.Fprintf(&b, "\n  client %d %s %s", op.client+1, verbNames[op.verb], op.arg)
		if op.known {
			fmt.Fprintf(&b, " = %s from %d to %d us", &op.reply, op.begin/us, op.end/us)
		} else {
			fmt.Fprintf(&b, " from %d us, unknown", op.begin/us)
		}
	}
	return b.String()
}
