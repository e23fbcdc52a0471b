package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The replies are those of Redis 7.4, by its source and its documentation: the installed server of the oracle has no such commands.

// far is a field's value in hashes that are to be in the form of a table.
var far = strings.Repeat("x", HashMaxListpackValue+1)

// eachHash runs a test with a small and a large hash h of the fields a to e.
func eachHash(t *testing.T, f func(t *testing.T, m *machine)) {
	for _, form := range []string{"listpack", "hashtable"} {
		t.Run(form, func(t *testing.T) {
			m := newMachine(t)
			m.do("hset", "h", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5")
			if form == "hashtable" {
				m.do("hset", "h", "long", far)
				m.do("hdel", "h", "long")
			}
			require.Equal(t, form, m.encoding("h"))
			f(t, m)
			require.NoError(t, m.s.Check())
			require.Equal(t, stateHash(m.s), stateHash(m.replay()))
		})
	}
}

func TestHashExpireConditions(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		script(t, m, [][2]string{
			{"hpexpire h 1000 NX FIELDS 1 a", "*1 :1"},
			{"hpexpire h 1000 nx fields 3 a b none", "*3 :0 :1 :-2"},
			{"hpexpire h 2000 XX FIELDS 2 a c", "*2 :1 :0"},
			{"hpexpire h 1500 GT FIELDS 3 a b c", "*3 :0 :1 :0"},
			{"hpexpire h 1500 LT FIELDS 3 a b c", "*3 :1 :0 :1"},
			{"hpttl h FIELDS 5 a b c d none", "*5 :1500 :1500 :1500 :-1 :-2"},
			{"hpexpire h 1500 FIELDS 2 a a", "*2 :1 :1"},
			{"httl h FIELDS 1 a", "*1 :2"},
			{"hpexpiretime h FIELDS 2 a d", "*2 :1700000001500 :-1"},
			{"hexpiretime h FIELDS 2 a none", "*2 :1700000002 :-2"},
			{"hexpire h 10 FIELDS 1 d", "*1 :1"},
			{"hpttl h FIELDS 1 d", "*1 :10000"},
			{"hexpireat h 1700000020 FIELDS 1 d", "*1 :1"},
			{"hpttl h FIELDS 1 d", "*1 :20000"},
			{"hpexpireat h 1700000030001 FIELDS 1 d", "*1 :1"},
			{"httl h FIELDS 1 d", "*1 :31"},
			{"hpersist h FIELDS 4 d e none a", "*4 :1 :-1 :-2 :1"},
			{"hpttl h FIELDS 2 d a", "*2 :-1 :-1"},
		}...)
	})
}

// A deadline that is not ahead deletes the field, and the hash with the last one; only if the condition allows it.
func TestHashExpirePast(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		script(t, m, [][2]string{
			{"hexpire h 1000 FIELDS 1 d", "*1 :1"},
			{"hexpireat h 1 NX FIELDS 4 a b none d", "*4 :2 :2 :-2 :0"},
			{"hpexpire h 0 FIELDS 1 c", "*1 :2"},
			{"hpexpireat h 1700000000000 FIELDS 1 e", "*1 :2"},
			{"hgetall h", "*2 $1 d $1 4"},
			{"hpexpireat h 0 LT FIELDS 2 d d", "*2 :2 :-2"},
			{"exists h", ":0"}, {"dbsize", ":0"},
		}...)
		require.EqualValues(t, 5, m.s.ExpiredFields())
	})
}

