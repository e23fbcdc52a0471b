package raft

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

var plainView = View{Nodes: []NodeID{1, 2, 3, 4}, Rank: func(m Moment) uint64 { return uint64(m.At) }}

func stateOf(r *Raft) string { return string(r.AppendState(nil, &plainView)) }

// busyLeader is a leader in a joint membership with something under way to everybody.
func busyLeader(t *testing.T) *Raft {
	core, err := New(testConfig(1, 1000*ms), Recovered{First: 1, Snapshot: SnapshotMeta{Membership: testMembers(1, 2, 3)}})
	require.NoError(t, err)
	l := &lone{Raft: core, t: t, now: 1000 * ms}
	l.wait(1000 * ms)
	l.feed(Event{Kind: EvTick})
	l.recv(Message{Type: MsgPreVoteResp, From: 2, Term: 1})
	l.sync()
	l.recv(Message{Type: MsgVoteResp, From: 2, Term: 1})
	require.Equal(t, Leader, core.Role())
	l.sync()
	l.recv(Message{Type: MsgAppendResp, From: 2, Term: 1, Index: 1, SentAt: l.now})
	l.recv(Message{Type: MsgAppendResp, From: 3, Term: 1, Index: 1, SentAt: l.now})
	change := []Change{{Kind: ChangeAdd, Member: Member{ID: 4}}, {Kind: ChangeDemote, Member: Member{ID: 3}}}
	l.feed(Event{Kind: EvChange, Changes: change})
	require.True(t, core.joint)
	l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: []byte("x")})
	l.feed(Event{Kind: EvReadIndex, ID: 5})
	require.NotEmpty(t, core.reads)
	require.NotZero(t, core.peers[1].flight.n)
	return core
}

// richCore is a core in which every field has something to say, more than any real one could have at once.
func richCore(t *testing.T) *Raft {
	core := busyLeader(t)
	core.forwarded = append(core.forwarded, question{ctx: 3, id: 4, deadline: 5})
	core.asked = append(core.asked, question{ctx: 3, id: 4, deadline: 5})
	core.forwardCtx, core.transfer.to, core.handedOver = 4, 2, true
	core.peers[3].departed = &departed{index: 2, member: Member{ID: 4}}
	core.snap.Membership = testMembers(1, 2, 3) // an array of its own
	core.dur.promises = append(core.dur.promises, promise{seq: core.dur.seq, msg: Message{
		Type: MsgAppendResp, From: 1, To: 2, Term: 1, Index: 1, SentAt: 7, Entries: entries(1, 1),
	}})
	core.dur.hard = core.dur.seq
	return core
}

// leaves calls visit for everything in v that is not made of other things; path has no indices.
func leaves(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	kind := v.Kind()
	if v.Type() == reflect.TypeFor[[]byte]() {
		kind = reflect.Uint8
	}
	switch kind {
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			leaves(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	default:
		visit(path, reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem())
	}
}

// notInState are the fields that AppendState leaves out, and why that is right.
var notInState = map[string]string{
	`^\.cfg\.[^I]|\.log\.chunkBytes$`: "fixed",
	`^\.(rng|timeout)$`:               "dice",
	`^\.(now|electionAt|heardAt|heardFrom|quietUntil|leaderSince|heartbeatAt|transferAt)$|\.(since|retryAt|deadline|againAt)$`: "clock and timers",
	`^\.peers\[[12]\]\.contact$`: "only whether there was any",
	`^\.version$`:                "only its changes count",
	`^\.(joint|preferred)$|\.promote$|^\.snap\.Membership|\.log\.bytes$|\.chunks\[\d+\]\.(first|bytes)$|\.flight\.bytes$`: "follow from the rest",
	`\.m\.Members\[\d+\]\.(Name|PeerAddr|ClientAddr)$`:                                                                    "carried, never looked at",
	`^\.peers\[0\]\.([^vio]|owed$)|^\.peers\[[12]\]\.departed$`:                                                           "of the node itself only the vote counts, and these have not departed",
	`\.flight\.msgs\[[23]\]|^\.peers\[3\]\.flight\.(msgs|first)`:                                                          "not in use here",
}

// TestStateIsWhole: a core that differs in anything has another state. A new field must go into AppendState, or onto the
// list of what is left out.
func TestStateIsWhole(t *testing.T) {
	core := richCore(t)
	before := stateOf(core)
	used := map[string]bool{}
	leaves(reflect.ValueOf(core).Elem(), "", func(path string, v reflect.Value) {
		why := ""
		for pattern := range notInState {
			if regexp.MustCompile(pattern).MatchString(path) {
				why, used[pattern] = pattern, true
			}
		}
		old := reflect.ValueOf(v.Interface())
		switch {
		case v.Type() == reflect.TypeFor[NodeID]():
			v.SetUint(v.Uint()%4 + 1)
		case v.Kind() == reflect.Pointer:
			v.SetZero()
			require.NotEqual(t, why == "", old.IsNil(), "%s is not nil here, or is on the list", path)
		case v.Kind() == reflect.Slice:
			v.SetBytes([]byte("other"))
		case v.CanUint():
			v.SetUint(v.Uint() + 1)
		case v.CanInt():
			v.SetInt(v.Int() + 1)
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "x")
		default:
			require.Fail(t, "no way to change "+path, v.Type())
		}
		if why == "" {
			require.NotEqual(t, before, stateOf(core), "%s does not count", path)
		} else {
			require.Equal(t, before, stateOf(core), "%s counts, against %q", path, why)
		}
		v.Set(old)
	})
	require.Equal(t, before, stateOf(core))
	for pattern := range notInState {
		require.True(t, used[pattern], "nothing is named %s", pattern)
	}
}

