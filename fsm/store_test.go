package fsm

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSlot(t *testing.T) {
	for key, want := range map[string]uint16{"": 0, "123456789": 12739, "foo": 12182, "{foo}bar": 12182, "a{foo}{x}": 12182,
		"{}foo": Slot([]byte("{}foo")), "foo{}{bar}": Slot([]byte("foo{}{bar}"))} {
		require.Equal(t, want, Slot([]byte(key)), key)
	}
	require.NotEqual(t, Slot([]byte("{}a")), Slot([]byte("{}b")))
	// The definition, bit by bit.
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOfN(rapid.SampledFrom([]rune("{}ab\x00\xff")), 0, 40, -1).Draw(t, "key")
		part := key
		if _, behind, found := strings.Cut(key, "{"); found {
			if tag, _, closed := strings.Cut(behind, "}"); closed && tag != "" {
				part = tag
			}
		}
		crc := uint16(0)
		for _, c := range []byte(part) {
			for bit := 7; bit >= 0; bit-- {
				crc = crc<<1 ^ (crc>>15^uint16(c>>bit&1))*0x1021
			}
		}
		require.Equal(t, crc%Slots, Slot([]byte(key)), "%q", key)
	})
}

func TestLookup(t *testing.T) {
	require.Equal(t, "get", Lookup([]byte("GeT")).Name)
	require.Nil(t, Lookup([]byte("nope")))
	require.Nil(t, Lookup([]byte(sweepName)))
	require.Nil(t, Lookup(make([]byte, 1000)))
	require.Zero(t, testing.AllocsPerRun(100, func() { Lookup([]byte("INCRBYFLOAT")) }))
	last := ""
	eachCommand(func(words []string, s *Spec) {
		name := strings.Join(words, " ")
		require.Less(t, last, name)
		last = name
		require.Equal(t, s, Find(asBytes(words)))
		require.NotNil(t, s.Run, s.Name)
		require.NotEmpty(t, s.Summary, s.Name)
		require.NotEmpty(t, s.Complexity, s.Name)
		require.NotEmpty(t, s.Since, s.Name)
		require.NotEmpty(t, s.Group, s.Name)
		require.True(t, (s.Flags&FlagWrite != 0) != (s.Flags&FlagReadonly != 0), s.Name)
		require.Zero(t, s.Flags&FlagInternal, s.Name)
	})
	require.Nil(t, Find(asBytes([]string{"xinfo"})))
	require.Nil(t, Find(asBytes([]string{"xinfo", "nope"})))
}

func TestKeyPositions(t *testing.T) {
	for line, want := range map[string][]int{"mset a 1 b 2": {1, 3}, "mget a b c": {1, 2, 3}, "get a": {1}, "rename a b": {1, 2},
		"keys *": nil, "mset a 1 b": {1, 3}, "copy a": {1}, "get": nil} {
		f := bytes.Fields([]byte(line))
		require.Equal(t, want, Lookup(f[0]).KeyPositions(f, nil), line)
	}
}

func TestGenericCommands(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"set a 1", "+OK"},
		{"rename a b", "+OK"},
		{"rename a b", "-ERR no such key"},
		{"renamenx b b", ":0"},
		{"rename b b", "+OK"},
		{"set c 2 EX 100", "+OK"},
		{"renamenx b c", ":0"},
		{"rename c b", "+OK"},
		{"ttl b", ":100"},
		{"get b", "$1 2"},
		{"copy b d", ":1"},
		{"ttl d", ":100"},
		{"copy b d", ":0"},
		{"copy b d replace", ":1"},
		{"copy b b", "-ERR source and destination objects are the same"},
		{"copy b b db 3", ":1"},
		{"copy b b db 16", "-ERR DB index is out of range"},
		{"copy b b db", "-ERR syntax error"},
		{"move b 3", ":0"},
		{"move d 3", ":1"},
		{"exists d", ":0"},
		{"move d 0", "-ERR source and destination objects are the same"},
		{"move d 16", "-ERR DB index is out of range"},
		{"swapdb 0 3", "+OK"},
		{"ttl d", ":100"},
		{"dbsize", ":2"},
		{"swapdb 0 99", "-ERR DB index is out of range"},
		{"swapdb x 0", "-ERR invalid first DB index"},
		{"swapdb 0 x", "-ERR invalid second DB index"},
		{"flushdb nope", "-ERR syntax error"},
		{"flushdb async", "+OK"},
		{"dbsize", ":0"},
		{"swapdb 3 0", "+OK"},
		{"dbsize", ":1"},
		{"flushall", "+OK"},
		{"randomkey", "$-1"},
		{"type a", "+none"},
	}...)
	require.NoError(t, m.s.Check())
	require.Zero(t, m.s.MemoryUsed())
	require.Zero(t, m.s.NextDeadline())
}