func TestHashExpireErrors(t *testing.T) {
	const (
		word  = "-ERR Mandatory argument FIELDS is missing or not at the right position"
		zero  = "-ERR Parameter `numFields` should be greater than 0"
		count = "-ERR Number of fields must be a positive integer"
		match = "-ERR The `numfields` parameter must match the number of arguments"
		wrong = "-" + errWrongType
	)
	m := newMachine(t)
	script(t, m, [][2]string{
		{"hset h f v", ":1"}, {"set s v", "+OK"},
		{"hexpire h 1 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command"},
		{"hpexpiretime h FIELDS 1", "-ERR wrong number of arguments for 'hpexpiretime' command"},
		{"hpersist h FIELDS 1", "-ERR wrong number of arguments for 'hpersist' command"},
		{"hexpire s x y z 1 f", wrong}, {"httl s x y z", wrong}, {"hpersist s FIELDS 0 f", wrong},
		{"hexpire h x FIELDS 1 f", "-ERR value is not an integer or out of range"},
		{"hexpire h -1 FIELDS 0 f", "-ERR invalid expire time, must be >= 0"},
		{"hexpire h 70368744178 FIELDS 1 f", "-ERR invalid expire time in 'hexpire' command"},
		{"hexpire h 9223372036854775807 FIELDS 1 f", "-ERR invalid expire time in 'hexpire' command"},
		{"hexpireat h 70368744178 FIELDS 1 f", "-ERR invalid expire time in 'hexpireat' command"},
		{"hpexpireat h 70368744177664 FIELDS 1 f", "-ERR invalid expire time in 'hpexpireat' command"},
		{"hpexpireat h 70368744177663 FIELDS 1 f", "*1 :1"},
		{"hpexpire h 68668744177664 FIELDS 1 f", "-ERR invalid expire time in 'hpexpire' command"},
		{"hpexpire h 68668744177663 FIELDS 1 f", "*1 :1"},
		{"hexpire none 9223372036854775807 FIELDS 1 f", "-ERR invalid expire time in 'hexpire' command"},
		{"hexpire h 1 NX XX FIELDS 1 f", word}, {"hexpire h 1 FIELD 1 f", word}, {"hexpire h 1 FOO FIELDS 1 f", word},
		{"hexpire h 1 FIELDS 0 f", zero}, {"hexpire h 1 FIELDS x f", zero}, {"hexpire none 1 FIELDS -1 f", zero},
		{"hexpire h 1 FIELDS 9223372036854775808 f", zero},
		{"hexpire h 1 FIELDS 2 f", match}, {"hexpire h 1 FIELDS 1 f g", match}, {"hexpire h 1 NX FIELDS 1", match},
		{"httl h FIELD 1 f", word}, {"httl h FIELDS 0 f", count}, {"hpttl h FIELDS x f", count}, {"hexpiretime h FIELDS 2 f", match},
		{"hpexpiretime none FIELDS 1 f g", match}, {"hpersist h 1 f g", word}, {"hpersist none FIELDS 0 f", count},
		{"hpersist h FIELDS 2 f", match},
		{"hexpire none 1 FIELDS 2 f g", "*2 :-2 :-2"}, {"httl none FIELDS 1 f", "*1 :-2"}, {"hpersist none FIELDS 1 f", "*1 :-2"},
		{"hget h f", "$1 v"}, {"exists none", ":0"},
	}...)
}

