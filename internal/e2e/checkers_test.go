package e2e

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The checkers of these tests are tested themselves: one that accepts everything would prove nothing.

func incr(call, ret, value int64) op { return op{write: true, call: call, ret: ret, value: value} }
func lostIncr(call int64) op         { return op{write: true, call: call, unknown: true} }
func get(call, ret, value int64) op  { return op{call: call, ret: ret, value: value} }
func set(call, ret, value int64) op  { return op{write: true, call: call, ret: ret, value: value} }
func lostSet(call, value int64) op {
	return op{write: true, call: call, value: value, unknown: true}
}

func TestCounterChecker(t *testing.T) {
	for _, x := range []struct {
		name  string
		ops   []op
		final int64
		err   string
	}{
		{"in order", []op{incr(1, 2, 1), get(3, 4, 1), incr(5, 6, 2)}, 2, ""},
		{"overlapping, the other way round", []op{incr(1, 5, 2), incr(2, 6, 1)}, 2, ""},
		{"lost one fills a gap", []op{lostIncr(1), incr(3, 4, 2)}, 2, ""},
		{"lost one never happened", []op{lostIncr(1), incr(3, 4, 1)}, 1, ""},
		{"lost one happens late", []op{lostIncr(1), incr(3, 4, 1), get(5, 6, 1), get(7, 8, 2)}, 2, ""},
		{"two lost, one happened", []op{lostIncr(1), lostIncr(2), incr(3, 4, 2)}, 2, ""},
		{"read of what is being written", []op{incr(1, 9, 1), get(2, 3, 0), get(4, 5, 1)}, 1, ""},
		{"acknowledged one is gone", []op{incr(1, 2, 1), incr(3, 4, 1)}, 1, "two INCRs were answered 1"},
		{"acknowledged one is missing at the end", []op{incr(1, 2, 1), incr(3, 4, 2), get(5, 6, 1)}, 2, "not linearizable"},
		{"executed twice", []op{incr(1, 2, 1), incr(3, 4, 3)}, 3, "nobody can have made the value 2"},
		{"stale read", []op{incr(1, 2, 1), get(3, 4, 0)}, 1, "not linearizable"},
		{"order of time broken", []op{incr(1, 2, 2), incr(3, 4, 1)}, 2, "not linearizable"},
		{"lost one called too late for the gap", []op{incr(1, 2, 2), lostIncr(3)}, 2, "not linearizable"},
		{"reads go back", []op{incr(1, 9, 1), get(2, 3, 1), get(4, 5, 0)}, 1, "not linearizable"},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := checkCounter(x.ops, x.final)
			if x.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, x.err)
			}
		})
	}
}

func TestRegisterChecker(t *testing.T) {
	for _, x := range []struct {
		name string
		ops  []op
		bad  bool
	}{
		{"in order", []op{get(1, 2, 0), set(3, 4, 7), get(5, 6, 7)}, false},
		{"lost and read later", []op{lostSet(1, 7), set(2, 3, 8), get(4, 5, 8), get(6, 7, 7)}, false},
		{"lost and never read", []op{lostSet(1, 7), set(2, 3, 8), get(4, 5, 8)}, false},
		{"lost, read, and gone", []op{lostSet(1, 7), set(2, 3, 8), get(4, 5, 7), get(6, 7, 8)}, true},
		{"acknowledged and gone", []op{set(1, 2, 7), get(3, 4, 0)}, true},
		{"stale read", []op{set(1, 2, 7), set(3, 4, 8), get(5, 6, 7)}, true},
		{"nobody wrote it", []op{set(1, 2, 7), get(3, 4, 9)}, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.bad {
				require.ErrorContains(t, checkRegisters(x.ops), "not linearizable")
			} else {
				require.NoError(t, checkRegisters(x.ops))
			}
		})
	}
}

// Histories of a real counter are accepted, with any INCRs' answers lost; changing one told value is noticed.
func TestCounterCheckerOnRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var ops []op
		var told []int
		value := int64(0)
		for at := int64(10); at < 2000; at += 10 { // each takes effect at its own time, clients' intervals overlap
			call, ret := at-rng.Int64N(50), at+rng.Int64N(50)
			switch rng.IntN(5) {
			case 0:
				ops = append(ops, get(call, ret, value))
			case 1:
				ops = append(ops, lostIncr(call))
				if rng.IntN(2) == 0 {
					value++
				}
			default:
				value++
				told = append(told, len(ops))
				ops = append(ops, incr(call, ret, value))
			}
		}
		if err := checkCounter(ops, value); err != nil {
			t.Fatal(err)
		}
		ops = append(ops, get(3000, 3001, value))
		ops[told[rng.IntN(len(told))]].value = value + 1
		if checkCounter(ops, value+1) == nil {
			t.Fatal("a value after the last read was told before it")
		}
	})
}

// A history in which all of twenty clients' operations overlap, as on a machine that is much too slow, is decided.
func TestCounterCheckerOnSlowHistories(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, share := range []int{2, 4, 20} { // one in so many is a GET
		var ops []op
		value, free := int64(0), make([]int64, 20) // when a client may call again
		for at := int64(10_000); len(ops) < 8000; at += 10 {
			id := rng.IntN(len(free))
			if free[id] > at {
				continue
			}
			call, ret := free[id], at+rng.Int64N(2000)
			free[id] = ret + 1
			switch {
			case rng.IntN(share) == 0:
				ops = append(ops, get(call, ret, value))
			case rng.IntN(40) == 0:
				ops, value = append(ops, lostIncr(call)), value+1
			default:
				value++
				ops = append(ops, incr(call, ret, value))
			}
		}
		require.NoError(t, checkCounter(ops, value))
	}
}

func TestJudge(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, x := range []struct {
		err  error
		want verdict
	}{
		{nil, done}, {redis.Nil, done}, {dial, never}, {io.EOF, unknown}, {os.ErrDeadlineExceeded, unknown},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, unknown},
		{reply("MOVED 1 127.0.0.1:1"), never}, {reply("TRYAGAIN x"), never}, {reply("LOADING x"), never},
		{reply("CLUSTERDOWN x"), never}, {reply("UNCERTAIN x"), unknown}, {reply("ERR x"), wrong}, {errors.New("x"), wrong},
	} {
		require.Equal(t, x.want, judge(x.err), "%v", x.err)
	}
}

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}