func TestExpiry(t *testing.T) {
	m := newMachine(t)
	start := m.now
	script(t, m, [][2]string{
		{"mset a 1 b 2 c 3", "+OK"},
		{"pexpire a 10", ":1"},
		{"pexpire b 20", ":1"},
		{"pexpire b 15 GT", ":0"},
		{"pexpire b 15 LT", ":1"},
		{"pexpire b 5 NX", ":0"},
		{"pexpire c 5 XX", ":0"},
		{"pexpire c 5 GT", ":0"},
		{"pexpire c 5 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
		{"pexpire c 5 LT GT", "-ERR GT and LT options at the same time are not compatible"},
		{"pexpire c 5 foo", "-ERR Unsupported option foo"},
		{"expire c 9223372036854775807", "-ERR invalid expire time in 'expire' command"},
		{"pexpire c 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"},
		{"expire c -1", ":1"},
		{"exists c", ":0"},
		{"persist c", ":0"},
	}...)
	require.Equal(t, start+11, m.s.NextDeadline())
	m.now = start + 10
	require.Equal(t, ":1", m.line("exists a"), "the millisecond of the deadline still counts")
	require.Equal(t, ":0", m.line("pttl a"))
	m.now = start + 11
	require.Equal(t, ":0", m.line("exists a"))
	require.Equal(t, "*1 $1 b", m.line("keys *"))
	require.Equal(t, ":2", m.line("dbsize"), "not swept yet")
	require.Equal(t, ":1\r\n", m.sweep(10))
	require.Equal(t, ":1", m.line("dbsize"))
	require.EqualValues(t, 1, m.s.Expired())
	require.Equal(t, start+16, m.s.NextDeadline())
	m.now = start + 16
	require.Equal(t, ":1", m.line("incr b"), "a due key is as if missing")
	require.Equal(t, ":-1", m.line("pttl b"))
	require.EqualValues(t, 2, m.s.Expired())
	require.Zero(t, m.s.NextDeadline())
	require.NoError(t, m.s.Check())
}

func TestSweepTakesTheEarliest(t *testing.T) {
	m := newMachine(t)
	for i := range 50 {
		m.db = i % 3
		m.do("set", "k"+strconv.Itoa(i), "v", "px", strconv.Itoa(1+i%7))
	}
	m.db = 0
	m.now += 4
	require.Equal(t, ":5\r\n", m.sweep(5))
	require.Equal(t, ":17\r\n", m.sweep(100), "those of 1, 2 and 3 ms")
	require.Equal(t, ":0\r\n", m.sweep(100))
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	require.NoError(t, m.s.Check())
}

func TestScanVisitsWhatStays(t *testing.T) {
	m := newMachine(t)
	for i := range 300 {
		m.do("set", fmt.Sprintf("{%d}stay%d", i%9, i), "v")
		m.do("set", fmt.Sprintf("{%d}go%d", i%9, i), "v")
	}
	seen := map[string]bool{}
	cursor, gone := "0", 0
	for step := 0; ; step++ {
		m.out.b = nil
		found, next := (&Tx{s: m.s, now: m.now}).scan(mustCursor(t, cursor), scanOptions{count: 7})
		for _, k := range found {
			seen[string(k)] = true
		}
		for range 5 {
			m.do("del", fmt.Sprintf("{%d}go%d", gone%9, gone))
			m.do("set", fmt.Sprintf("{%d}new%d", gone%9, gone), "v")
			gone++
		}
		if step%10 == 5 { // another node goes on with the cursor
			s := NewStore()
			require.NoError(t, s.Restore(bytes.NewReader(payload(t, m.s))))
			m.s = s
		}
		if cursor = strconv.FormatUint(next, 10); next == 0 {
			break
		}
	}
	for i := range 300 {
		require.True(t, seen[fmt.Sprintf("{%d}stay%d", i%9, i)], i)
	}
}

// TestScanCursorsAreSafeIntegers: many clients keep a cursor in a double.
func TestScanCursorsAreSafeIntegers(t *testing.T) {
	m := newMachine(t)
	for i := range 3 { // the last hash slot
		m.do("set", fmt.Sprintf("{%s}%d", keyOfSlot(t, Slots-1), i), "v")
	}
	reply := strings.Split(m.do("scan", "0", "count", "1"), "\r\n")
	cursor := mustCursor(t, reply[2])
	require.NotZero(t, cursor)
	require.Less(t, cursor, uint64(1<<53))
	require.Less(t, uint64(Slots-1)<<scanShift|(1<<scanShift-1), uint64(1<<53), "the largest possible")
}

// keyOfSlot returns a key of the hash slot.
func keyOfSlot(t *testing.T, slot int) string {
	for i := range 100 * Slots {
		if k := strconv.Itoa(i); int(Slot([]byte(k))) == slot {
			return k
		}
	}
	t.Fatal("no key")
	return ""
}

func mustCursor(t *testing.T, s string) uint64 {
	n, ok := parseCursor([]byte(s))
	require.True(t, ok)
	return n
}

func TestScanOptions(t *testing.T) {
	m := newMachine(t)
	m.do("mset", "a", "1", "b", "2", "ab", "3")
	m.do("rpush", "l", "x")
	script(t, m, [][2]string{
		{"scan 0 match a count 100", "*2 $1 0 *1 $1 a"},
		{"scan 0 type list", "*2 $1 0 *1 $1 l"},
		{"scan 0 type nope", "*2 $1 0 *0"},
		{"scan 0 count 0", "-ERR syntax error"},
		{"scan 0 count x", "-ERR value is not an integer or out of range"},
		{"scan 0 count", "-ERR syntax error"},
		{"scan x", "-ERR invalid cursor"},
		{"scan 99999999999999999", "*2 $1 0 *0"},
		{"scan 18446744073709551615", "*2 $1 0 *0"},
	}...)
}

func TestFrozenViewStands(t *testing.T) {
	m := newMachine(t)
	for i := range 500 {
		m.do("set", "s"+strconv.Itoa(i), "v"+strconv.Itoa(i))
		m.do("rpush", "l"+strconv.Itoa(i%20), strconv.Itoa(i))
		m.do("append", "a"+strconv.Itoa(i%5), "xyz")
	}
	m.do("expire", "s1", "100")
	before, want := stateHash(m.s), payload(t, m.s)
	v := m.s.Freeze()
	second := m.s.Freeze()
	for i := range 500 {
		m.do("del", "s"+strconv.Itoa(i))
		m.do("rpush", "l"+strconv.Itoa(i%20), "more")
		m.do("append", "a"+strconv.Itoa(i%5), "more")
		m.do("rename", "l"+strconv.Itoa(i%20), "l"+strconv.Itoa((i+1)%20))
	}
	m.do("swapdb", "0", "1")
	m.do("flushall")
	require.NotEqual(t, before, stateHash(m.s))
	for _, view := range []*View{second, v} {
		total, _ := view.Hash()
		require.Equal(t, before, total)
		var b bytes.Buffer
		_, err := view.WriteTo(&b)
		require.NoError(t, err)
		require.Equal(t, want, b.Bytes())
		view.Close()
		view.Close()
	}
	require.Zero(t, m.s.views.Load())
	require.NoError(t, m.s.Check())
}

func TestRestore(t *testing.T) {
	m := newMachine(t)
	for i := range 1000 {
		m.db = i % 3
		m.do("set", "s"+strconv.Itoa(i), strconv.Itoa(i*i))
		m.do("sadd", "m"+strconv.Itoa(i%7), strconv.Itoa(i))
		m.do("zadd", "z"+strconv.Itoa(i%7), strconv.Itoa(i%11), strconv.Itoa(i))
		m.do("hset", "h"+strconv.Itoa(i%7), strconv.Itoa(i), "v")
		m.do("rpush", "l"+strconv.Itoa(i%7), strconv.Itoa(i))
		m.do("pexpire", "s"+strconv.Itoa(i), strconv.Itoa(100000+i))
		m.do("del", "s"+strconv.Itoa(i/2))
	}
	want := payload(t, m.s)
	s := NewStore()
	require.NoError(t, s.ApplyEntry(1, AppendEntryCommand(AppendEntryHeader(nil, 5, 1), 0, rawCommand("set", "old", "x"))))
	require.NoError(t, s.Restore(bytes.NewReader(want)))
	require.NoError(t, s.Check())
	require.Equal(t, want, payload(t, s))
	require.Equal(t, stateHash(m.s), stateHash(s))
	require.Equal(t, m.s.Applied(), s.Applied())
	require.Equal(t, m.s.Clock(), s.Clock())
	require.Equal(t, m.s.NextDeadline(), s.NextDeadline())
	require.Equal(t, m.s.MemoryUsed(), s.MemoryUsed())
	hash := stateHash(s)
	tidyUp := func() {
		for s.Tidy(16) != RestNone {
			continue
		}
	}
	tidyUp()
	for _, cut := range []int{0, 5, 20, 24, 25, 100, len(want) / 2, len(want) - 1} {
		require.ErrorIs(t, s.Restore(bytes.NewReader(want[:cut])), errSnapshot)
	}
	require.ErrorIs(t, s.Restore(bytes.NewReader(append(want[:len(want):len(want)], 0))), errSnapshot)
	require.ErrorIs(t, s.Restore(io.MultiReader(bytes.NewReader(want), failingReader{})), errFailing)
	require.Equal(t, hash, stateHash(s), "unchanged after an error")
	require.Len(t, s.dropped, 12, "what was loaded in vain")
	tidyUp()
	require.Empty(t, s.dropped)
	require.Equal(t, hash, stateHash(s))
}

// TestDamagedSnapshotNamesThePlace: whatever byte is damaged, the restore gives an error that tells where, or a state
// that is whole, and it takes little memory.
func TestDamagedSnapshotNamesThePlace(t *testing.T) {
	m := newMachine(t)
	for _, cmd := range []string{"set {a}1 text", "set {a}2 123", "rpush {a}3 a b c", "sadd {a}4 a b c", "hset {a}5 a 1 b 2", "zadd {a}6 1 a 2 b", "pexpire {a}1 1000", "set other x"} {
		m.line(cmd)
	}
	good := payload(t, m.s)
	slot := fmt.Sprintf("slot %d of database 0", Slot([]byte("{a}")))
	for _, c := range []struct {
		damage func(b []byte) []byte
		want   string
	}{
		{func(b []byte) []byte { return b[:10] }, "before byte 10, header: malformed snapshot: cut short"},
		{func(b []byte) []byte { b[0]++; return b }, "header: malformed snapshot: unknown version"},
		{func(b []byte) []byte { return b[:bytes.Index(b, []byte("text"))+2] }, "key 1 of 6 in " + slot + ": malformed snapshot: cut short"},
		{func(b []byte) []byte { b[bytes.Index(b, []byte("{a}3"))-1]++; return b }, "key 3 of 6 in " + slot},
		{func(b []byte) []byte { b[bytes.Index(b, []byte("{a}5"))+1]++; return b }, "key 5 of 6 in " + slot + `: malformed snapshot: key "{b}5" is of slot`},
		{func(b []byte) []byte { b[bytes.Index(b, []byte("{a}4"))+5] = 9; return b }, "key 4 of 6 in " + slot + `: key "{a}4": set value: malformed value`},
		{func(b []byte) []byte { b[len(b)-2]++; return b }, "behind 7 keys: malformed snapshot: 7 keys instead of 8"},
		{func(b []byte) []byte { b[len(b)-1]++; return b }, "waiter 1 of 1: malformed snapshot: cut short"},
	} {
		require.ErrorContains(t, NewStore().Restore(bytes.NewReader(c.damage(bytes.Clone(good)))), c.want)
	}
	for i := range good {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			s := NewStore()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := s.Restore(bytes.NewReader(bad))
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "byte %d", i)
			if err != nil {
				require.ErrorContains(t, err, "restore snapshot: before byte ")
				continue
			}
			require.NoError(t, s.Check(), "byte %d", i)
		}
	}
}

