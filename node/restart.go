package node

import (
	"errors"
	"fmt"
	"syscall"

	"kvapp/fsm"
	"kvapp/raft"
)

// state is what a node begins with: see the package comment, A damaged snapshot.
type state struct {
	store *fsm.Store
	// Last entry that the store holds, and its term. Without a state these are the snapshot's, as the core wants it.
	applied, term uint64
	damage        error        // of the newest snapshot; nil: it is sound
	from          SnapshotFile // with damage: what the store was rebuilt from; zero: from the log alone
	missing       bool         // there is nothing to rebuild it from
}

// openState restores the newest snapshot, or what gives the same state if that is damaged.
func openState(cfg *Config, deps *Deps) (*state, error) {
	newest := &deps.Snapshot
	s := &state{store: fsm.NewStore(), applied: newest.Meta.Index, term: newest.Meta.Term}
	if cfg.Memory != nil {
		s.store.NoteUse(deps.Clock.Now()/1e9, cfg.Memory().Use)
	}
	if newest.Meta.Index == 0 {
		return s, nil
	}
	err := restore(s.store, deps.Snapshots, *newest)
	switch {
	case err == nil:
		return s, nil
	case !damaged(err) || s.store.Applied() != 0: // it has been loaded, and what failed is something else
		return nil, err
	}
	s.damage = err
	return s, s.rebuild(deps)
}

// damaged says whether an error is of the content of a file, and not of the process, which may not read it or has no room.
func damaged(err error) bool {
	var errno syscall.Errno
	return !errors.As(err, &errno) || errno == syscall.ENOENT || errno == syscall.EIO
}

// rebuild looks for another snapshot whose state the log leads on from, or takes the log alone if it is all there.
func (s *state) rebuild(deps *Deps) error {
	files, err := deps.Snapshots.Intact()
	if err != nil {
		return err
	}
	rec := &deps.Recovered
	for _, f := range append(files, SnapshotFile{}) {
		if f.Name == deps.Snapshot.Name || !leadsOn(rec, &f.Meta) {
			continue
		}
		if f.Name != "" { // a failed attempt leaves the store as it was, empty
			switch err := restore(s.store, deps.Snapshots, f); {
			case err == nil:
			case damaged(err) && s.store.Applied() == 0:
				continue
			default:
				return err
			}
		}
		if err := replay(s.store, deps.Log, f.Meta.Index+1, rec.Snapshot.Index); err != nil {
			return err
		}
		s.from = f
		if f.Meta.Index > rec.Snapshot.Index { // it was durable, and the journal did not say so yet
			s.applied, s.term = f.Meta.Index, f.Meta.Term
		}
		return nil
	}
	s.missing = true
	return nil
}

// leadsOn says whether the recovered log holds every entry behind a snapshot and is of the same history. One that a leader has
// sent and that was not installed may be ahead of what this log has in common with the leader's.
func leadsOn(rec *raft.Recovered, m *raft.SnapshotMeta) bool {
	if m.Index+1 == rec.First && rec.First <= rec.Snapshot.Index { // both committed; the term is not known any more
		term, _ := termAt(rec, rec.First)
		return m.Term <= term
	}
	term, ok := termAt(rec, m.Index)
	return ok && term == m.Term
}

// termAt returns the term of a recovered entry.
func termAt(rec *raft.Recovered, index uint64) (term uint64, ok bool) {
	base := rec.Snapshot.Index
	switch {
	case index < rec.First && index != base || index > base+uint64(len(rec.Entries)):
		return 0, false
	case index > base:
		return rec.Entries[index-base-1].Term, true
	case index == base:
		return rec.Snapshot.Term, true
	}
	for _, t := range rec.Terms {
		if t.Index <= index {
			term, ok = t.Term, true
		}
	}
	return term, ok
}

// replayBytes is how much of the log is read at once.
const replayBytes = 1 << 20

// replay applies the entries [from, to] of the journal, all of which were committed.
func replay(store *fsm.Store, log Log, from, to uint64) error {
	for from <= to {
		entries, err := log.Read(from, to+1, replayBytes)
		if err != nil {
			return fmt.Errorf("replay the log from entry %d: %w", from, err)
		}
		for i := range entries {
			e := &entries[i]
			switch e.Kind {
			case raft.EntryCommand:
				if err := store.ApplyEntry(e.Index, e.Data); err != nil {
					return fmt.Errorf("replay entry %d: %w", e.Index, err)
				}
			case raft.EntryNoop:
				store.NewTerm(e.Index)
			default:
				store.SetApplied(e.Index)
			}
		}
		from += uint64(len(entries))
	}
	return nil
}

// quarantine puts the damaged file aside and tells what the node does without it.
func (s *state) quarantine(deps *Deps) error {
	kept, err := deps.Snapshots.Quarantine(deps.Snapshot)
	if err != nil || deps.Logger == nil {
		return err
	}
	if kept == "" {
		kept = "nothing"
	}
	deps.Logger.Error("snapshot_damaged", "file", deps.Snapshot.Name, "reason", s.damage, "kept", kept)
	switch {
	case s.missing:
		deps.Logger.Warn("state_missing", "effect", "votes and takes the log, serves nothing until the leader has sent a snapshot")
	case s.from.Name == "":
		deps.Logger.Info("state_rebuilt", "from", "the whole log", "index", s.applied)
	default:
		deps.Logger.Info("state_rebuilt", "from", s.from.Name, "index", s.applied)
	}
	return nil
}
