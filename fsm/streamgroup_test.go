package fsm

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// groupStep does something at random with the groups of a stream.
func groupStep(t *rapid.T, m *machine) {
	pick := func(label string, words ...string) string { return rapid.SampledFrom(words).Draw(t, label) }
	key, group, who := pick("key", "{t}a", "{t}b"), pick("group", "g", "h"), pick("consumer", "alice", "bob", "carol")
	id := func() string {
		return strconv.Itoa(rapid.IntRange(0, int(m.index/4)+1).Draw(t, "ms")) + "-" + pick("seq", "0", "1")
	}
	switch op := rapid.IntRange(0, 17).Draw(t, "op"); {
	case op < 4:
		m.do("xadd", key, strconv.FormatUint(m.index/4+1, 10)+"-*", "f", pick("val", "1", "2"))
	case op == 4:
		m.do("xgroup", "create", key, group, pick("from", "0", "$", id()), "mkstream")
	case op == 5:
		m.do("xgroup", "createconsumer", key, group, who)
	case op == 6:
		m.do("xgroup", "delconsumer", key, group, who)
	case op == 7:
		m.do("xgroup", "setid", key, group, id(), "entriesread", pick("read", "-1", "3"))
	case op == 8 && rapid.IntRange(0, 3).Draw(t, "really") == 0:
		m.do("xgroup", "destroy", key, group)
	case op == 9:
		m.do("xack", key, group, id(), id(), id())
	case op == 10:
		m.do("xautoclaim", key, group, who, pick("idle", "0", "5"), id(), "count", pick("count", "1", "4"))
	case op == 11:
		m.do("xdel", key, id(), id())
	case op == 12:
		m.do("copy", key, pick("to", "{t}a", "{t}b", "c"), "replace")
	default:
		m.do("xclaim", key, group, who, pick("idle", "0", "5"), id(), id(), id(), "force", "retrycount", pick("times", "1", "7"))
	}
	m.now += int64(rapid.IntRange(0, 3).Draw(t, "later"))
}

// TestStreamGroups runs random histories of groups with views open: what was counted follows from the content, and replicas and a
// store that was restored are the same.
func TestStreamGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &heldStreams{machine: newMachine(t), t: t}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			groupStep(t, h.machine)
			switch op := h.n("view", 20); {
			case op == 0 && len(h.views) < 3:
				h.views = append(h.views, snapshotAt{view: h.s.Freeze(), want: payload(t, h.s)})
			case op == 1 && len(h.views) > 0:
				h.thaw()
			}
		}
		tx := Tx{s: h.s}
		for _, key := range []string{"{t}a", "{t}b", "c"} {
			if s, _ := tx.lookup([]byte(key), kindStream); s != nil {
				require.NoError(t, s.(*streamValue).check())
			}
		}
		require.NoError(t, h.s.Check())
		for len(h.views) > 0 {
			h.thaw()
		}
		sameEverywhere(t, h.machine)
	})
}

// A consumer's times are those of Redis 7.2: seen with every command that names it, active when it was given something.
func TestStreamConsumerTimes(t *testing.T) {
	m := newMachine(t)
	for _, line := range []string{"xadd s 1 a 1", "xgroup create s g 0", "xclaim s g c 0 1"} {
		m.line(line)
	}
	m.now += 10
	script(t, m, [][2]string{
		{"xinfo consumers s g", "*1 *8 $4 name $1 c $7 pending :0 $4 idle :10 $8 inactive :-1"},
		{"xclaim s g c 0 1 force", "*1 *2 $3 1-0 *2 $1 a $1 1"},
	}...)
	m.now += 20
	script(t, m, [][2]string{
		{"xclaim s g c 0 2 force", "*0"},
		{"xpending s g - + 5", "*1 *4 $3 1-0 $1 c :20 :2"},
	}...)
	m.now += 5
	script(t, m, [][2]string{
		{"xinfo consumers s g", "*1 *8 $4 name $1 c $7 pending :1 $4 idle :5 $8 inactive :25"},
		{"xinfo groups s", "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 0-0 $12 entries-read $-1 $3 lag :1"},
		{"xautoclaim s g d 5 0 count 1", "*3 $3 0-0 *1 *2 $3 1-0 *2 $1 a $1 1 *0"},
		{"xdel s 1", ":1"},
		{"xautoclaim s g c 1000 0", "*3 $3 0-0 *0 *1 $3 1-0"},
		{"xgroup destroy s g", ":1"},
		{"xgroup destroy s g", ":0"},
	}...)
}

// What was deleted in front of the first entry that is left does not make a group's counter invalid.
func TestStreamLagBehindDeleted(t *testing.T) {
	m := newMachine(t)
	for _, line := range []string{"xadd s 4 a 1", "xadd s 6 a 1", "xgroup create s g 0 entriesread 0", "xadd s 7 a 1"} {
		m.line(line)
	}
	const groups = "*1 *12 $4 name $1 g $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 0-0 $12 entries-read :0 $3 lag "
	script(t, m, [][2]string{
		{"xinfo groups s", groups + ":3"},
		{"xdel s 4", ":1"},
		{"xinfo groups s", groups + ":3"},
		{"xdel s 7", ":1"},
		{"xinfo groups s", groups + "$-1"},
	}...)
}