var errFailing = fmt.Errorf("checksum")

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errFailing }

type failingWriter struct{ left int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errFailing
	}
	return len(b), nil
}

func TestWriteToReportsErrors(t *testing.T) {
	m := newMachine(t)
	for i := range 100 {
		m.do("set", strconv.Itoa(i), string(make([]byte, 2000)))
	}
	v := m.s.Freeze()
	defer v.Close()
	for _, left := range []int{0, 70000, 140000} {
		_, err := v.WriteTo(&failingWriter{left: left})
		require.ErrorIs(t, err, errFailing)
	}
}

// TestReadsRideAlong: a leader's entry holds reads between the writes, a follower's only the writes.
func TestReadsRideAlong(t *testing.T) {
	leader, follower := NewStore(), NewStore()
	out := &wire{}
	leader.Begin(1, 1000, 42)
	entry := AppendEntryHeader(nil, 1000, 42)
	for i := range 200 {
		for _, args := range [][]string{{"sadd", "s", strconv.Itoa(i), strconv.Itoa(-i), "x"}, {"srandmember", "s"},
			{"spop", "s"}, {"randomkey"}, {"keys", "*"}, {"pttl", "s"}} {
			c := command(t, 0, args...)
			leader.Exec(&c, out)
			if c.Spec.Flags&FlagWrite != 0 {
				entry = AppendEntryCommand(entry, 0, c.Raw)
			}
		}
	}
	leader.End()
	require.NoError(t, follower.ApplyEntry(1, entry))
	require.Equal(t, stateHash(leader), stateHash(follower))
	require.Equal(t, payload(t, leader), payload(t, follower))
	require.Equal(t, leader.Applied(), follower.Applied())
}