// What is due shows nowhere, before anything has deleted it: not to reads, not to writes, not as a key.
func TestHashExpireHidden(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		script(t, m, [][2]string{{"hpexpire h 10 FIELDS 2 a c", "*2 :1 :1"}, {"rpush l h g", ":2"}}...)
		m.now += 10
		script(t, m, [][2]string{{"hget h a", "$1 1"}, {"hpttl h FIELDS 1 a", "*1 :0"}}...)
		m.now++
		script(t, m, [][2]string{
			{"hget h a", "$-1"}, {"hmget h a b c", "*3 $-1 $1 2 $-1"}, {"hexists h a", ":0"}, {"hstrlen h a", ":0"},
			{"hgetall h", "*6 $1 b $1 2 $1 d $1 4 $1 e $1 5"}, {"hkeys h", "*3 $1 b $1 d $1 e"}, {"hvals h", "*3 $1 2 $1 4 $1 5"},
			{"hscan h 0", "*2 $1 0 *6 $1 b $1 2 $1 d $1 4 $1 e $1 5"}, {"hscan h 0 match [a-d]", "*2 $1 0 *4 $1 b $1 2 $1 d $1 4"},
			{"hlen h", ":5"}, // as Redis
			{"httl h FIELDS 1 a", "*1 :-2"}, {"hpexpiretime h FIELDS 1 a", "*1 :-2"}, {"hpersist h FIELDS 1 a", "*1 :-2"},
			{"hexpire h 10 FIELDS 1 a", "*1 :-2"}, {"hdel h a", ":0"}, {"hrandfield h 5", "*3 $1 b $1 d $1 e"},
			{"sort l by nosort get *->a get *->b", "*4 $-1 $1 2 $-1 $-1"},
		}...)
		for range 20 {
			require.Contains(t, []string{"$1 b", "$1 d", "$1 e"}, m.line("hrandfield h"))
		}
		script(t, m, [][2]string{
			{"hset h a new", ":1"}, {"hpttl h FIELDS 1 a", "*1 :-1"}, {"hincrby h c 5", ":5"}, {"hpttl h FIELDS 1 c", "*1 :-1"},
			{"hlen h", ":5"}, {"hkeys h", "*5 $1 e $1 b $1 a $1 d $1 c"},
		}...)
	})
}

// A hash of which all fields are due is gone, also as a key; until it is deleted only DBSIZE tells, as of other keys.
func TestHashExpireWhole(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		script(t, m, [][2]string{{"hpexpire h 10 FIELDS 2 a b", "*2 :1 :1"}, {"hpexpire h 20 FIELDS 3 c d e", "*3 :1 :1 :1"}}...)
		m.now += 11
		script(t, m, [][2]string{{"exists h", ":1"}, {"hlen h", ":5"}}...)
		m.now += 10
		script(t, m, [][2]string{
			{"exists h", ":0"}, {"type h", "+none"}, {"hlen h", ":0"}, {"hgetall h", "*0"}, {"scan 0", "*2 $1 0 *0"}, {"keys *", "*0"},
			{"randomkey", "$-1"}, {"touch h", ":0"}, {"ttl h", ":-2"}, {"object encoding h", "$-1"}, {"memory usage h", "$-1"}, {"dump h", "$-1"},
			{"dbsize", ":1"}, {"rename h g", "-ERR no such key"}, {"copy h g", ":0"}, {"debug digest-value h", "*1 +" + strings.Repeat("0", 40)},
		}...)
		require.EqualValues(t, 0, m.s.FieldExpires(0), "the write deleted it")
		script(t, m, [][2]string{{"dbsize", ":0"}, {"hset h a 1", ":1"}, {"hpttl h FIELDS 1 a", "*1 :-1"}}...)
	})
}

// A write that takes the last field that shows takes the hash.
func TestHashExpireRest(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		script(t, m, [][2]string{{"hpexpire h 10 FIELDS 4 a b c d", "*4 :1 :1 :1 :1"}}...)
		m.now += 11
		script(t, m, [][2]string{{"hdel h a e", ":1"}, {"dbsize", ":0"}, {"hset h x 1 y 2", ":2"}, {"hpexpire h 10 FIELDS 1 x", "*1 :1"}}...)
		m.now += 11
		script(t, m, [][2]string{{"hpexpire h 0 FIELDS 2 x y", "*2 :-2 :2"}, {"dbsize", ":0"}}...)
	})
}

