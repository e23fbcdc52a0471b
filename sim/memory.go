package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"kvapp/node"
	"kvapp/raft"
)

// memJournal is a journal and a store of snapshots that forget nothing.
type memJournal struct {
	hard    raft.HardState
	snap    node.SnapshotFile
	entries []raft.Entry
	bytes   int64
	files   map[string][]byte
}

func (l *memJournal) Append(r *node.Record) error {
	if r.HasHard {
		l.hard = r.Hard
	}
	if r.Install != nil {
		l.snap, l.entries = *r.Install, nil
	}
	for _, e := range r.Entries {
		if n := len(l.entries); n > 0 && e.Index <= l.entries[n-1].Index {
			l.entries = l.entries[:e.Index-l.entries[0].Index]
		}
		l.entries = append(l.entries, e)
		l.bytes += int64(len(e.Data)) + 32
	}
	return nil
}

func (l *memJournal) Compact(f node.SnapshotFile, keepFrom uint64) (uint64, error) {
	l.snap = f
	for len(l.entries) > 0 && l.entries[0].Index < keepFrom {
		l.bytes -= int64(len(l.entries[0].Data)) + 32
		l.entries = l.entries[1:]
	}
	if len(l.entries) == 0 {
		return f.Meta.Index + 1, nil
	}
	return l.entries[0].Index, nil
}

func (l *memJournal) Read(lo, hi uint64, maxBytes int) ([]raft.Entry, error) {
	if len(l.entries) == 0 || lo < l.entries[0].Index || lo > l.entries[len(l.entries)-1].Index {
		return nil, errors.New("not in the log")
	}
	var out []raft.Entry
	size := 0
	for _, e := range l.entries[lo-l.entries[0].Index:] {
		if size += len(e.Data); e.Index >= hi || len(out) > 0 && size > maxBytes {
			break
		}
		out = append(out, e)
	}
	return out, nil
}

func (l *memJournal) Bytes() int64  { return l.bytes }
func (l *memJournal) Segments() int { return 1 }

func (l *memJournal) recovered() raft.Recovered {
	rec := raft.Recovered{Hard: l.hard, Snapshot: l.snap.Meta, First: l.snap.Meta.Index + 1}
	for _, e := range l.entries {
		if e.Index > l.snap.Meta.Index {
			rec.Entries = append(rec.Entries, e)
		}
	}
	return rec
}

type memWriter struct {
	bytes.Buffer
	l    *memJournal
	meta raft.SnapshotMeta
}

func (l *memJournal) Create(meta raft.SnapshotMeta) (node.SnapshotWriter, error) {
	return &memWriter{l: l, meta: meta}, nil
}

func (w *memWriter) Commit() (node.SnapshotFile, error) {
	f := node.SnapshotFile{Meta: w.meta, Name: fmt.Sprintf("%d-%d", w.meta.Index, w.meta.Term), Size: int64(w.Len())}
	w.l.files[f.Name] = w.Bytes()
	return f, nil
}

func (w *memWriter) Abort() {}

func (l *memJournal) Open(f node.SnapshotFile) (io.ReadCloser, error) {
	b, ok := l.files[f.Name]
	if !ok {
		return nil, fmt.Errorf("no snapshot %s", f.Name)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (l *memJournal) PruneBelow(uint64) error { return nil }
