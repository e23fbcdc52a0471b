package disk

import (
	"io/fs"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/wal"
)

// bytesOf is a file of the model: what programs see and what is durable.
type bytesOf struct{ seen, durable string }

// model is a disk said simply: one directory, names to files. past are the lists of names since the last syncdir; the
// first of them is durable.
type model struct {
	d     *Disk
	names map[string]*bytesOf
	past  []map[string]*bytesOf
	open  []handle
}

type handle struct {
	f wal.File
	b *bytesOf
}

func (m *model) renamed() { m.past = append(m.past, maps.Clone(m.names)) }

func (m *model) name(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
}

// file is an open file, one that is opened for it if there is none.
func (m *model) file(t *rapid.T) (wal.File, *bytesOf) {
	if len(m.open) == 0 {
		m.create(t)
	}
	h := m.open[rapid.IntRange(0, len(m.open)-1).Draw(t, "file")]
	return h.f, h.b
}

func (m *model) create(t *rapid.T) {
	name := m.name(t)
	f, err := m.d.Create("/" + name)
	require.NoError(t, err)
	if b := m.names[name]; b != nil {
		b.seen = ""
	} else {
		m.names[name] = &bytesOf{}
		m.renamed()
	}
	m.open = append(m.open, handle{f, m.names[name]})
}

func (m *model) openWrite(t *rapid.T) {
	name := m.name(t)
	f, err := m.d.OpenWrite("/" + name)
	if m.names[name] == nil {
		require.ErrorIs(t, err, fs.ErrNotExist)
		return
	}
	require.NoError(t, err)
	m.open = append(m.open, handle{f, m.names[name]})
}

func (m *model) write(t *rapid.T) {
	f, b := m.file(t)
	off := rapid.IntRange(0, len(b.seen)+3).Draw(t, "off")
	p := rapid.StringOfN(rapid.RuneFrom([]rune("xyz")), 0, 1200, -1).Draw(t, "bytes")
	n, err := f.WriteAt([]byte(p), int64(off))
	require.NoError(t, err)
	require.Equal(t, len(p), n)
	if len(p) == 0 {
		return
	}
	whole := []byte(b.seen)
	for len(whole) < off+len(p) {
		whole = append(whole, 0)
	}
	copy(whole[off:], p)
	b.seen = string(whole)
}

func (m *model) truncate(t *rapid.T) {
	f, b := m.file(t)
	size := rapid.IntRange(0, len(b.seen)+3).Draw(t, "size")
	require.NoError(t, f.Truncate(int64(size)))
	b.seen = (b.seen + "\x00\x00\x00")[:size]
}

func (m *model) sync(t *rapid.T) {
	f, b := m.file(t)
	require.NoError(t, f.Sync())
	b.durable = b.seen
}

func (m *model) close(t *rapid.T) {
	f, _ := m.file(t)
	require.NoError(t, f.Close())
	m.open = slices.DeleteFunc(m.open, func(h handle) bool { return h.f == f })
}

func (m *model) rename(t *rapid.T) {
	from, to := m.name(t), m.name(t)
	err := m.d.Rename(from, to)
	if m.names[from] == nil {
		require.ErrorIs(t, err, fs.ErrNotExist)
		return
	}
	require.NoError(t, err)
	if from != to {
		m.names[to] = m.names[from]
		delete(m.names, from)
		m.renamed()
	}
}

func (m *model) remove(t *rapid.T) {
	name := m.name(t)
	err := m.d.Remove(name)
	if m.names[name] == nil {
		require.ErrorIs(t, err, fs.ErrNotExist)
		return
	}
	require.NoError(t, err)
	delete(m.names, name)
	m.renamed()
}

func (m *model) syncDir(t *rapid.T) {
	require.NoError(t, m.d.SyncDir("/"))
	m.past = []map[string]*bytesOf{maps.Clone(m.names)}
}

func (m *model) kill(t *rapid.T) {
	m.d.Kill()
	for _, h := range m.open {
		require.ErrorIs(t, h.f.Close(), fs.ErrClosed)
	}
	m.open = nil
}

// crash checks that what is left is one of the legal results, and goes on from it.
func (m *model) crash(t *rapid.T) {
	l := rapid.SampledFrom(Losses()).Draw(t, "loss")
	m.d.Crash(l)
	m.open = nil
	left := make(map[string]string)
	names, err := m.d.ReadDir("/")
	require.NoError(t, err)
	for _, e := range names {
		b, err := m.d.ReadFile(e.Name)
		require.NoError(t, err)
		left[e.Name] = string(b)
	}
	possible := m.past
	switch l.Names {
	case NamesLost:
		possible = m.past[:1]
	case NamesKept:
		possible = m.past[len(m.past)-1:]
	}
	for _, names := range possible {
		if legal(names, left, l.Bytes) {
			m.names = make(map[string]*bytesOf)
			for name, b := range left {
				m.names[name] = &bytesOf{b, b}
			}
			m.past = []map[string]*bytesOf{maps.Clone(m.names)}
			return
		}
	}
	require.Fail(t, "not a legal result", "%+v left %q", l, left)
}

func legal(names map[string]*bytesOf, left map[string]string, how Bytes) bool {
	if len(names) != len(left) {
		return false
	}
	for name, b := range names {
		is, ok := left[name]
		if !ok || how == BytesLost && is != b.durable || how == BytesKept && is != b.seen {
			return false
		}
		for i := range len(is) {
			if is[i] != 0 && (i >= len(b.seen) || is[i] != b.seen[i]) && (i >= len(b.durable) || is[i] != b.durable[i]) {
				return false
			}
		}
	}
	return true
}

func (m *model) check(t *rapid.T) {
	names, err := m.d.ReadDir("/")
	require.NoError(t, err)
	require.Len(t, names, len(m.names))
	var used int64
	for _, e := range names {
		b, err := m.d.ReadFile("/" + e.Name)
		require.NoError(t, err)
		require.Equal(t, m.names[e.Name].seen, string(b))
		st, err := m.d.Stat(e.Name)
		require.NoError(t, err)
		require.Equal(t, wal.FileInfo{Size: int64(len(b))}, st)
		used += st.Size
	}
	require.Equal(t, used, m.d.used)
	durable := make(map[string]string)
	m.d.root.walk("", func(path string, n *inode) { durable[path[1:]] = string(n.durable) })
	require.Len(t, durable, len(m.past[0]))
	for name, b := range m.past[0] {
		require.Equal(t, b.durable, durable[name])
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{d: New(rapid.Uint64().Draw(t, "seed")), names: map[string]*bytesOf{}}
		m.renamed()
		t.Repeat(map[string]func(*rapid.T){
			"":          m.check,
			"create":    m.create,
			"openwrite": m.openWrite,
			"write":     m.write,
			"write2":    m.write,
			"truncate":  m.truncate,
			"sync":      m.sync,
			"close":     m.close,
			"rename":    m.rename,
			"remove":    m.remove,
			"syncdir":   m.syncDir,
			"kill":      m.kill,
			"crash":     m.crash,
		})
	})
}

// The same seed and the same calls leave the same bytes.
func TestSameSeed(t *testing.T) {
	run := func(seed uint64) (list []uint64) {
		n := newNode(seed)
		n.d.CrashAfter(60)
		require.ErrorIs(t, n.run(40), ErrCrashed)
		for _, l := range Losses() {
			c := n.d.Clone()
			c.Crash(l)
			list = append(list, c.Hash())
		}
		return list
	}
	require.Equal(t, run(3), run(3))
	require.NotEqual(t, run(3), run(4))
}