// Which writes keep a deadline: those that change a value; not those that set it.
func TestHashExpireKept(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		script(t, m, [][2]string{
			{"hexpire h 100 FIELDS 5 a b c d e", "*5 :1 :1 :1 :1 :1"},
			{"hset h a 9", ":0"}, {"hincrby h b 1", ":3"}, {"hincrbyfloat h c 1.5", "$3 4.5"}, {"hmset h d 9", "+OK"}, {"hsetnx h e 9", ":0"},
			{"httl h FIELDS 5 a b c d e", "*5 :-1 :100 :100 :-1 :100"},
			{"hdel h b", ":1"}, {"hset h b 1", ":1"}, {"httl h FIELDS 5 a b c d e", "*5 :-1 :-1 :100 :-1 :100"},
			{"persist h", ":0"}, {"expire h 50", ":1"}, {"httl h FIELDS 1 c", "*1 :100"}, {"persist h", ":1"}, {"httl h FIELDS 1 c", "*1 :100"},
			{"copy h g", ":1"}, {"httl g FIELDS 2 c a", "*2 :100 :-1"}, {"hexpire g 200 FIELDS 1 c", "*1 :1"}, {"httl h FIELDS 1 c", "*1 :100"},
			{"rename g h", "+OK"}, {"httl h FIELDS 2 c e", "*2 :200 :100"}, {"move h 1", ":1"}, {"httl h FIELDS 1 c", "*1 :-2"},
			{"swapdb 0 1", "+OK"}, {"httl h FIELDS 1 c", "*1 :200"}, {"set h x", "+OK"},
		}...)
		require.EqualValues(t, 0, m.s.FieldExpires(0))
		require.EqualValues(t, 0, m.s.NextDeadline())
	})
}

// The form with deadlines is that of Redis, and stays when they are gone; more or longer fields make it a table.
func TestHashExpireForms(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"hset h a 1 b 2", ":2"}, {"hexpire h 100 FIELDS 1 none", "*1 :-2"}, {"object encoding h", "$8 listpack"},
		{"hexpire h 100 FIELDS 1 b", "*1 :1"}, {"object encoding h", "$10 listpackex"}, {"hpersist h FIELDS 1 b", "*1 :1"},
		{"object encoding h", "$10 listpackex"}, {"copy h g", ":1"}, {"object encoding g", "$10 listpackex"},
	}...)
	require.Contains(t, m.line("debug listpack h"), `{num entries 6}`)
	script(t, m, [][2]string{
		{"hexpire h 100 FIELDS 1 b", "*1 :1"}, {"hset h c " + far, ":1"}, {"object encoding h", "$9 hashtable"},
		{"httl h FIELDS 3 a b c", "*3 :-1 :100 :-1"}, {"hpersist h FIELDS 1 b", "*1 :1"}, {"object encoding h", "$9 hashtable"},
		{"hset n f v", ":1"}, {"hexpire n 50 FIELDS 1 f", "*1 :1"},
	}...)
	for i := range HashMaxListpackEntries {
		m.do("hset", "n", fmt.Sprint(i), "v")
	}
	script(t, m, [][2]string{{"object encoding n", "$9 hashtable"}, {"httl n FIELDS 2 f 5", "*2 :50 :-1"}}...)
	require.NoError(t, m.s.Check())
}

