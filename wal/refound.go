package wal

import (
	"errors"
	"fmt"

	"kvapp/raft"
)

// Refound makes the log that of another cluster, behind everything it holds: one batch with the identity, which differs
// in the cluster only, then hard, then e. The identity comes first: a node of which a power failure has left no more than
// that is in a cluster whose other members do not exist, and serves nothing. Errors are as with Append. Appender only.
func (l *Log) Refound(cluster string, hard raft.HardState, e raft.Entry) error {
	if err := l.err(); err != nil {
		return err
	}
	id := l.identity
	id.Cluster = cluster
	b := &Batch{Hard: hard, HasHard: true, Entries: []raft.Entry{e}}
	err := id.valid()
	if err == nil && cluster == l.identity.Cluster {
		err = errors.New("it is that cluster's already")
	}
	if err == nil {
		err = l.check(b)
	}
	if err != nil {
		return fmt.Errorf("wal: refound refused: %w", err)
	}
	l.begin()
	err = l.put(appendIdentity(l.record(recIdentity), &id))
	if err == nil {
		err = l.pack(b)
	}
	if err == nil {
		err = l.commit()
	}
	if err != nil {
		return l.fail("refound", err)
	}
	l.identity, l.hard = id, hard
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idx.put(e.Index, l.packer.at[0])
	l.publishSegments()
	return nil
}
