//go:build oracle

package fsm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOracleEncodings plays the histories on redis-server 7.0, which has no packed lists and sets: its quicklist and
// hashtable stand for them.
func TestOracleEncodings(t *testing.T) {
	o, m := startRedis(t), newMachine(t)
	for i := range formCases {
		c := &formCases[i]
		o.do("flushall")
		for _, cmd := range c.cmds {
			o.do(cmd...)
		}
		want := o.ask("object", "encoding", "k").(string)
		switch kind := o.do("type", "k"); {
		case kind == "+list\r\n":
			require.Equal(t, "quicklist", want, c)
		case kind == "+set\r\n" && c.want == "listpack":
			require.Equal(t, "hashtable", want, c)
		default:
			require.Equal(t, c.want, want, c)
		}
	}
	for n := -3; n < 20003; n += 1 + n%7*n%7 {
		v := strconv.Itoa(n)
		o.do("set", "k", v)
		m.do("set", "k", v)
		require.Equal(t, o.do("object", "refcount", "k"), m.do("object", "refcount", "k"), v)
	}
}

// TestOraclePackedLen compares the packed size of one element with that of redis-server, which tells the size of a list of
// one node.
func TestOraclePackedLen(t *testing.T) {
	o := startRedis(t)
	size := regexp.MustCompile(`ql_uncompressed_size:(\d+)`)
	elems := []string{"", "a", "-", "01", "-0", "9223372036854775807", "-9223372036854775808", "9223372036854775808"}
	for bits := range 63 {
		for _, d := range []int64{-1, 0, 1} {
			elems = append(elems, fmt.Sprint(int64(1)<<bits+d), fmt.Sprint(-(int64(1)<<bits)+d))
		}
	}
	for _, n := range []int{62, 63, 64, 65, 123, 124, 125, 126, 127, 128, 4093, 4094, 4095, 4096, 4097, 8000} {
		elems = append(elems, sized(n))
	}
	for _, e := range elems {
		o.do("del", "k")
		o.do("rpush", "k", e)
		found := size.FindStringSubmatch(o.ask("debug", "object", "k").(string))
		require.Equal(t, found[1], fmt.Sprint(listpackFrame+packedLen([]byte(e))), "%.30q", strings.ToValidUTF8(e, "?"))
	}
}
