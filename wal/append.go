package wal

import (
	"fmt"

	"kvapp/raft"
)

// Batch is what one Append makes durable. Entries follow each other without a gap; the first one may replace entries
// of the log, but none that a snapshot covers.
type Batch struct {
	Hard    raft.HardState
	HasHard bool
	Install *Snapshot // drop every entry and restart behind this snapshot; its file is durable
	Entries []raft.Entry
}

const (
	chunkBytes = 1 << 20 // bytes handed to the backend between two flushes; it copies them
	keepBytes  = 2 << 20 // buffers that grew above this are given back
)

// packer hands the records of one Append to the backend, and follows where in which segment they come to lie. It holds
// what is not durable yet. Its buffers are reused.
type packer struct {
	bytes  int // added to the backend and not flushed
	rec    []byte
	pos    uint32
	at     []uint64  // logical positions of the entries, parallel to Batch.Entries
	tail   segment   // the segment that the next record goes to
	sealed []segment // segments that became full
}

// Append writes b with one fsync at the end: hard state first, then the install marker, then the entries. When it
// returns nil all of it is durable. An error of the disk is final, see the package documentation; any other error means
// that b makes no sense behind what the log holds, and nothing was written. Appender only. The log keeps nothing of b.
func (l *Log) Append(b *Batch) error {
	if err := l.err(); err != nil {
		return err
	}
	if err := l.check(b); err != nil {
		return fmt.Errorf("wal: append refused: %w", err)
	}
	if !b.HasHard && b.Install == nil && len(b.Entries) == 0 {
		return nil
	}
	l.begin()
	if err := l.pack(b); err != nil {
		return l.fail("append", err)
	}
	if err := l.commit(); err != nil {
		return l.fail("append", err)
	}
	if b.HasHard {
		l.hard = b.Hard
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.Install != nil {
		l.snapshot = *b.Install
		l.idx.reset(b.Install.Meta.Index + 1)
	}
	for i := range b.Entries {
		l.idx.put(b.Entries[i].Index, l.packer.at[i])
	}
	l.publishSegments()
	return nil
}

// check refuses what would make the log contradict itself; replay checks the same on the way back.
func (l *Log) check(b *Batch) error {
	term := l.hard.Term
	if b.HasHard {
		if b.Hard.Term < term {
			return fmt.Errorf("term goes back from %d to %d", term, b.Hard.Term)
		}
		term = b.Hard.Term
	}
	// Only the appender changes idx and snapshot, so it may read them without the mutex.
	idx, snapshot := l.idx, l.snapshot.Meta.Index
	if b.Install != nil {
		if err := b.Install.valid(); err != nil {
			return err
		}
		snapshot = b.Install.Meta.Index
		idx = index{first: snapshot + 1}
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		if i == 0 {
			if err := idx.checkNext(e.Index, snapshot); err != nil {
				return err
			}
		} else if e.Index != b.Entries[i-1].Index+1 {
			return fmt.Errorf("entry %d follows entry %d", e.Index, b.Entries[i-1].Index)
		}
		if e.Term > term {
			return fmt.Errorf("entry %d of term %d, but the hard state is at term %d", e.Index, e.Term, term)
		}
		if len(e.Data) > maxRecord-minRecord {
			return fmt.Errorf("entry %d has %d bytes", e.Index, len(e.Data))
		}
	}
	return nil
}

func (l *Log) pack(b *Batch) error {
	p := &l.packer
	if b.HasHard {
		if err := l.put(appendHardState(l.record(recHardState), b.Hard)); err != nil {
			return err
		}
	}
	if b.Install != nil {
		if err := l.put(appendSnapshot(l.record(recInstalled), b.Install)); err != nil {
			return err
		}
	}
	for i := range b.Entries {
		if err := l.put(appendEntry(l.record(recEntry), &b.Entries[i])); err != nil {
			return err
		}
		p.at = append(p.at, p.last())
	}
	return nil
}

// last is the logical position of the record that was put last. The tail has moved behind it; a record that fills its
// segment lies at the end of the sealed one.
func (p *packer) last() uint64 { return p.tail.end() - uint64(frameLen(len(p.rec))) }

func frameLen(n int) int { return uvarintLen(n) + n }

// begin starts a batch at the end of the log.
func (l *Log) begin() {
	p := &l.packer
	p.pos, p.at, p.sealed = 0, p.at[:0], p.sealed[:0]
	p.tail = l.segments[len(l.segments)-1]
}

// record starts the next record of the batch in the reused buffer.
func (l *Log) record(typ recordType) []byte {
	return beginRecord(l.packer.rec[:0], l.next, l.packer.pos, typ)
}

// put adds a complete record to the batch and follows what the backend does with it: it begins a new segment in front of
// a write when the last one is above the limit, and behind a record that reaches it.
func (l *Log) put(rec []byte) error {
	p := &l.packer
	sealRecord(rec)
	p.rec = rec
	if p.bytes > 0 && p.bytes+len(rec) > chunkBytes {
		if err := l.flush(); err != nil {
			return err
		}
	}
	if p.bytes == 0 && p.tail.size > l.segSize {
		p.seal(l.next)
	}
	l.w.Add(l.next, rec)
	p.bytes += len(rec)
	p.tail.size += int64(frameLen(len(rec)))
	l.next++
	p.pos++
	if p.tail.size >= l.segSize {
		p.seal(l.next)
	}
	return nil
}

func (p *packer) seal(next uint64) {
	p.sealed = append(p.sealed, p.tail)
	p.tail = segment{first: next, start: p.tail.end()}
}

// flush writes the records collected so far, without waiting for the disk.
func (l *Log) flush() error {
	l.packer.bytes = 0
	return l.w.Flush()
}

// commit writes the rest of the batch and waits until all of it is on disk. The backend syncs a segment when it closes
// it, so the tail and, after a new segment, the directory are what is left.
func (l *Log) commit() error {
	p := &l.packer
	if err := l.flush(); err != nil {
		return err
	}
	for i := range p.sealed {
		if err := l.pad.trim(l.tail.of(l.dir, p.sealed[i].first), p.sealed[i].size); err != nil {
			return err
		}
	}
	tail := l.tail.of(l.dir, p.tail.first)
	if err := l.pad.grow(tail, p.tail.size, l.segSize); err != nil {
		return err
	}
	if err := l.w.Sync(tail); err != nil {
		return err
	}
	if cap(p.rec) > keepBytes {
		p.rec = nil
	}
	if len(p.sealed) == 0 {
		return nil
	}
	if err := l.checkLayout(); err != nil {
		return err
	}
	if err := l.w.ClearCache(); err != nil { // it would keep the segment just closed in memory
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// tailPath remembers the path of the last segment: to build it anew for every batch would be garbage.
type tailPath struct {
	first uint64
	path  string
}

func (t *tailPath) of(dir string, first uint64) string {
	if t.path == "" || t.first != first {
		t.first, t.path = first, segmentPath(dir, first)
	}
	return t.path
}

// checkLayout compares the segments that should have been written with the files.
func (l *Log) checkLayout() error {
	for _, seg := range append(l.packer.sealed, l.packer.tail) {
		path := segmentPath(l.dir, seg.first)
		if st, err := l.fs.Stat(path); err != nil {
			return err
		} else if want := l.pad.sizeOf(path, seg.size); st.Size != want {
			return fmt.Errorf("%s has %d bytes, expected %d", path, st.Size, want)
		}
	}
	return nil
}

// publishSegments makes the batch's segments visible to readers. REQUIRES: mu is held, the batch is durable.
func (l *Log) publishSegments() {
	l.segments = append(l.segments[:len(l.segments)-1], l.packer.sealed...)
	l.segments = append(l.segments, l.packer.tail)
	l.publishCounts()
}
