package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/node"
)

// exec has an entry with one transaction executed on the model.
func (w *listWorld) exec(t *transaction) *attempt {
	a := &attempt{c: &client{}, cmds: []command{{verb: exec, txn: t}}, batch: node.NewBatch(nil)}
	line := w.execCommand(a, t)
	w.log(line.Raw)
	a.batch.Index = w.index
	return a
}

func (w *listWorld) answered(a *attempt, values ...reply) string {
	w.failure = nil
	a.out.values = values
	w.checkExec(a)
	if w.failure == nil {
		return ""
	}
	return w.failure.Invariant
}

// A transaction is executed as a whole or not at all: as its watched keys are, and answered so.
func TestModelOfTransactions(t *testing.T) {
	w := newListWorld(t)
	for v := range verbs {
		w.specs[v] = fsm.Lookup([]byte(verbNames[v]))
	}
	for i, name := range []string{"r0.0", "c0.1"} {
		w.keyAt[name] = i
		w.keys = append(w.keys, &key{name: name})
	}
	waits := w.do(listOp{verb: take, from: []int{0}, count: 3, front: true})
	tx := &transaction{watches: []int{0}, versions: []uint64{0}, cmds: []command{
		{verb: get, key: 1}, {verb: incrby, key: 1}, {verb: get, key: 1}, {verb: set, key: 0},
		{verb: push, op: &listOp{verb: push, from: []int{0}, count: 1}}, {verb: pop, op: &listOp{verb: pop, from: []int{1}}},
		{verb: push, op: &listOp{verb: push, from: []int{0}, count: 1}},
	}}
	a := w.exec(tx)
	require.Nil(t, w.failure)
	require.Equal(t, "(*) ($q0) (*) ($4a) ($6a)", w.told(waits), "who waits is served behind the transaction")
	number := func(n int64) reply { return reply{kind: ':', num: n} }
	text := func(s string) reply { return reply{kind: '$', text: s} }
	none := reply{kind: '_'}
	good := []reply{{kind: '*', num: 7}, none, number(2), text("2"), {kind: '+', text: "OK"}, number(1), none, number(2)}
	require.Empty(t, w.answered(a, good...))
	bad := append([]reply{}, good...)
	bad[1] = text("2")
	require.Equal(t, "transaction-is-atomic", w.answered(a, bad...), "it shows what a later command has written")
	bad[1], bad[3] = none, none
	require.Equal(t, "transaction-is-atomic", w.answered(a, bad...), "it does not show what an earlier command has written")
	require.Equal(t, "transaction-is-atomic", w.answered(a, none), "it was executed")

	late := w.exec(&transaction{watches: []int{0}, versions: []uint64{0}, cmds: []command{{verb: incrby, key: 1}}})
	require.Empty(t, w.answered(late, none))
	require.Equal(t, "transaction-is-atomic", w.answered(late, reply{kind: '*', num: 1}, number(9)))
	require.EqualValues(t, 2, w.keys[1].now().value)

	w.exec(&transaction{cmds: []command{{verb: set, key: 0}, {verb: incrby, key: 1}}})
	reads := &attempt{c: &client{}, floor: 2, batch: node.NewBatch(nil)}
	reads.cmds = []command{{verb: exec, txn: &transaction{cmds: []command{{verb: get, key: 0}, {verb: get, key: 1}}}}}
	require.Empty(t, w.answered(reads, reply{kind: '*', num: 2}, text("3"), text("2")))
	require.Empty(t, w.answered(reads, reply{kind: '*', num: 2}, text("8"), text("11")))
	require.Equal(t, "transaction-is-atomic", w.answered(reads, reply{kind: '*', num: 2}, text("8"), text("2")))
	require.True(t, w.keys[0].hadVersion(2, 2))
	require.False(t, w.keys[0].hadVersion(2, 4), "a later one was known")
	require.False(t, w.keys[0].hadVersion(3, 1))
	require.True(t, w.keys[0].hadVersion(0, 1))
}
