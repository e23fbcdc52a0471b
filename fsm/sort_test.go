package fsm

import (
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSortReplies(t *testing.T) {
	const (
		wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
		score = "-ERR One or more scores can't be converted into double"
	)
	runReplies(t, []replyCase{
		{"RPUSH l 10 9 1 100 1", ":5", ""},
		{"SORT l", "*5 $1 1 $1 1 $1 9 $2 10 $3 100", ""},
		{"SORT l DESC", "*5 $3 100 $2 10 $1 9 $1 1 $1 1", ""},
		{"SORT l DESC ASC LIMIT 0 2", "*2 $1 1 $1 1", ""},
		{"SORT l alpha", "*5 $1 1 $1 1 $2 10 $3 100 $1 9", ""},
		{"SORT l ALPHA DESC LIMIT 1 2", "*2 $3 100 $2 10", ""},
		{"SORT l LIMIT -5 2", "*2 $1 1 $1 1", ""},
		{"SORT l LIMIT 4 9", "*1 $3 100", ""},
		{"SORT l LIMIT 5 1", "*0", ""},
		{"SORT l LIMIT 1 0", "*0", ""},
		{"SORT l LIMIT 3 -7", "*2 $2 10 $3 100", ""},
		{"SORT l LIMIT x 1", "-ERR value is not an integer or out of range", ""},
		{"SORT l LIMIT 1 x", "-ERR value is not an integer or out of range", ""},
		{"SORT l LIMIT 1", "-ERR syntax error", ""},
		{"SORT l BY", "-ERR syntax error", ""},
		{"SORT l x", "-ERR syntax error", ""},
		{"SORT_RO l STORE d", "-ERR syntax error", ""},
		{"SORT l BY nosort", "*5 $2 10 $1 9 $1 1 $3 100 $1 1", ""},
		{"SORT l BY nosort DESC LIMIT 1 2", "*2 $3 100 $1 1", ""},
		{"SORT l BY # LIMIT 0 2", "*2 $2 10 $1 9", ""},
		{"MSET w_1 3 w_9 2 w_10 1 w_100 x", "+OK", ""},
		{"SORT l BY w_*", score, ""},
		{"SET w_100 -4.5", "+OK", ""},
		{"SORT l BY w_*", "*5 $3 100 $2 10 $1 9 $1 1 $1 1", ""},
		{"DEL w_9", ":1", ""},
		{"SORT l BY w_* GET # GET w_* GET nothing LIMIT 0 3", "*9 $3 100 $4 -4.5 $-1 $1 9 $-1 $-1 $2 10 $1 1 $-1", "*9 $3 100 $4 -4.5 _ $1 9 _ _ $2 10 $1 1 _"},
		{"SORT l BY w_* ALPHA", "*5 $1 9 $3 100 $2 10 $1 1 $1 1", ""},
		{"SORT l BY w_* ALPHA DESC", "*5 $1 1 $1 1 $2 10 $3 100 $1 9", ""},
		{"HSET h9 w 5 n nine", ":2", ""},
		{"HSET h10 w 6", ":1", ""},
		{"SORT_RO l BY h*->w GET h*->n GET h*-> DESC LIMIT 0 2", "*4 $-1 $-1 $4 nine $-1", "*4 _ _ $4 nine _"},
		{"SORT l BY h* GET h* LIMIT 0 1", "*1 $-1", "*1 _"}, // hashes are no strings
		{"SORT l BY w_* GET w_* STORE d", ":5", ""},
		{"LRANGE d 0 -1", "*5 $4 -4.5 $0  $1 1 $1 3 $1 3", ""},
		{"EXPIRE d 100", ":1", ""},
		{"SORT l STORE d", ":5", ""},
		{"TTL d", ":-1", ""},
		{"SORT none STORE d", ":0", ""},
		{"EXISTS d", ":0", ""},
		{"SORT none", "*0", ""},
		{"SORT l STORE l", ":5", ""},
		{"LRANGE l 0 -1", "*5 $1 1 $1 1 $1 9 $2 10 $3 100", ""},
		{"SADD s c a b", ":3", ""},
		{"SORT s", score, ""},
		{"SORT s STORE d", score, ""},
		{"EXISTS d", ":0", ""},
		{"SORT s ALPHA", "*3 $1 a $1 b $1 c", ""},
		{"SORT s BY nosort DESC STORE d", ":3", ""},
		{"LRANGE d 0 -1", "*3 $1 c $1 b $1 a", ""},
		{"ZADD z 3 1 2 2 1 3", ":3", ""},
		{"SORT z", "*3 $1 1 $1 2 $1 3", ""},
		{"SORT z BY nosort", "*3 $1 3 $1 2 $1 1", ""},
		{"SORT z BY nosort DESC LIMIT 0 1", "*1 $1 1", ""},
		{"SORT z BY nosort LIMIT 1 5", "*2 $1 2 $1 1", ""},
		{"SORT z BY nosort DESC LIMIT 1 5", "*2 $1 2 $1 3", ""},
		{"RPUSH odd 0x10 5 inf -inf", ":4", ""},
		{"SORT odd", "*4 $4 -inf $1 5 $4 0x10 $3 inf", ""},
		{"RPUSH odd nan", ":5", ""},
		{"SORT odd", score, ""},
		{"RPUSH tiny 1e-320", ":1", ""},
		{"SORT tiny", score, ""},
		{"SET str x", "+OK", ""},
		{"SORT str", wrong, ""},
		{"SORT str x", "-ERR syntax error", ""},
		{"SORT_RO h9", wrong, ""},
	})
}

// A large list, a set and a sorted set come in the order of their numbers, and are stored as what they are.
func TestSortLarge(t *testing.T) {
	m := newMachine(t)
	rnd := rand.New(rand.NewSource(4))
	var want []int
	list, set, zset := []string{"RPUSH", "l"}, []string{"SADD", "s"}, []string{"ZADD", "z"}
	for _, n := range rnd.Perm(5000) {
		want = append(want, n-2500)
		s := strconv.Itoa(n - 2500)
		list, set, zset = append(list, s), append(set, s), append(zset, strconv.Itoa(n%7), s)
	}
	slices.Sort(want)
	texts := []string{fmt.Sprintf("*%d", len(want))}
	for _, n := range want {
		s := strconv.Itoa(n)
		texts = append(texts, "$"+strconv.Itoa(len(s)), s)
	}
	all := strings.Join(texts, " ")
	for _, cmd := range [][]string{list, set, zset} {
		m.do(cmd...)
		require.Equal(t, all, m.line("SORT "+cmd[1]))
		require.Equal(t, ":5000", m.line("SORT "+cmd[1]+" STORE d"))
		require.Equal(t, all, m.line("LRANGE d 0 -1"))
		require.Equal(t, "$9 quicklist", m.line("OBJECT ENCODING d"))
		require.Equal(t, ":3", m.line("SORT "+cmd[1]+" LIMIT 0 3 STORE few"))
		require.Equal(t, "$8 listpack", m.line("OBJECT ENCODING few"))
		require.Equal(t, "*1 $5 -2500", m.line("SORT_RO "+cmd[1]+" LIMIT 0 1"))
		require.Equal(t, "*2 $4 2499 $4 2498", m.line("SORT_RO "+cmd[1]+" DESC LIMIT 0 2"))
	}
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// With a pattern SORT holds the locks of all shards, without one only those of its keys, alone or in a transaction.
func TestSortLocks(t *testing.T) {
	s := NewStore()
	for _, c := range []struct {
		cmd  string
		wide bool
	}{{"SORT k", false}, {"SORT k BY nosort GET #", false}, {"SORT k BY w*", true}, {"SORT_RO k GET w*->f", true}, {"SORT k STORE d", false}, {"SORT_RO k LIMIT 0 1", false}} {
		cmd := command(t, 0, strings.Fields(c.cmd)...)
		txn := &Transaction{Cmds: []Command{cmd}}
		for _, txn := range []*Transaction{nil, txn} {
			var tx Tx
			tx.begin(s, 0, 0, 0)
			tx.txn = txn
			spec := cmd.Spec
			if txn != nil {
				spec = execReadSpec
			}
			tx.lock(spec, cmd.Args)
			require.Equal(t, c.wide, tx.locked == allShards, c.cmd)
			require.Nil(t, tx.single)
			tx.unlock()
		}
	}
}
