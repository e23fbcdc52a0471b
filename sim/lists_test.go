package sim

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// listWorld is a model of two lists without a cluster.
type listWorld struct {
	*World
	t     *testing.T
	index uint64
}

func newListWorld(t *testing.T) *listWorld {
	w := &World{o: DrawSmall(1), keyAt: map[string]int{}, broken: map[place]bool{}}
	w.o.Odds[blocks] = always
	w.newToken(-1)
	w.startLists()
	return &listWorld{w, t, 0}
}

// do has an entry with one command executed, and returns its token.
func (w *listWorld) do(op listOp) uint32 {
	c := command{verb: op.verb, op: &op}
	a := &attempt{c: &client{}, cmds: []command{c}, batch: node.NewBatch(nil)}
	line := w.listCommand(a, &a.cmds[0])
	w.log(line.Raw)
	return a.cmds[0].token
}

func (w *listWorld) log(raw []byte) {
	w.index++
	data := fsm.AppendEntryCommand(fsm.AppendEntryHeader(nil, 1, 1), 0, raw)
	w.executeEntry(w.index, &committed{kind: raft.EntryCommand, data: data})
}

func (w *listWorld) told(id uint32) string {
	var words []string
	for i := range w.tokens[id].told {
		words = append(words, w.tokens[id].told[i].String())
	}
	return strings.Join(words, " ")
}

// A push feeds who waits longest, also through a list that a move adds to, and what ends a wait must be wanted.
func TestModelOfWaits(t *testing.T) {
	w := newListWorld(t)
	first := w.do(listOp{verb: pop, from: []int{1, 0}, front: true})
	second := w.do(listOp{verb: move, from: []int{0}, to: 1, front: true, toward: true, ms: 1500})
	third := w.do(listOp{verb: take, from: []int{1}, count: 2, ms: 2})
	require.Len(t, w.waiting, 3)
	pushed := w.do(listOp{verb: push, from: []int{0}, count: 2})
	require.Equal(t, "(2)", w.told(pushed))
	require.Equal(t, "(*) ($q0) ($4a)", w.told(first))
	require.Equal(t, "($4b)", w.told(second))
	require.Equal(t, "(*) ($q1) (*) ($4b)", w.told(third))
	require.EqualValues(t, 4, w.tokens[third].ended)
	require.Empty(t, w.waiting)
	require.Empty(t, w.lists[0].items)
	require.Empty(t, w.lists[1].items)

	last := w.do(listOp{verb: pop, from: []int{0}})
	w.tokens[last].wanted[fsm.UnblockTimeout] = true
	w.log(fsm.UnblockCommand(fsm.WaiterID{Index: 5, Position: 2}, fsm.UnblockTimeout).Raw)
	require.Len(t, w.waiting, 1, "another name")
	w.log(fsm.UnblockCommand(fsm.WaiterID{Index: 5, Position: 1}, fsm.UnblockTimeout).Raw)
	require.Equal(t, "(_)", w.told(last))
	require.Nil(t, w.failure)
	forcedOne := w.do(listOp{verb: pop, from: []int{0}})
	w.executeEntry(9, &committed{kind: raft.EntryNoop})
	require.Equal(t, "(-"+forced+")", w.told(forcedOne))
	require.Nil(t, w.failure)

	w.index = 9
	w.do(listOp{verb: pop, from: []int{0}})
	w.log(fsm.UnblockCommand(fsm.WaiterID{Index: 10, Position: 1}, fsm.UnblockTimeout).Raw)
	require.Equal(t, "wait-ends-when-wanted", w.failure.Invariant, "nobody's time is over")
}

// What clients send is what the server waits for, however long.
func TestTokensInTimeouts(t *testing.T) {
	w := newListWorld(t)
	s := fsm.NewStore()
	for i, op := range []listOp{
		{verb: pop, from: []int{0, 1}}, {verb: move, from: []int{0}, to: 1, ms: 1}, {verb: take, from: []int{0}, count: 1, ms: 12345},
	} {
		a := &attempt{c: &client{}, cmds: []command{{op: &op}}}
		line := w.listCommand(a, &a.cmds[0])
		id, ok := tokenOf(line.Args)
		require.True(t, ok)
		require.Equal(t, a.cmds[0].token, id)
		var out replies
		line.Blocked = new(fsm.Blocked)
		s.Begin(uint64(i+1), 1, 1)
		s.Exec(&line, &out)
		s.End()
		require.True(t, line.Blocked.Waits)
		want := op.ms
		if want > 0 {
			want++ // the token, rounded up
		}
		require.Equal(t, want, line.Blocked.Timeout)
	}
}