// TestReadsInOneEntryRollAnew: a pipeline of random reads behind a write must not get the same answer again and again.
func TestReadsInOneEntryRollAnew(t *testing.T) {
	m := newMachine(t)
	for i := range 100 {
		m.do("sadd", "s", strconv.Itoa(i))
	}
	seen := map[string]bool{}
	c := command(t, 0, "srandmember", "s")
	m.s.Begin(m.index+1, m.now, 5)
	for range 50 {
		m.s.Exec(&c, &m.out)
		seen[m.out.take()] = true
	}
	m.s.End()
	require.Greater(t, len(seen), 25)
}

func TestClockNeverGoesBack(t *testing.T) {
	m := newMachine(t)
	m.do("set", "k", "v", "px", "100")
	m.now -= 50
	require.Equal(t, ":100", m.line("pttl k"))
	require.Equal(t, m.now+50, m.s.Clock())
	m.s.SetApplied(77)
	require.EqualValues(t, 77, m.s.Applied())
}

func TestStatistics(t *testing.T) {
	m := newMachine(t)
	m.do("set", "a", "1", "ex", "100")
	m.do("set", "b", "hello")
	m.do("set", "{b}c", "hello")
	keys, expires := m.s.Keys(0)
	require.EqualValues(t, 3, keys)
	require.EqualValues(t, 1, expires)
	require.InDelta(t, 100000, m.s.AvgTTL(0), 1000)
	require.Zero(t, m.s.AvgTTL(1))
	require.EqualValues(t, 3*entryCost+1+1+1+5+4+5, m.s.MemoryUsed())
	slot := int(Slot([]byte("b")))
	require.Equal(t, 2, m.s.CountKeysInSlot(slot))
	require.Len(t, m.s.KeysInSlot(slot, 1), 1)
	require.Equal(t, [][]byte{[]byte("b"), []byte("{b}c")}, m.s.KeysInSlot(slot, 10))
	require.Zero(t, m.s.CountKeysInSlot(-1))
	require.Zero(t, m.s.CountKeysInSlot(Slots))
	require.Nil(t, m.s.KeysInSlot(Slots, 1))
	m.do("get", "a")
	m.do("get", "nope")
	require.EqualValues(t, 1, m.s.Hits())
	require.EqualValues(t, 1, m.s.Misses())
}