// A sweep deletes keys and fields in the order of their deadlines, those of one hash together, no more than it is told to; a hash
// that is wholly due is one.
func TestHashExpireSweep(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"set s v px 3", "+OK"}, {"hset h a 1 b 2 c 3 d 4", ":4"}, {"hpexpire h 1 FIELDS 2 b c", "*2 :1 :1"}, {"hpexpire h 5 FIELDS 1 a", "*1 :1"},
		{"hset g a 1 b 2", ":2"}, {"hpexpire g 2 FIELDS 2 a b", "*2 :1 :1"}, {"hset k a 1 b 2", ":2"}, {"pexpire k 4", ":1"}, {"hpexpire k 9 FIELDS 1 a", "*1 :1"},
	}...)
	start := m.now
	require.Equal(t, start+2, m.s.NextDeadline())
	m.now += 1
	require.Equal(t, ":0\r\n", m.sweep(10))
	m.now += 19
	require.Equal(t, ":1\r\n", m.sweep(1))
	script(t, m, [][2]string{{"hlen h", ":3"}, {"dbsize", ":4"}}...)
	require.Equal(t, start+2, m.s.NextDeadline())
	require.Equal(t, ":2\r\n", m.sweep(2))
	script(t, m, [][2]string{{"hlen h", ":1"}, {"dbsize", ":4"}}...)
	require.Equal(t, start+3, m.s.NextDeadline())
	require.Equal(t, ":3\r\n", m.sweep(9))
	script(t, m, [][2]string{{"hgetall h", "*2 $1 d $1 4"}, {"hlen h", ":1"}, {"dbsize", ":1"}}...)
	require.Zero(t, m.s.NextDeadline())
	require.EqualValues(t, 3, m.s.ExpiredFields())
	require.EqualValues(t, 3, m.s.Expired())
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// dumped is the payload that DUMP answers.
func dumped(t *testing.T, m *machine, key string) string {
	_, b, ok := strings.Cut(m.do("dump", key), "\r\n")
	require.True(t, ok)
	return strings.TrimSuffix(b, "\r\n")
}

// The payloads are those of Redis 7.4: small hashes as a listpack with the fields that expire first in front, large ones with deadlines
// that count from the earliest.
func TestHashExpireDump(t *testing.T) {
	body := func(payload string) string { return payload[:len(payload)-8] }
	m := newMachine(t)
	script(t, m, [][2]string{{"hset h a 1 b x c 3", ":3"}, {"hpexpireat h 1700000000300 FIELDS 1 c", "*1 :1"},
		{"hpexpireat h 1700000000200 FIELDS 1 b", "*1 :1"}}...)
	at := func(low string) string { return "\xf4" + low + "\x68\xe5\xcf\x8b\x01\x00\x00\x09" }
	require.Equal(t, "\x19\xc8\x68\xe5\xcf\x8b\x01\x00\x00"+"\x2d\x2d\x00\x00\x00\x09\x00"+
		"\x81b\x02\x81x\x02"+at("\xc8")+"\x81c\x02\x03\x01"+"\xf4\x2c\x69\xe5\xcf\x8b\x01\x00\x00\x09"+"\x81a\x02\x01\x01\x00\x01\xff"+"\x0c\x00",
		body(dumped(t, m, "h")))
	script(t, m, [][2]string{{"hpersist h FIELDS 2 b c", "*2 :1 :1"}}...)
	require.Equal(t, "\x19\x00\x00\x00\x00\x00\x00\x00\x00"+"\x1d\x1d\x00\x00\x00\x09\x00"+
		"\x81a\x02\x01\x01\x00\x01\x81b\x02\x81x\x02\x00\x01\x81c\x02\x03\x01\x00\x01\xff"+"\x0c\x00", body(dumped(t, m, "h")))
	m.do("hset", "l", "a", "1", "b", "x", "c", "3", "d", far)
	script(t, m, [][2]string{{"hdel l d", ":1"}, {"hpexpireat l 1700000000200 FIELDS 1 b", "*1 :1"}, {"hpexpireat l 1700000000300 FIELDS 1 c", "*1 :1"}}...)
	require.Equal(t, "\x18\xc8\x68\xe5\xcf\x8b\x01\x00\x00\x03"+"\x00\x01a\xc0\x01"+"\x01\x01b\x01x"+"\x40\x65\x01c\xc0\x03"+"\x0c\x00", body(dumped(t, m, "l")))
	script(t, m, [][2]string{{"hpersist l FIELDS 2 b c", "*2 :1 :1"}}...)
	require.Equal(t, "\x04\x03\x01a\xc0\x01\x01b\x01x\x01c\xc0\x03\x0a\x00", body(dumped(t, m, "l")), "as older servers")
}

