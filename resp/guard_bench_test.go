package resp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/redcon"
)

// spring is a socket that brings the same pipeline with every Read, as far as there is room.
type spring struct {
	net.Conn
	b   []byte
	off int
}

func (s *spring) Read(p []byte) (int, error) {
	n := copy(p, s.b[s.off:])
	s.off = (s.off + n) % len(s.b)
	return n, nil
}

func (s *spring) more(p []byte) int {
	if s.off == 0 {
		return 0
	}
	n, _ := s.Read(p) // never fails
	return n
}

func (s *spring) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// readers are redcon behind the guard, and alone. next returns how many commands came.
func readers(line string, pipeline int) (guard, alone func() (int, error)) {
	in := []byte(strings.Repeat(line, pipeline))
	lim := fuzzLimits
	src := &spring{b: in}
	c := newGuarded(NewListener(nil, func() *Limits { return &lim }, discard), src, 1)
	c.more = src.more
	rd, bare := redcon.NewReader(c), redcon.NewReader(&spring{b: in})
	guard = func() (int, error) {
		cmds, err := rd.ReadCommands()
		if err != nil {
			return 0, err
		}
		_, rest := c.Commands(cmds[0], cmds[1:])
		return 1 + len(rest), nil
	}
	alone = func() (int, error) {
		cmds, err := bare.ReadCommands()
		return len(cmds), err
	}
	return guard, alone
}

var setCommand = cmd("SET", "key:000000001234", strings.Repeat("x", 64))

// The guard's reading costs no allocation beyond redcon's own.
func TestGuardAllocatesNothing(t *testing.T) {
	for _, pipeline := range []int{1, 16} {
		guard, alone := readers(setCommand, pipeline)
		count := func(f func() (int, error)) float64 {
			return testing.AllocsPerRun(2000, func() {
				if n, err := f(); n == 0 || err != nil {
					t.Fatal(n, err)
				}
			})
		}
		require.LessOrEqual(t, count(guard), count(alone), "pipeline of %d", pipeline)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, pipeline := range []int{1, 16, 1000} {
		guard, alone := readers(setCommand, pipeline)
		for name, f := range map[string]func() (int, error){"guard": guard, "redcon alone": alone} {
			b.Run(fmt.Sprintf("%s, pipeline of %d", name, pipeline), func(b *testing.B) { drink(b, f) })
		}
	}
	big := cmd("SET", "key", strings.Repeat("x", 1<<20))
	lim := fuzzLimits.MaxBulk
	require.GreaterOrEqual(b, lim, int64(1<<20))
	guard, alone := readers(big, 1)
	b.Run("guard, 1 MB", func(b *testing.B) { drink(b, guard) })
	b.Run("redcon alone, 1 MB", func(b *testing.B) { drink(b, alone) })
	inline, _ := readers("SET key:000000001234 value\r\n", 16)
	b.Run("guard, inline, pipeline of 16", func(b *testing.B) { drink(b, inline) })
}

// drink reads until b.N commands have come.
func drink(b *testing.B, f func() (int, error)) {
	b.ReportAllocs()
	for done := 0; done < b.N; {
		n, err := f()
		if err != nil || n == 0 {
			b.Fatal(n, err, io.EOF)
		}
		done += n
	}
}
