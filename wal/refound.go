package wal

import (
	"errors"
	"fmt"

	"kvapp/raft"
)

// Refound makes the log that of another cluster: the identity, which changes in the cluster only, hard, and e as the last
// entry. When it returns nil that is durable; when it fails or the machine does, the log is the new cluster's with all of
// it or the old one's as it was. Errors are as with Append. Appender only.
func (l *Log) Refound(cluster string, hard raft.HardState, e raft.Entry) error {
	if err := l.err(); err != nil {
		return err
	}
	id := l.identity
	id.Cluster = cluster
	err := id.valid()
	switch {
	case err != nil:
	case cluster == l.identity.Cluster:
		err = errors.New("it is that cluster's already")
	case e.Index != l.idx.last()+1: // only the appender changes idx, so it may read it without the mutex
		err = fmt.Errorf("entry %d does not follow on the last entry %d", e.Index, l.idx.last())
	default:
		err = l.check(&Batch{Hard: hard, HasHard: true, Entries: []raft.Entry{e}})
	}
	if err != nil {
		return fmt.Errorf("wal: refound refused: %w", err)
	}
	l.begin()
	err = l.put(appendRefounded(l.record(recRefounded), cluster, hard, &e))
	at := l.packer.last()
	if err == nil {
		err = l.commit()
	}
	if err != nil {
		return l.fail("refound", err)
	}
	l.identity, l.hard = id, hard
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idx.put(e.Index, at)
	l.publishSegments()
	return nil
}
