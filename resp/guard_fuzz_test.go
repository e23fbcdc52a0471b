package resp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/redcon"

	"kvapp/internal/race"
)

// cutConn is a socket whose input comes in given pieces, one per Read, and then ends.
type cutConn struct {
	net.Conn
	pieces [][]byte
	mu     sync.Mutex
	out    bytes.Buffer
	closed chan struct{}
}

func (c *cutConn) Read(p []byte) (int, error) {
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	return c.more(p), nil
}

func (c *cutConn) more(p []byte) int {
	if len(c.pieces) == 0 {
		return 0
	}
	n := copy(p, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	return n
}

func (c *cutConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *cutConn) Close() error                     { close(c.closed); return nil }
func (c *cutConn) SetReadDeadline(time.Time) error  { return nil }
func (c *cutConn) SetWriteDeadline(time.Time) error { return nil }
func (c *cutConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// watched notes how much redcon asks for.
type watched struct {
	*Conn
	most int
}

func (w *watched) Read(p []byte) (int, error) {
	w.most = max(w.most, cap(p))
	return w.Conn.Read(p)
}

var fuzzLimits = Limits{MaxBulk: 1 << 20, MaxInline: 64 << 10, WriteTimeout: time.Minute}

// through reads pieces with redcon behind the guard, as the server does. AUTH and RESET work when there is a password.
func through(t testing.TB, pieces [][]byte, pass bool) (cmds []string, out string) {
	t.Helper()
	lim := fuzzLimits
	lim.Password = pass
	ln := NewListener(nil, func() *Limits { return &lim }, discard)
	nc := &cutConn{pieces: pieces, closed: make(chan struct{})}
	w := &watched{Conn: newGuarded(ln, nc, 1)}
	w.more = nc.more
	rd := redcon.NewReader(w)
	for {
		batch, err := rd.ReadCommands()
		if err != nil {
			break
		}
		first, rest := w.Commands(batch[0], batch[1:])
		for _, c := range append([]redcon.Command{first}, rest...) {
			require.Equal(t, string(c.Raw), cmd(textOf(c.Args)...), "Raw is the command in canonical RESP")
			cmds = append(cmds, strings.Join(textOf(c.Args), "|"))
			w.Authenticated(authAfter(w.authed.Load(), textOf(c.Args)))
		}
	}
	require.LessOrEqual(t, w.most, 8192, "redcon's buffer grew")
	<-nc.closed
	return cmds, nc.out.String()
}

func textOf(args [][]byte) []string {
	var all []string
	for _, a := range args {
		all = append(all, string(a))
	}
	return all
}

// authAfter is what a command does to the state of a client, as far as the tests need it.
func authAfter(authed bool, args []string) bool {
	switch strings.ToLower(args[0]) {
	case "auth":
		return true
	case "reset":
		return authed && len(args) > 1
	}
	return authed
}

// twin parses the whole input at once by the rules of redis-server's networking code.
func twin(in string, pass bool) (cmds []string, fault string) {
	authed := false
	for in != "" {
		var args []string
		var n int
		if in[0] == '*' {
			args, n, fault = twinArray(in, pass && !authed)
		} else {
			args, n, fault = twinInline(in)
		}
		if fault != "" {
			return cmds, "-ERR Protocol error: " + fault + "\r\n"
		}
		if n == 0 {
			return cmds, ""
		}
		in = in[n:]
		if len(args) > 0 {
			cmds = append(cmds, strings.Join(args, "|"))
			authed = authAfter(authed, args)
		}
	}
	return cmds, ""
}

// twinLine finds the end of a line in C's manner: nothing is found behind a NUL.
func twinLine(in string, end byte, what string) (line string, found bool, fault string) {
	seen, _, _ := strings.Cut(in, "\x00")
	line, _, found = strings.Cut(seen, string(end))
	if found && len(line) > 64<<10 || !found && len(in) > 64<<10 {
		return "", false, "too big " + what
	}
	return line, found, ""
}

func twinInline(in string) (args []string, n int, fault string) {
	line, found, _ := twinLine(in, '\n', "")
	if !found {
		line, _, found = strings.Cut(in, "\n")
		nul := strings.IndexByte(in, 0)
		found = found && (nul < 0 || nul > len(line))
		if !found {
			line = in
		}
	}
	if len(strings.TrimSuffix(line, "\r")) > 64<<10 {
		return nil, 0, "too big inline request"
	}
	if !found {
		return nil, 0, ""
	}
	args, ok := twinSplit(strings.TrimSuffix(line, "\r"))
	if !ok {
		return nil, 0, "unbalanced quotes in request"
	}
	return args, len(line) + 1, ""
}

// twinNumber reads what Redis' string2ll reads.
func twinNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

func twinArray(in string, stranger bool) (args []string, n int, fault string) {
	line, found, fault := twinLine(in, '\r', "mbulk count string")
	if !found || len(line)+2 > len(in) {
		return nil, 0, fault
	}
	count, ok := twinNumber(line[1:])
	switch {
	case !ok || count > 1<<31-1:
		return nil, 0, "invalid multibulk length"
	case count > 10 && stranger:
		return nil, 0, "unauthenticated multibulk length"
	}
	n = len(line) + 2
	for ; count > 0; count-- {
		line, found, fault := twinLine(in[n:], '\r', "bulk count string")
		if !found || n+len(line)+2 > len(in) {
			return nil, 0, fault
		}
		if line == "" || line[0] != '$' {
			got := in[n]
			if got == '\r' || got == '\n' {
				got = ' '
			}
			return nil, 0, "expected '$', got '" + string([]byte{got}) + "'"
		}
		size, ok := twinNumber(line[1:])
		switch {
		case !ok || size < 0 || size > fuzzLimits.MaxBulk:
			return nil, 0, "invalid bulk length"
		case size > 16384 && stranger:
			return nil, 0, "unauthenticated bulk length"
		}
		n += len(line) + 2
		if int64(len(in)-n) < size+2 {
			return nil, 0, ""
		}
		args = append(args, in[n:n+int(size)])
		n += int(size) + 2
	}
	return args, n, ""
}

// twinSplit is the splitter of inline requests as a machine with three states.
func twinSplit(line string) (args []string, ok bool) {
	at := func(i int) byte { // as in C, a NUL stands behind the end
		if i < len(line) {
			return line[i]
		}
		return 0
	}
	space := func(c byte) bool { return strings.IndexByte(" \t\n\v\f\r", c) >= 0 }
	for i := 0; ; {
		for space(at(i)) {
			i++
		}
		if i >= len(line) {
			return args, true
		}
		var word []byte
		quote := byte(0)
		for done := false; !done; i++ {
			c := at(i)
			switch {
			case i >= len(line) && quote != 0:
				return nil, false
			case i >= len(line), quote == 0 && strings.IndexByte(" \t\n\r", c) >= 0:
				done = true
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				if i+1 < len(line) && !space(at(i+1)) {
					return nil, false
				}
				done = true
			case quote == '\'' && c == '\\' && at(i+1) == '\'':
				word = append(word, '\'')
				i++
			case quote == '"' && c == '\\' && i+1 < len(line):
				b, err := strconv.ParseUint(line[min(i+2, len(line)):min(i+4, len(line))], 16, 8)
				if at(i+1) == 'x' && i+3 < len(line) && err == nil && at(i+2) != '+' {
					word = append(word, byte(b))
					i += 3
					break
				}
				i++
				if k := strings.IndexByte("nrtba", at(i)); k >= 0 {
					word = append(word, "\n\r\t\b\a"[k])
				} else {
					word = append(word, at(i))
				}
			default:
				word = append(word, c)
			}
		}
		args = append(args, string(word))
	}
}

// sameAsTwin cuts in at random and compares.
func sameAsTwin(t testing.TB, in []byte, seed uint64, pass bool) {
	t.Helper()
	wantCmds, wantOut := twin(string(in), pass)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, most := range []int{len(in) + 1, len(in)/3 + 1, min(len(in), 9000)/2 + 1, 7} {
		if most == 7 && len(in) > 20000 {
			continue
		}
		pieces := cutAt(rng, bytes.Clone(in), most)
		if most > len(in) {
			pieces = [][]byte{bytes.Clone(in)}
		}
		cmds, out := through(t, pieces, pass)
		if strings.Join(cmds, "\n") != strings.Join(wantCmds, "\n") || len(cmds) != len(wantCmds) || out != wantOut {
			t.Fatalf("input %.300q..., pieces of at most %d, password %v\nwant %.300q %q\n got %.300q %q", in, most, pass, wantCmds, wantOut, cmds, out)
		}
	}
}

// fragments are what random input is made of.
func fragments() []string {
	spaced := func(n int) []string { return strings.Split(strings.Repeat("k ", n), " ") }
	return []string{
		"*", "$", "\r\n", "\n", "\r", "\x00", "1", "0", "-1", "\"", "'", " ", "*1\r\n", "*3\r\n", "$4\r\n", "$0\r\n", "$-1\r\n",
		"$9223372036854775807\r\n", "*2147483648\r\n", "$1048577\r\n", "$16385\r\n", "*11\r\n", "*2000000\r\n", "*1\n", "*1\rX", "$4\rY",
		"ECHO 'x\r\n", strings.Repeat("1", 66000), strings.Repeat(" ", 65536),
		"PING\r\n", "*0\r\n", "*-1\r\n", "RESET\r\n", "AUTH secret\r\n", "\r\n\r\n\n", "ECHO \"a b\" 'c' \\x41\n", "ECHO \"\\x41\\n\"\r\n",
		cmd("RESET"), cmd("reset", "x"), cmd("AUTH", "secret"), cmd("PING"), cmd("PING"), cmd("PING"), cmd("SET", "key", "value"),
		cmd("ECHO", ""), cmd("ECHO", "a\r\nb\x00"), "*1\r\n$4\r\nPINGxx", "*2\r\n$1\r\nE\x00\x00$2\r\nab\n\r",
		cmd("A", strings.Repeat("x", 3000)), cmd("B", strings.Repeat("y", 5000)), cmd("C", strings.Repeat("z", 20000), "w"),
		cmd("C", strings.Repeat("z", 70000)), strings.Repeat("k ", 3000) + "\n", cmd(spaced(3000)...), strings.Repeat("*0\r\n", 2000),
		strings.Repeat(cmd("PING"), 700), strings.Repeat("PING\n", 1500),
	}
}

// badFragments is how many of them, at the beginning, are no whole good commands.
const badFragments = 29

// Random sequences of good and bad fragments, in random pieces, give the commands and the error that the twin finds.
func TestGuardReadsLikeItsTwin(t *testing.T) {
	parts := fragments()
	for seed := range uint64(race.Share(200)) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var in []byte
		for range 1 + rng.IntN(12) {
			part := parts[rng.IntN(len(parts))]
			if rng.IntN(3) > 0 { // mostly good commands, or nothing behind the first bad one is ever reached
				part = parts[badFragments+rng.IntN(len(parts)-badFragments)]
			}
			in = append(in, part...)
		}
		sameAsTwin(t, in, seed, seed%3 == 0)
	}
}

// Lengths around the limits, one byte at a time.
func TestLineLimits(t *testing.T) {
	const limit = 64 << 10
	for _, n := range []int{limit - 2, limit - 1, limit, limit + 1, limit + 2} {
		for _, end := range []string{"", "\n", "\r\n", "\r", "\rx", "\x00\n"} {
			for _, start := range []string{"", "*", "*1\r\n$", "*1\r\n"} {
				in := start + strings.Repeat("1", n-1-len(start)+strings.LastIndex(start, "\n")+1) + end
				sameAsTwin(t, []byte(in), uint64(n), false)
			}
		}
	}
}

func FuzzGuardRead(f *testing.F) {
	for i, s := range scripts() {
		if len(s.in) < 20000 {
			f.Add([]byte(s.in), uint64(i), s.pass)
		}
	}
	for i, part := range fragments() {
		f.Add([]byte(cmd("PING")+part+cmd("PING")), uint64(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, pass bool) { sameAsTwin(t, in, seed, pass) })
}

func FuzzInline(f *testing.F) {
	for _, s := range inlines() {
		if len(s.in) < 200 {
			f.Add([]byte(s.in))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.ReplaceAll(bytes.ReplaceAll(line, []byte("\n"), nil), []byte("\x00"), nil) // end a line before the splitter sees it
		want, ok := twinSplit(string(line))
		got, good := appendInline([]byte("before"), line)
		require.Equal(t, ok, good)
		if len(want) == 0 {
			require.Equal(t, "before", string(got))
			return
		}
		require.Equal(t, "before"+cmd(want...), string(got), fmt.Sprintf("%q", line))
	})
}
