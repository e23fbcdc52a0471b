package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The numbers stand in snapshots and in the messages of other versions: they never change.
func TestStateHashIsFixed(t *testing.T) {
	text := []byte(strings.Repeat("0123456789abcdef!", 20))
	var got []string
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 16, 17, 63, 64, 65, 129, 340} {
		got = append(got, fmt.Sprintf("%016x", hashBytes(text[:n])))
	}
	require.Equal(t, fixedHashes, got)
	m := newMachine(t)
	for _, cmd := range []string{
		"set s value", "set i 12", "append b begin", "append b end", "rpush l a b c", "sadd n 1 2 3", "sadd w a b", "hset h f v g w",
		"zadd z 1 a 2 b", "setrange big 2000 x",
	} {
		m.do(strings.Fields(cmd)...)
	}
	for i := range 600 {
		m.do("hset", "H", fmt.Sprint("f", i), fmt.Sprint(i))
		m.do("sadd", "S", fmt.Sprint("m", i))
		m.do("zadd", "Z", fmt.Sprint(i), fmt.Sprint("m", i))
		m.do("rpush", "L", fmt.Sprintf("element %060d", i))
	}
	m.do("pexpireat", "s", "99999999999999")
	m.db = 3
	m.do("set", "s", "value")
	require.NoError(t, m.s.Check())
	require.Equal(t, "73f49280435c45b7", fmt.Sprintf("%016x", stateHash(m.s)))
}

// The same for large collections whose members were overwritten and removed, so that others took their places.
func TestStateHashOfChangesIsFixed(t *testing.T) {
	m := newMachine(t)
	for i := range 3000 {
		f, g := fmt.Sprint("f", i%2000), fmt.Sprint("f", i*7%1900)
		m.do("hset", "H", f, strings.Repeat("v", i%90))
		m.do("sadd", "S", f, fmt.Sprint(i))
		m.do("zadd", "Z", fmt.Sprint(i%100, ".5"), f)
		if i%3 == 0 {
			m.do("hdel", "H", g)
			m.do("srem", "S", g)
			m.do("zrem", "Z", g)
		}
	}
	m.do("spop", "S", "100")
	m.do("zpopmin", "Z", "50")
	m.do("zremrangebyrank", "Z", "10", "200")
	m.do("zunionstore", "U", "2", "Z", "S", "weights", "2", "3")
	m.do("sdiffstore", "D", "S", "T")
	m.do("copy", "H", "C")
	require.NoError(t, m.s.Check())
	require.Equal(t, "96a2e8cd2eeef946", fmt.Sprintf("%016x", stateHash(m.s)))
}

var fixedHashes = []string{
	"4d109a1b0be673e1", "308d3b19453624a8", "122d92cdf27686b8", "53f97975632c7cc0", "be1b536f2caf7cd0",
	"129830725cc97c63", "20764ee8f5d0df84", "75956c9ccec8599a", "c36bfd9cc1e73d62", "c126cf79670c66cc",
	"d348c603e7b6229a", "f91f539d8d7ac024", "1526638430caf812", "321b28e3287469b1",
}

// Every bit of the input, and its length, reaches about half of the bits of the hash.
func TestHashBytesSpreads(t *testing.T) {
	for _, n := range []int{1, 3, 4, 8, 9, 16, 24, 33, 65, 100, 200} {
		b := bytes.Repeat([]byte{0}, n)
		h := hashBytes(b)
		require.NotEqual(t, h, hashBytes(append(b, 0)))
		for i := range 8 * n {
			b[i/8] ^= 1 << (i % 8)
			d := bits.OnesCount64(h ^ hashBytes(b))
			require.True(t, d >= 8 && d <= 56, "bit %d of %d bytes changes %d bits", i, n, d)
			b[i/8] ^= 1 << (i % 8)
		}
	}
	seen := map[uint64]bool{}
	for i := range 200_000 {
		seen[hashBytes(fmt.Appendf(nil, "key:%d", i))] = true
	}
	require.Len(t, seen, 200_000)
}

// What clients can see is in the hash: order, deadline, form, database.
func TestStateHashSeesEverything(t *testing.T) {
	long := strings.Repeat("x", 100)
	many := func(cmd string, n int, more ...string) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%s %s%d%s", cmd, long, i, strings.Join(more, "")))
		}
		return all
	}
	for _, c := range [][2][]string{
		{{"rpush l a b"}, {"rpush l b a"}},
		{many("rpush l", 200), append(many("rpush l", 200), "rpoplpush l l")},
		{append(many("rpush l", 200), "lset l 3 u", "lset l 77 v"), append(many("rpush l", 200), "lset l 3 v", "lset l 77 u")},
		{{"sadd s a b"}, {"sadd s b a"}},
		{many("sadd s", 20), append(many("sadd s", 20), "srem s "+long+"3", "sadd s "+long+"3")},
		{{"hset h a 1 b 2"}, {"hset h a 2 b 1"}},
		{append(many("hset h", 20, " 1"), "hset h a 1 b 2"), append(many("hset h", 20, " 1"), "hset h a 2 b 1")},
		{append(many("zadd z 1", 20), "zadd z 1 a 2 b"), append(many("zadd z 1", 20), "zadd z 2 a 1 b")},
		{{"set a v"}, {"set a v", "expire a 100"}},
		{{"set a v"}, {"set a v", "move a 1"}},
		{{"set a{t} v", "set b{t} v"}, {"set b{t} v", "set a{t} v"}},
		{{"set a vw"}, {"set a v", "append a w"}},
		{{"set a 1", "set b 2"}, {"set a 2", "set b 1"}},
		{{"set a 12"}, {"set a 1", "append a 2"}},
		{{"hset h a 1"}, append(many("hset h", 1, " 1"), "hset h a 1", "hdel h "+long+"0")},
	} {
		var hash [2]uint64
		for i := range c {
			m := newMachine(t)
			for _, cmd := range c[i] {
				m.do(strings.Fields(cmd)...)
			}
			require.NoError(t, m.s.Check())
			hash[i] = stateHash(m.s)
		}
		require.NotEqual(t, hash[0], hash[1], "%.200q", c)
	}
}