// slicesOf lists the slices in v by where their arrays are.
func slicesOf(v reflect.Value, path string, into map[unsafe.Pointer]string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			slicesOf(v.Field(i), path+"."+v.Type().Field(i).Name, into)
		}
	case reflect.Slice:
		if v.Cap() > 0 {
			into[v.UnsafePointer()] = path
		}
		for i := range v.Len() {
			slicesOf(v.Index(i), path+"[]", into)
		}
	}
}

// TestCloneSharesOnlyWhatStays: arrays that both cores refer to are never written to, or only behind what the clone sees.
func TestCloneSharesOnlyWhatStays(t *testing.T) {
	core := richCore(t)
	clone := core.Clone()
	require.Equal(t, core, clone)
	own, other := map[unsafe.Pointer]string{}, map[unsafe.Pointer]string{}
	slicesOf(reflect.ValueOf(core).Elem(), "", own)
	slicesOf(reflect.ValueOf(clone).Elem(), "", other)
	shared := regexp.MustCompile(`^\.log\.chunks\[\]\.ents|^\.members$|\.Entries(\[\]\.Data)?$|\.m\.(Members|OldVoters)$|^\.snap\.Membership\.`)
	for at, path := range other {
		if own[at] != "" {
			require.Regexp(t, shared, path)
		}
	}
	require.Equal(t, len(clone.members), cap(clone.members))
	for i := range clone.log.chunks {
		require.Equal(t, len(clone.log.chunks[i].ents), cap(clone.log.chunks[i].ents))
	}
}

// TestClonesGoOnAlike: whatever happens, a clone answers as the original does, and what it does changes nothing there.
func TestClonesGoOnAlike(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(t, func(_ string, n int) int { return rng.IntN(n) })
		w.twins = true
		for range 1000 {
			w.act()
		}
	}
}

// twin steps a clone of h with ev and compares it with what the original does.
func (c *cluster) twin(h *host, ev Event) (compare func()) {
	before := stateOf(h.core)
	clone := h.core.Clone()
	var out Effects
	require.NoError(c.t, clone.Step(&ev, &out))
	require.Equal(c.t, before, stateOf(h.core), "a step of the clone changed the original")
	require.Empty(c.t, h.eff.Send)
	return func() {
		require.Equal(c.t, stateOf(clone), stateOf(h.core))
		require.Equal(c.t, clone.now, h.core.now)
		require.Equal(c.t, clone.electionAt, h.core.electionAt)
		require.Equal(c.t, len(out.Send), len(h.eff.Send))
		for i := range out.Send {
			require.Equal(c.t, out.Send[i], h.eff.Send[i])
		}
		require.Equal(c.t, out.Persist.Hard, h.eff.Persist.Hard)
		require.Equal(c.t, append([]Entry{}, out.Persist.Entries...), append([]Entry{}, h.eff.Persist.Entries...))
		require.Equal(c.t, append([]Entry{}, out.Apply...), append([]Entry{}, h.eff.Apply...))
	}
}