func TestHashExpireRestore(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		script(t, m, [][2]string{{"hpexpire h 10 FIELDS 2 a d", "*2 :1 :1"}, {"hpexpire h 20 FIELDS 1 b", "*1 :1"}}...)
		b := dumped(t, m, "h")
		require.Equal(t, "+OK\r\n", m.do("restore", "g", "0", b))
		script(t, m, [][2]string{{"hpttl g FIELDS 5 a b c d e", "*5 :10 :20 :-1 :10 :-1"}, {"object encoding g", "$10 listpackex"}}...)
		require.Equal(t, m.do("debug", "digest-value", "h"), m.do("debug", "digest-value", "g"))
		m.now += 15
		require.Equal(t, "+OK\r\n", m.do("restore", "late", "0", b))
		script(t, m, [][2]string{{"hget late a", "$-1"}, {"hget late b", "$1 2"}, {"hlen late", ":5"}}...)
		require.Equal(t, ":6\r\n", m.sweep(100))
		script(t, m, [][2]string{{"hlen late", ":3"}}...)
	})
}

// Deadlines are in the digest as in Redis: that there is one.
func TestHashExpireDigest(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		digest := func() string { return m.line("debug digest-value h") }
		none := digest()
		m.do("hexpire", "h", "10", "FIELDS", "1", "a")
		first := digest()
		require.NotEqual(t, none, first)
		m.do("hexpire", "h", "20", "FIELDS", "1", "a")
		require.Equal(t, first, digest())
		m.do("hpersist", "h", "FIELDS", "1", "a")
		require.Equal(t, none, digest())
	})
}

// What a deadline takes is accounted, and given back; a hash without any takes no more than before.
func TestHashExpireMemory(t *testing.T) {
	m := newMachine(t)
	for i := range 200 {
		m.do("hset", "h", fmt.Sprint(i), "v")
	}
	before := m.s.MemoryUsed()
	for i := range 200 {
		m.do("hexpire", "h", "100", "FIELDS", "1", fmt.Sprint(i))
	}
	require.Equal(t, before+hashTimedCost+200*timeCost, m.s.MemoryUsed())
	require.EqualValues(t, 1, m.s.FieldExpires(0))
	for i := range 200 {
		m.do("hpersist", "h", "FIELDS", "1", fmt.Sprint(i))
	}
	require.Equal(t, before+hashTimedCost, m.s.MemoryUsed())
	require.EqualValues(t, 0, m.s.FieldExpires(0))
	require.NoError(t, m.s.Check())
}

// Records that are moved together take their places in the order of the fields' deadlines along.
func TestHashExpireCompaction(t *testing.T) {
	m := newMachine(t)
	key := func(i int) string { return fmt.Sprintf("hash:%08d", i) }
	for i := range 20_000 {
		m.do("hset", key(i), "f", "v", "g", "w")
		m.do("hpexpire", key(i), fmt.Sprint(100+i%700), "FIELDS", "1", "f")
	}
	for i := range 20_000 {
		if i%20 != 0 {
			m.do("del", key(i))
		}
	}
	m.s.Purge()
	settled(t, m.s)
	require.NotZero(t, m.s.Moves().Done)
	require.NoError(t, m.s.Check())
	m.now += 1000
	require.Equal(t, ":1000\r\n", m.sweep(5000))
	require.NoError(t, m.s.Check())
	require.Zero(t, m.s.NextDeadline())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// A snapshot of a version that knew no deadlines holds none; the values are otherwise what they were.
func TestHashExpireOldSnapshot(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{{"hset h a 1 b 2", ":2"}}...)
	b := payload(t, m.s)
	b[len(snapshotMagic)] = snapshotVersion - 1
	s := NewStore()
	require.NoError(t, s.Restore(bytes.NewReader(b)))
	require.Equal(t, stateHash(m.s), stateHash(s))
	script(t, m, [][2]string{{"hexpire h 10 FIELDS 1 a", "*1 :1"}}...)
	b = payload(t, m.s)
	require.NoError(t, NewStore().Restore(bytes.NewReader(b)))
	b[len(snapshotMagic)] = snapshotVersion - 1
	require.ErrorContains(t, NewStore().Restore(bytes.NewReader(b)), "unknown type")
}

