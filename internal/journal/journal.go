package journal

import (
	"io"

	"kvapp/node"
	"kvapp/raft"
	"kvapp/wal"
)

// Log makes a wal.Log a node.Log.
type Log struct {
	*wal.Log
	batch wal.Batch // reused
	inst  wal.Snapshot
}

// NewLog returns l for a node. The caller goes on owning l and closes it.
func NewLog(l *wal.Log) *Log { return &Log{Log: l} }

// Append implements node.Log.
func (j *Log) Append(r *node.Record) error {
	j.batch = wal.Batch{Hard: r.Hard, HasHard: r.HasHard, Entries: r.Entries}
	if r.Install != nil {
		j.inst = wal.Snapshot(*r.Install)
		j.batch.Install = &j.inst
	}
	return j.Log.Append(&j.batch)
}

// Compact implements node.Log.
func (j *Log) Compact(f node.SnapshotFile, keepFrom uint64) (uint64, error) {
	return j.Log.Compact(wal.Snapshot(f), keepFrom)
}

// Snapshots makes a wal.Snapshots a node.Snapshots.
type Snapshots struct{ Files *wal.Snapshots }

// snapshotWriter makes a wal.SnapshotWriter a node.SnapshotWriter.
type snapshotWriter struct{ *wal.SnapshotWriter }

func (w snapshotWriter) Abort() { _ = w.SnapshotWriter.Abort() } // the cause of the abort is what gets reported

func (w snapshotWriter) Commit() (node.SnapshotFile, error) {
	f, err := w.SnapshotWriter.Commit()
	return node.SnapshotFile(f), err
}

// Create implements node.Snapshots.
func (s Snapshots) Create(meta raft.SnapshotMeta) (node.SnapshotWriter, error) {
	w, err := s.Files.Create(meta)
	if err != nil {
		return nil, err
	}
	return snapshotWriter{w}, nil
}

// Open implements node.Snapshots.
func (s Snapshots) Open(f node.SnapshotFile) (io.ReadCloser, error) {
	return s.Files.Open(wal.Snapshot(f))
}

// PruneBelow implements node.Snapshots.
func (s Snapshots) PruneBelow(index uint64) error { return s.Files.PruneBelow(index) }

// Intact implements node.Snapshots.
func (s Snapshots) Intact() ([]node.SnapshotFile, error) {
	list, err := s.Files.Intact()
	var files []node.SnapshotFile
	for _, sn := range list {
		files = append(files, node.SnapshotFile(sn))
	}
	return files, err
}

// Quarantine implements node.Snapshots.
func (s Snapshots) Quarantine(f node.SnapshotFile) (string, error) {
	return s.Files.Quarantine(wal.Snapshot(f))
}
