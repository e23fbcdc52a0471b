package e2e

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"kvapp/internal/e2e/cluster"
)

// op is one operation as a client saw it. Times are in ns since the recorder began, from one monotonic clock.
type op struct {
	client    int
	key       string
	write     bool // SET or INCR; else GET
	value     int64
	call, ret int64
	unknown   bool // write only: no answer, so value (of INCR) and ret mean nothing
}

// recorder gathers the operations of all clients.
type recorder struct {
	begin time.Time

	mu       sync.Mutex
	ops      []op
	firstBad error
}

func newRecorder() *recorder { return &recorder{begin: time.Now()} }

func (r *recorder) now() int64 { return int64(time.Since(r.begin)) }

// add notes an operation. GETs without an answer are none.
func (r *recorder) add(o op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
}

// bad notes an answer that must not happen.
func (r *recorder) bad(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.firstBad == nil {
		r.firstBad = err
	}
}

// count returns the numbers of acknowledged and unknown writes so far.
func (r *recorder) count() (acked, unknown int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.countLocked()
}

func (r *recorder) countLocked() (acked, unknown int) {
	for i := range r.ops {
		switch o := &r.ops[i]; {
		case o.unknown:
			unknown++
		case o.write:
			acked++
		}
	}
	return acked, unknown
}

// awaitAcks waits until n more writes are acknowledged than now.
func (r *recorder) awaitAcks(n int) error {
	before, _ := r.count()
	return cluster.Until(30*time.Second, "writes are acknowledged", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.firstBad != nil {
			return &cluster.Final{Err: r.firstBad}
		}
		if now, _ := r.countLocked(); now < before+n {
			return fmt.Errorf("%d of %d", now-before, n)
		}
		return nil
	})
}

// firstAck returns when the first write that was called after at was acknowledged, 0 if none was.
func (r *recorder) firstAck(at int64) (first int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.ops {
		if o := &r.ops[i]; o.write && !o.unknown && o.call > at && (first == 0 || o.ret < first) {
			first = o.ret
		}
	}
	return first
}

func (r *recorder) history() ([]op, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops), r.firstBad
}

// checkLimit is how long porcupine may search. The histories below leave it little to guess, so it needs far less.
const checkLimit = time.Minute

// checkCounter decides whether the INCRs and GETs of one counter are linearizable, its last value being final.
//
// Every INCR returns the next value, so the values that nobody was told belong to INCRs without an answer. Which one
// made which value does not matter but for the times: such an INCR may take effect at any time after its call. So the
// lowest untold value is given to the INCR that was called first and so on; if any assignment explains the history,
// this one does. The rest never happened. What remains has no choices but when a GET came, and narrow takes that away.
func checkCounter(ops []op, final int64) error {
	told := make(map[int64]bool, len(ops))
	var lost []op
	var known []porcupine.Operation
	for _, o := range ops {
		switch {
		case o.unknown:
			lost = append(lost, o)
			continue
		case o.write && told[o.value]:
			return fmt.Errorf("two INCRs were answered %d", o.value)
		case o.write:
			told[o.value] = true
		}
		known = append(known, porcupine.Operation{ClientId: o.client, Input: o.write, Output: o.value, Call: o.call, Return: o.ret})
	}
	slices.SortFunc(lost, func(a, b op) int { return cmp.Compare(a.call, b.call) })
	for v := int64(1); v <= final; v++ {
		if told[v] {
			continue
		}
		if len(lost) == 0 {
			return fmt.Errorf("nobody can have made the value %d", v)
		}
		o := lost[0]
		lost = lost[1:]
		known = append(known, porcupine.Operation{ClientId: o.client, Input: true, Output: v, Call: o.call, Return: math.MaxInt64})
	}
	if !narrow(known) {
		return fmt.Errorf("%d operations are not linearizable", len(known))
	}
	return decide(counterModel, known)
}

// narrow makes the times in which the operations of one counter may take effect shorter: their results tell their order, so none
// comes before all that stand before it were called, or after the first one behind it returned. The order of all calls then is that
// of the results, in which porcupine looks first: where all clients' operations overlap, as on a slow machine, it finds that order
// in a twentieth of the time. It returns false if some operation has no time left. An order that fits the shorter times fits the
// longer ones.
func narrow(ops []porcupine.Operation) bool {
	rank := func(o *porcupine.Operation) int64 {
		if o.Input.(bool) {
			return 2 * o.Output.(int64)
		}
		return 2*o.Output.(int64) + 1
	}
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { // GETs of one value stand in any order
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Call, b.Call))
	})
	end := int64(0)
	for i := range ops {
		end = max(end, ops[i].Call+1)
		if i > 0 {
			ops[i].Call = max(ops[i].Call, ops[i-1].Call)
		}
	}
	for i := len(ops) - 1; i >= 0; i-- {
		ops[i].Return = min(ops[i].Return, end)
		end = ops[i].Return
		if ops[i].Call > end {
			return false
		}
	}
	n := int64(len(ops) + 1) // the times become different ones
	for i := range ops {
		ops[i].Call, ops[i].Return = ops[i].Call*n+int64(i), ops[i].Return*n+n-1
	}
	return true
}

var counterModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		if input.(bool) {
			next := state.(int64) + 1
			return output.(int64) == next, next
		}
		return output == state, state
	},
}

// checkRegisters decides whether SETs and GETs are linearizable, key by key. REQUIRES: no two SETs of a key have the
// same value, none is 0, which is what a GET of no value returns.
//
// A SET without an answer whose value nobody has read is left out: it may as well never have happened.
func checkRegisters(ops []op) error {
	type kv struct {
		key   string
		value int64
	}
	read := map[kv]bool{}
	for _, o := range ops {
		if !o.write {
			read[kv{o.key, o.value}] = true
		}
	}
	keys := map[string][]porcupine.Operation{}
	for _, o := range ops {
		if o.unknown {
			if !read[kv{o.key, o.value}] {
				continue
			}
			o.ret = math.MaxInt64
		}
		keys[o.key] = append(keys[o.key], porcupine.Operation{ClientId: o.client, Input: o.write, Output: o.value, Call: o.call, Return: o.ret})
	}
	for key, list := range keys {
		if err := decide(registerModel, list); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
	}
	return nil
}

var registerModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		if input.(bool) {
			return true, output
		}
		return output == state, state
	},
}

// decide runs porcupine. That it does not finish is a failure, too.
func decide(m porcupine.Model, history []porcupine.Operation) error {
	switch porcupine.CheckOperationsTimeout(m, history, checkLimit) {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return fmt.Errorf("%d operations are not linearizable", len(history))
	default:
		return fmt.Errorf("%d operations could not be decided in %v", len(history), checkLimit)
	}
}
