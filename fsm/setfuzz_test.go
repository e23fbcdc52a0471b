package fsm

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// skipValue reads one RESP value.
func skipValue(r *bufio.Reader) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$':
		if n >= 0 {
			_, err = io.CopyN(io.Discard, r, int64(n)+2)
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~':
		for ; n > 0 && err == nil; n-- {
			err = skipValue(r)
		}
	}
	return err
}

// FuzzCollectionCommands runs lines of words: whatever they are, every command answers exactly one value, empty
// collections are gone and the keyspace stays whole.
func FuzzCollectionCommands(f *testing.F) {
	f.Add("LPUSH a 1 2 3\nLMOVE a a LEFT RIGHT\nLREM a -1 2\nLPOS a 1 RANK -1", true)
	f.Add("SADD s a b\nSPOP s 3\nSADD s x\nSMOVE s s x\nSRANDMEMBER s -9", false)
	f.Add("HSET h a 1\nHINCRBYFLOAT h a 1e400\nHSCAN h 0 MATCH [", true)
	f.Add("ZADD z NX CH 0x1p3 a\nZRANGE z (1 +inf BYSCORE LIMIT 0 -1 REV\nZUNIONSTORE z 2 z z WEIGHTS 1 inf", false)
	f.Fuzz(func(t *testing.T, script string, resp3 bool) {
		b := newBench()
		b.out.resp3 = resp3
		for _, line := range strings.Split(script, "\n") {
			words := strings.Fields(line)
			if len(words) == 0 || strings.Contains(strings.ToUpper(words[0]), "RAND") && len(line) > 30 {
				continue // a count of millions is legal, but takes long
			}
			reply := []byte(b.do(words...))
			r := bufio.NewReader(bytes.NewReader(reply))
			require.NoError(t, skipValue(r), "%q: %q", line, reply)
			_, err := r.ReadByte()
			require.ErrorIs(t, err, io.EOF, "%q: %q", line, reply)
			require.NoError(t, b.s.Check())
		}
		for _, key := range strings.Fields(script) {
			for _, card := range []string{"LLEN", "SCARD", "HLEN", "ZCARD"} {
				require.False(t, b.do(card, key) == ":0\r\n" && b.do("EXISTS", key) == ":1\r\n", key)
			}
		}
	})
}
