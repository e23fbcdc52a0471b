package fsm

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// eventLog is a Notifier that remembers.
type eventLog struct {
	list    []string
	classes EventClass // that were told
}

func (l *eventLog) KeyEvent(class EventClass, event string, db int, key []byte) {
	l.classes |= class
	l.list = append(l.list, fmt.Sprintf("%d %s %q", db, event, key))
}

func (l *eventLog) take() (list []string) {
	list, l.list = l.list, nil
	return list
}

// Every node tells the same events, in the order of the log; the end of a key by time and by want of memory, too.
func TestEvents(t *testing.T) {
	m, log := newMachine(t), &eventLog{}
	m.s.SetNotifier(log)
	told := func(line string, want ...string) {
		t.Helper()
		m.line(line)
		require.Equal(t, want, log.take(), line)
	}
	told("set a 1 px 50", `0 new "a"`, `0 set "a"`, `0 expire "a"`)
	told("set a 2 keepttl", `0 set "a"`)
	told("append a 3", `0 append "a"`)
	told("get b", `0 keymiss "b"`)
	told("set b 1 exat 1", `0 new "b"`, `0 set "b"`, `0 expire "b"`, `0 expired "b"`)
	told("rpush l x y", `0 new "l"`, `0 rpush "l"`)
	told("lmove l k left right", `0 new "k"`, `0 rpush "k"`, `0 lpop "l"`)
	told("lpop l", `0 lpop "l"`, `0 del "l"`)
	told("rename k l", `0 new "l"`, `0 rename_from "k"`, `0 rename_to "l"`)
	told("move l 3", `3 new "l"`, `0 move_from "l"`, `3 move_to "l"`)
	told("sadd s 1", `0 new "s"`, `0 sadd "s"`)
	told("sadd s 1")
	told("hset h f v", `0 new "h"`, `0 hset "h"`)
	told("hset d f v g w", `0 new "d"`, `0 hset "d"`)
	told("hpexpire d 500 fields 1 f", `0 hexpire "d"`)
	told("hpexpire d 5000 fields 1 g", `0 hexpire "d"`)
	told("hpersist d fields 1 g", `0 hpersist "d"`)
	told("zadd z 1 m", `0 new "z"`, `0 zadd "z"`)
	told("xadd x maxlen 0 1-1 f v", `0 new "x"`, `0 xadd "x"`, `0 xtrim "x"`)
	m.now += 1000
	m.sweep(10)
	require.Equal(t, []string{`0 expired "a"`, `0 hexpired "d"`}, log.take())
	told("hdel d g", `0 hdel "d"`, `0 del "d"`)
	told("set e 1", `0 new "e"`, `0 set "e"`)
	require.EqualValues(t, 1, m.evict([]Victim{{Key: []byte("e"), Version: m.index}}))
	require.Equal(t, []string{`0 evicted "e"`}, log.take())
	require.Equal(t, EventNew<<1-1, log.classes, "every class")

	other, same := NewStore(), &eventLog{}
	other.SetNotifier(same)
	for i, e := range m.log {
		require.NoError(t, other.ApplyEntry(uint64(i+1), e))
	}
	m2, log2 := NewStore(), &eventLog{}
	m2.SetNotifier(log2)
	for i, e := range m.log {
		require.NoError(t, m2.ApplyEntry(uint64(i+1), e))
	}
	require.NotEmpty(t, same.list)
	require.Equal(t, same.list, log2.list)

	m.s.SetNotifier(nil)
	told("set a 1")
	require.Empty(t, log.list)
}
