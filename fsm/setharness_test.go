package fsm

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire is an Out that encodes replies as Redis does.
type wire struct {
	b     []byte
	resp3 bool
}

func (w *wire) head(c byte, n int) {
	w.b = append(strconv.AppendInt(append(w.b, c), int64(n), 10), '\r', '\n')
}
func (w *wire) line(c byte, s string) { w.b = append(append(append(w.b, c), s...), '\r', '\n') }
func (w *wire) pick(c byte) byte {
	if w.resp3 {
		return c
	}
	return '*'
}
func (w *wire) Simple(s string)     { w.line('+', s) }
func (w *wire) Error(msg string)    { w.line('-', msg) }
func (w *wire) Int(n int64)         { w.head(':', int(n)) }
func (w *wire) Bulk(b []byte)       { w.head('$', len(b)); w.b = append(append(w.b, b...), '\r', '\n') }
func (w *wire) BulkString(s string) { w.head('$', len(s)); w.b = append(append(w.b, s...), '\r', '\n') }
func (w *wire) Array(n int)         { w.head('*', n) }
func (w *wire) Set(n int)           { w.head(w.pick('~'), n) }
func (w *wire) Push(n int)          { w.head(w.pick('>'), n) }
func (w *wire) RESP3() bool         { return w.resp3 }
func (w *wire) Len() int            { return len(w.b) }
func (w *wire) Truncate(n int)      { w.b = w.b[:n] }
func (w *wire) BigNumber(s string)  { w.BulkString(s) }
func (w *wire) Bool(b bool)         { replyFlag(b, w) }
func (w *wire) Verbatim(_, s string) {
	w.BulkString(s)
}
func (w *wire) Map(n int) {
	if w.resp3 {
		w.head('%', n)
	} else {
		w.head('*', 2*n)
	}
}
func (w *wire) Null() {
	if w.resp3 {
		w.line('_', "")
	} else {
		w.head('$', -1)
	}
}
func (w *wire) NullArray() {
	if w.resp3 {
		w.line('_', "")
	} else {
		w.head('*', -1)
	}
}
func (w *wire) DoubleText(b []byte) {
	if w.resp3 {
		w.line(',', string(b))
	} else {
		w.Bulk(b)
	}
}
func (w *wire) Double(f float64) {
	if w.resp3 {
		w.line(',', string(appendDouble(nil, f)))
	} else {
		var buf [32]byte
		w.Bulk(appendDouble(buf[:0], f))
	}
}

// take returns what was encoded and forgets it.
func (w *wire) take() (s string) {
	s, w.b = string(w.b), w.b[:0]
	return s
}

// bench runs commands on one store; every command is an entry of its own.
type bench struct {
	s     *Store
	out   wire
	index uint64
}

func newBench() *bench { return &bench{s: NewStore()} }

// do returns the encoded reply.
func (b *bench) do(args ...string) string {
	c := Command{}
	for _, a := range args {
		c.Args = append(c.Args, []byte(a))
	}
	c.Spec = Find(c.Args)
	if c.Spec == nil && len(args) > 1 {
		c.Spec = subSpecs[strings.ToLower(args[0]+" "+args[1])]
	}
	if c.Spec == nil {
		return "-ERR unknown command " + args[0] + "\r\n"
	}
	if !c.Spec.CheckArity(len(args)) {
		return "-" + errArity(c.Spec.Name) + "\r\n"
	}
	b.s.Promote(&c)
	b.out.b = b.out.b[:0]
	b.index++
	b.s.Begin(b.index, 1000, b.index*7919)
	b.s.Exec(&c, &b.out)
	b.s.End()
	return string(b.out.b)
}

// object returns the value at key.
func (b *bench) object(t testing.TB, key string) collection {
	tx := Tx{}
	tx.begin(b.s, 0, 1000, 1)
	it := tx.find([]byte(key))
	require.False(t, it.absent(), key)
	return it.collection(new(light))
}

func fill(b *bench, n int, f func(i int) []string) {
	for i := range n {
		b.do(f(i)...)
	}
}

func name(i int) string { return fmt.Sprintf("member:%06d", i) }