// Deadlines that no hash can have are refused.
func TestHashExpireDecode(t *testing.T) {
	fields := []byte("\x02\x01a\x01v\x01b\x01v")
	for _, c := range []struct {
		times string
		ok    bool
	}{
		{"", true}, {"\x01\x05\x00", true}, {"\x02\x05\x01\x05\x02", false}, {"\x02\x05\x00\x05\x01", true}, {"\x02\x05\x01\x05\x00", false},
		{"\x02\x06\x00\x05\x01", false}, {"\x02\x05\x00\x06\x00", false}, {"\x00", false}, {"\x01\x00\x00", false}, {"\x01\x05", false},
		{"\x03\x05\x00\x05\x01\x06\x00", false}, {"\x01\xff\xff\xff\xff\xff\xff\x3f\x00", true}, {"\x01\x80\x80\x80\x80\x80\x80\x40\x00", false},
		{"\x01\x05\x00\x00", false},
	} {
		o, err := decodeHash(append(fields[:len(fields):len(fields)], c.times...))
		require.Equal(t, c.ok, err == nil, "%q", c.times)
		if err == nil {
			require.Equal(t, string(fields)+c.times, string(o.appendTo(nil)))
		}
	}
}

// Views are read while deadlines change, few and many, and show what there was.
func TestHashExpireUnderViews(t *testing.T) {
	m := newMachine(t)
	for i := range 2 * fewTimes {
		m.do("hset", "small", fmt.Sprint(i%20), "v")
		m.do("hset", "large", fmt.Sprint(i), far)
		m.do("hpexpire", "small", "50", "FIELDS", "1", fmt.Sprint(i%20))
		m.do("hpexpire", "large", "50", "FIELDS", "1", fmt.Sprint(i))
	}
	for round := range 20 {
		want := payload(t, m.s)
		v, got := m.s.Freeze(), make(chan []byte)
		go func() {
			var b bytes.Buffer
			_, _ = v.WriteTo(&b)
			got <- b.Bytes()
		}()
		for i := range 40 {
			m.do("hpexpire", "large", fmt.Sprint(60+i), "FIELDS", "1", fmt.Sprint(3*i))
			m.do("hpexpire", "small", fmt.Sprint(60+i), "FIELDS", "1", fmt.Sprint(i%20))
			m.do("hpersist", "large", "FIELDS", "1", fmt.Sprint(2*i))
			m.do("hset", "large", fmt.Sprint(5*i), far)
		}
		m.do("copy", "large", "copy", "replace")
		m.do("hpexpire", "copy", fmt.Sprint(round), "FIELDS", "1", "1")
		m.do("expire", "small", "1000")
		require.Equal(t, want, <-got)
		v.Close()
	}
	m.now += 200
	m.sweep(1000)
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// Damage of a payload that the checksum does not show leads to an error or to a sound hash.
func TestHashExpireRestoreDamaged(t *testing.T) {
	eachHash(t, func(t *testing.T, m *machine) {
		m.do("hpexpire", "h", "10", "FIELDS", "2", "a", "c")
		m.do("hpexpire", "h", "300000", "FIELDS", "1", "d")
		body := dumped(t, m, "h")
		body = body[:len(body)-8]
		rnd, taken := rand.New(rand.NewSource(4)), 0
		for range 2000 {
			b := []byte(body)
			b[rnd.Intn(len(b)-2)] = byte(rnd.Intn(256))
			if m.do("restore", "g", "0", string(binary.LittleEndian.AppendUint64(b, bitwiseCRC(b))), "replace") == "+OK\r\n" {
				taken++
				require.NoError(t, m.s.Check())
			}
		}
		require.Greater(t, taken, 50)
		m.now += 100
		m.sweep(100)
	})
}
