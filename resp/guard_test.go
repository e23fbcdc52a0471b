package resp

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
)

// probe is sent behind a script that leaves the connection open.
const probe = "a probe behind the script"

// patience is how long an answer may take on a loaded machine.
const patience = 20 * time.Second

// play sends the pieces one by one and returns everything the server answers, and whether it was the server that
// closed the connection. With half the client closes its side behind the last piece.
func play(t testing.TB, addr string, s *script, pieces [][]byte, half bool) (got string, ended bool) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	tcp, ok := nc.(*net.TCPConn)
	require.True(t, ok)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for _, p := range pieces {
			if _, err := nc.Write(p); err != nil {
				return // closed by the server, as some scripts want
			}
		}
		if half {
			_ = tcp.CloseWrite()
		}
	}()
	expect := len(s.output())
	all := make([]byte, 0, expect+1)
	for s.ends || len(all) < expect {
		all = slices.Grow(all, 1)
		n, err := nc.Read(all[len(all):cap(all)])
		all = all[:len(all)+n]
		if err != nil {
			timeout := errors.Is(err, os.ErrDeadlineExceeded)
			_ = nc.Close() // ends the writer
			<-written
			return string(all), !timeout
		}
		if len(all) > expect && !half {
			return string(all), false
		}
	}
	<-written
	// Nothing may follow.
	require.NoError(t, tcp.CloseWrite())
	more, _ := io.ReadAll(nc) // a reset is as good an end as any
	return string(append(all, more...)), false
}

// input is what a script sends, with the probe.
func (s *script) input() []byte {
	switch {
	case s.ends:
		return []byte(s.in)
	case s.pass:
		return []byte(s.in + cmd("AUTH", "secret") + cmd("ECHO", probe))
	}
	return []byte(s.in + cmd("ECHO", probe))
}

// output is what the server must answer to input.
func (s *script) output() string {
	switch {
	case s.ends:
		return s.want
	case s.pass:
		return s.want + okay + bulk(probe)
	}
	return s.want + bulk(probe)
}

// check plays s cut into pieces and compares.
func (s *script) check(t testing.TB, addr, how string, pieces [][]byte) {
	t.Helper()
	got, ended := play(t, addr, s, pieces, false)
	want := s.output()
	if got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%s, %s: at byte %d\nwant %.200q\n got %.200q", s.name, how, at, want[max(0, at-20):], got[max(0, at-20):])
		return
	}
	if ended != s.ends {
		t.Errorf("%s, %s: closed by the server: %v, want %v", s.name, how, ended, s.ends)
	}
}

// byteByByte is how long a script may be to be sent so.
const byteByByte = 3000

// cuts are the ways in which a script is sent.
func (s *script) cuts(seed uint64) map[string][][]byte {
	in := s.input()
	ways := map[string][][]byte{"whole": {in}}
	if s.whole {
		return ways
	}
	rng := rand.New(rand.NewPCG(seed, uint64(len(in))))
	ways["cut"] = cutAt(rng, in, len(in)/5+2)
	ways["cut coarsely"] = cutAt(rng, in, len(in)/2+2)
	if len(in) <= byteByByte {
		single := make([][]byte, len(in))
		for i := range in {
			single[i] = in[i : i+1]
		}
		ways["byte by byte"] = single
	}
	return ways
}

func cutAt(rng *rand.Rand, b []byte, most int) (pieces [][]byte) {
	for len(b) > 0 {
		n := 1 + rng.IntN(min(len(b), most))
		pieces = append(pieces, b[:n])
		b = b[n:]
	}
	return pieces
}

// guarded starts a server with a password, or without.
func guarded(t testing.TB, pass string, settings ...[2]string) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	set := config.New()
	if pass != "" {
		settings = append(settings, [2]string{"requirepass", pass})
	}
	require.NoError(t, set.SetMany(settings))
	return start(t, newFake(newGroup(), 0, members(ln.Addr().String())), ln, set)
}

// Every script, in one piece and in many, is answered as Redis answers it.
func TestScripts(t *testing.T) {
	open, shut := guarded(t, ""), guarded(t, "secret")
	for i, s := range scripts() {
		addr := addrOf(open)
		if s.pass {
			addr = addrOf(shut)
		}
		for how, pieces := range s.cuts(uint64(i)) {
			s.check(t, addr, how, pieces)
		}
	}
}

var discard = slog.New(slog.DiscardHandler)
