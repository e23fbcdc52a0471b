package sim

import (
	"fmt"
	"math"
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
	known      bool // reply is what was answered; else nobody knows whether it happened
	begin, end int64
}

// remember adds the commands of an attempt to the histories of their keys.
func (w *World) remember(a *attempt, known bool) {
	end := w.now
	if !known {
		end = math.MaxInt64
	}
	for i := range a.cmds {
		c := &a.cmds[i]
		op := operation{client: a.c.n, verb: c.verb, known: known, begin: a.began, end: end}
		if c.verb != get {
			op.arg = string(c.value())
		}
		if known {
			op.reply = a.out.values[i]
		} else if c.verb == get {
			continue // a read that nobody has seen the answer of says nothing
		}
		k := w.keys[c.key]
		k.history = append(k.history, op)
	}
}

// inDoubt notes an attempt of which its client will never know what became.
func (w *World) inDoubt(a *attempt) { w.remember(a, false) }

// registers, counters and lists are all strings to the second opinion.
var oneKey = porcupine.Model{
	Init: func() any { return "" }, // absent; no client writes an empty value
	Step: func(state, input, output any) (bool, any) {
		s, op, got := state.(string), input.(*operation), output.(*operation)
		next, want := op.on(s)
		return !got.known || got.reply == want, next
	},
}

// on returns what the operation makes of a value, and what it answers.
func (op *operation) on(s string) (string, reply) {
	switch op.verb {
	case get:
		if s == "" {
			return s, reply{kind: '_'}
		}
		return s, reply{kind: '$', text: s}
	case set:
		return op.arg, reply{kind: '+', text: "OK"}
	case setnx:
		if s != "" {
			return s, reply{kind: ':'}
		}
		return op.arg, reply{kind: ':', num: 1}
	case incrby:
		a, _ := strconv.ParseInt(s, 10, 64)
		b, _ := strconv.ParseInt(op.arg, 10, 64)
		return strconv.FormatInt(a+b, 10), reply{kind: ':', num: a + b}
	default:
		s += op.arg
		return s, reply{kind: ':', num: int64(len(s))}
	}
}

const (
	judgeTime = 5 * time.Second // for one key
	// judged is how many operations of a run are looked at at most.
	judged = 1000
)

// judge asks porcupine, which knows nothing of logs and indices, whether the histories of the keys are linearizable. A
// verdict that takes too long is counted.
func (w *World) judge() {
	for _, c := range w.clients {
		if c.attempt != nil { // it still waits, and its commands may have been executed
			w.inDoubt(c.attempt)
		}
	}
	left := judged
	for _, k := range w.keys {
		if left -= len(k.history); left < 0 {
			return
		}
		ops := make([]porcupine.Operation, len(k.history))
		for i := range k.history {
			op := &k.history[i]
			ops[i] = porcupine.Operation{ClientId: op.client, Input: op, Output: op, Call: op.begin, Return: op.end}
		}
		switch porcupine.CheckOperationsTimeout(oneKey, ops, judgeTime) {
		case porcupine.Illegal:
			w.fail("linearizable-by-porcupine", "key %s:%s", k.name, historyText(k.history))
			return
		case porcupine.Unknown:
			w.reach(verdictUnknown)
		}
	}
}

func historyText(ops []operation) string {
	var b strings.Builder
	for i := range ops {
		op := &ops[i]
		fmt.Fprintf(&b, "\n  client %d %s %s", op.client+1, verbNames[op.verb], op.arg)
		if op.known {
			fmt.Fprintf(&b, " = %s from %d to %d us", &op.reply, op.begin/us, op.end/us)
		} else {
			fmt.Fprintf(&b, " from %d us, unknown", op.begin/us)
		}
	}
	return b.String()
}