// An empty database counts for nothing, and neither do detours.
func TestStateHashForgets(t *testing.T) {
	m := newMachine(t)
	require.Zero(t, stateHash(m.s))
	m.do("mset", "a", "1", "b", strings.Repeat("x", 100_000), "c", "text")
	m.do("rpush", "l", "1", "2")
	before := stateHash(m.s)
	m.do("swapdb", "0", "3")
	require.NotEqual(t, before, stateHash(m.s))
	m.do("swapdb", "0", "3")
	m.do("rename", "c", "d")
	m.do("rename", "d", "c")
	m.do("set", "a", strings.Repeat("y", 70_000))
	m.do("set", "a", "1")
	m.do("expire", "a", "100")
	m.do("persist", "a")
	m.do("lpush", "l", "0")
	m.do("lpop", "l")
	require.Equal(t, before, stateHash(m.s))
	for _, key := range []string{"a", "b", "c", "l"} {
		m.do("del", key)
	}
	require.Zero(t, stateHash(m.s))
}

// The polynomial of a long list, and the blocks of a string that is changed in place, are what the content says.
func TestSumsFollowChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, b := &listValue{}, newBlob(nil)
		l.chunks().quick = true
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			e := []byte(strings.Repeat("e", rapid.SampledFrom([]int{0, 1, 50, 900, 5000}).Draw(t, "len")))
			n, d := l.len(), l.large
			at := rapid.IntRange(0, n).Draw(t, "at")
			switch op := rapid.SampledFrom([]string{"back", "front", "pop", "insert", "set", "remove", "trim", "many"}).Draw(t, "op"); {
			case op == "back", op == "front":
				d.push(e, op == "front")
			case op == "many":
				for i := range 200 {
					d.push(fmt.Appendf(nil, "%0*d", at, i), at%2 == 0)
				}
			case op == "insert":
				d.insert(at, e)
			case n == 0 || at == n:
			case op == "pop":
				d.pop(at%2 == 0)
			case op == "set":
				d.set(at, e)
			case op == "remove":
				d.removeEqual(e, 2, at%2 == 0)
			case op == "trim":
				d.trim(at/2, (n-at-1)/2)
			}
			if rapid.Bool().Draw(t, "looked at") {
				require.Equal(t, l.recount(), l.sum())
			}
			if rapid.IntRange(0, 5).Draw(t, "clone") == 0 {
				l, _ = l.clone().(*listValue)
			}
			b.put(rapid.IntRange(0, 3000).Draw(t, "offset"), e)
			b.put(len(b.b), e)
			require.Equal(t, textSum(b.b), b.sum())
		}
		require.Equal(t, l.recount(), l.sum())
	})
}

// TestDamagedStateIsFound flips bits of records in memory, and bytes of snapshots.
func TestDamagedStateIsFound(t *testing.T) {
	m := newMachine(t)
	m.do("mset", "one", "some text", "two", "other text")
	good := payload(t, m.s)
	slot := int(Slot([]byte("two")))

	_, found := bytes.CutPrefix(good, []byte(snapshotMagic))
	require.True(t, found)
	bad := bytes.Replace(good, []byte("other text"), []byte("ogher text"), 1)
	s := NewStore()
	err := s.Restore(bytes.NewReader(bad))
	require.ErrorIs(t, err, errSnapshot)
	require.ErrorContains(t, err, fmt.Sprintf("slot %d of database 0", slot))
	require.Zero(t, stateHash(s), "a state that is refused leaves nothing behind")
	require.NoError(t, s.Restore(bytes.NewReader(good)))
	require.Equal(t, stateHash(m.s), stateHash(s))

	_, _, rec := s.dbs[0].Load().find(slot, hashKey(s.seed, []byte("two")), []byte("two"), -1)
	rec.value()[0] ^= 4
	v := s.Freeze()
	defer v.Close()
	var broken *InvariantError
	_, err = v.Verify()
	require.True(t, errors.As(err, &broken))
	require.Contains(t, broken.State, fmt.Sprintf("db 0 slot %d", slot))
	_, err = v.WriteTo(&bytes.Buffer{})
	require.True(t, errors.As(err, &broken), "no snapshot is made of it")
	require.Error(t, s.Check())
}
