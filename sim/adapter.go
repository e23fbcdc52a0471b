package sim

import (
	"io"

	"kvapp/node"
	"kvapp/raft"
	"kvapp/wal"
)

// journal makes a wal.Log a node.Log.
type journal struct {
	*wal.Log
	batch wal.Batch // reused
	inst  wal.Snapshot
}

func (j *journal) Append(r *node.Record) error {
	j.batch = wal.Batch{Hard: r.Hard, HasHard: r.HasHard, Entries: r.Entries}
	if r.Install != nil {
		j.inst = wal.Snapshot(*r.Install)
		j.batch.Install = &j.inst
	}
	return j.Log.Append(&j.batch)
}

func (j *journal) Compact(f node.SnapshotFile, keepFrom uint64) (uint64, error) {
	return j.Log.Compact(wal.Snapshot(f), keepFrom)
}

// snapshots makes a wal.Snapshots a node.Snapshots.
type snapshots struct{ s *wal.Snapshots }

type snapshotWriter struct{ *wal.SnapshotWriter }

func (w snapshotWriter) Abort() { _ = w.SnapshotWriter.Abort() } // the error before it says more

func (w snapshotWriter) Commit() (node.SnapshotFile, error) {
	f, err := w.SnapshotWriter.Commit()
	return node.SnapshotFile(f), err
}

func (f snapshots) Create(meta raft.SnapshotMeta) (node.SnapshotWriter, error) {
	w, err := f.s.Create(meta)
	if err != nil {
		return nil, err
	}
	return snapshotWriter{w}, nil
}

func (f snapshots) Open(s node.SnapshotFile) (io.ReadCloser, error) { return f.s.Open(wal.Snapshot(s)) }

func (f snapshots) PruneBelow(index uint64) error { return f.s.PruneBelow(index) }
