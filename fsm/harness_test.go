package fsm

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rawCommand is a command in RESP.
func rawCommand(args ...string) []byte {
	r := &wire{}
	r.Array(len(args))
	for _, a := range args {
		r.BulkString(a)
	}
	return r.b
}

// subSpecs are the sub-commands on data, by both words.
var subSpecs = map[string]*Spec{"object encoding": ObjectEncoding, "object refcount": ObjectRefCount, "object freq": ObjectFreq, "object idletime": ObjectIdleTime,
	"memory usage": MemoryUsage,
	"debug digest": DebugDigest, "debug digest-value": DebugDigestValue, "debug listpack": DebugListpack, "debug object": DebugObject}

// eachCommand calls f for every command with the words that it begins with, sub-commands in place of their containers.
func eachCommand(f func(words []string, s *Spec)) {
	for _, s := range Specs() {
		for _, sub := range s.Subs {
			f([]string{s.Name, sub.Name}, sub)
		}
		if s.Subs == nil {
			f([]string{s.Name}, s)
		}
	}
}

// command parses a command as a connection would.
func command(t require.TestingT, db int, args ...string) Command {
	spec := lookupAny([]byte(args[0]))
	if spec != nil && spec.Subs != nil {
		spec = Find(asBytes(args))
	}
	if spec == nil && len(args) > 1 {
		spec = subSpecs[strings.ToLower(args[0]+" "+args[1])]
	}
	require.NotNil(t, spec, args[0])
	c := Command{Spec: spec, DB: db, Raw: rawCommand(args...)}
	for _, a := range args {
		c.Args = append(c.Args, []byte(a))
	}
	return c
}

// machine drives a store as the applier of a leader does, one command per entry.
type machine struct {
	t     require.TestingT
	s     *Store
	index uint64
	now   int64
	db    int
	log   [][]byte // the entries as followers get them
	out   wire
}

func newMachine(t require.TestingT) *machine {
	return &machine{t: t, s: NewStore(), now: 1_700_000_000_000}
}

// do executes one command and returns its reply in RESP2.
func (m *machine) do(args ...string) string { return m.doOut(&m.out, args...) }

// doOut is do with the reply as out encodes it.
func (m *machine) doOut(out *wire, args ...string) string {
	c := command(m.t, m.db, args...)
	if !c.Spec.CheckArity(len(args)) {
		out.Error(errArity(c.Spec.Name))
		return out.take()
	}
	m.s.Promote(&c)
	m.index++
	seed := m.index * 7919
	entry := AppendEntryHeader(nil, m.now, seed)
	if c.Spec.Flags&FlagWrite != 0 {
		entry = AppendEntryCommand(entry, m.db, c.Raw)
	}
	m.log = append(m.log, entry)
	m.s.Begin(m.index, m.now, seed)
	m.s.Exec(&c, out)
	m.s.End()
	return out.take()
}

// bulkReply is a bulk string as a reply.
func bulkReply(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// line is do with the line ends shown as spaces.
func (m *machine) line(cmd string) string {
	return strings.TrimSuffix(strings.ReplaceAll(m.do(strings.Fields(cmd)...), "\r\n", " "), " ")
}

func (m *machine) sweep(limit int) string {
	_, c := SweepCommand(nil, limit)
	m.index++
	m.s.Begin(m.index, m.now, 1)
	m.s.Exec(&c, &m.out)
	m.s.End()
	m.log = append(m.log, AppendEntryCommand(AppendEntryHeader(nil, m.now, 1), 0, c.Raw))
	return m.out.take()
}

func stateHash(s *Store) uint64 {
	v := s.Freeze()
	defer v.Close()
	total, _ := v.Hash()
	return total
}

// payload is the snapshot of the current state.
func payload(t require.TestingT, s *Store) []byte {
	v := s.Freeze()
	defer v.Close()
	var b bytes.Buffer
	n, err := v.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	return b.Bytes()
}

// replay applies the machine's log to a store with another hash seed, as a follower does.
func (m *machine) replay() *Store {
	s := newStore(maphash.MakeSeed())
	for i, e := range m.log {
		require.NoError(m.t, s.ApplyEntry(uint64(i+1), e))
	}
	return s
}

// script runs lines of command and expected reply.
func script(t *testing.T, m *machine, lines ...[2]string) {
	t.Helper()
	for _, l := range lines {
		require.Equal(t, l[1], m.line(l[0]), l[0])
	}
}