// TestReadersWhileApplying lets readers and a snapshot run against the applier; the race detector is the judge, and
// a reader must see MSET whole.
func TestReadersWhileApplying(t *testing.T) {
	m := newMachine(t)
	m.do("mset", "x", "0", "y", "0")
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			out := &wire{}
			reads := [][]string{{"mget", "x", "y"}, {"keys", "*"}, {"scan", "0"}, {"randomkey"}, {"get", "k1"}, {"dbsize"},
				{"lrange", "l", "0", "-1"}, {"ttl", "k2"}, {"srandmember", "s"}, {"type", "k3"}}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				c := command(t, 0, reads[i%len(reads)]...)
				m.s.Read(&c, out)
				if reply := out.take(); i%len(reads) == 0 {
					half := (len(reply) - 4) / 2
					if reply[4:4+half] != reply[4+half:] {
						t.Errorf("torn MSET: %q", reply)
					}
				}
				m.s.Keys(0)
				m.s.KeysInSlot(7, 3)
				m.s.MemoryUsed()
			}
		})
	}
	for i := range 1500 {
		n := strconv.Itoa(i)
		m.do("mset", "x", n, "y", n)
		m.do("set", "k"+n, n, "px", "5")
		m.do("rpush", "l", n)
		m.do("sadd", "s", n)
		m.do("append", "a", n)
		m.now++
		switch i % 100 {
		case 10:
			m.sweep(50)
		case 20:
			v := m.s.Freeze()
			readers.Go(func() {
				if _, err := v.WriteTo(io.Discard); err != nil {
					t.Error(err)
				}
				v.Hash()
				v.Close()
			})
		case 50:
			m.do("del", "l", "s")
		case 70:
			m.do("flushdb")
			m.do("mset", "x", n, "y", n)
		case 80:
			m.do("swapdb", "0", "5")
			m.do("swapdb", "5", "0")
		case 90:
			require.NoError(t, m.s.Restore(bytes.NewReader(payload(t, m.s))))
		}
	}
	close(stop)
	readers.Wait()
	require.NoError(t, m.s.Check())
}
