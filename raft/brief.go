package raft

// Brief is the part of Status that costs nothing to ask for, in every role.
type Brief struct {
	Role     Role
	Term     uint64
	Vote     NodeID
	Leader   NodeID // 0: none known
	Commit   uint64
	Applied  uint64
	Durable  uint64 // last own entry known to be on disk
	First    uint64 // first index the journal keeps
	Last     uint64
	Snapshot uint64
	Members  uint64 // index of the membership in effect
}

// Brief returns a copy of what changes all the time.
func (r *Raft) Brief() Brief {
	return Brief{
		Role: r.role, Term: r.term, Vote: r.vote, Leader: r.leader, Commit: r.commit, Applied: r.applied,
		Durable: r.dur.index, First: r.first, Last: r.log.last, Snapshot: r.snap.Index,
		Members: r.members[len(r.members)-1].index,
	}
}

// TermAt returns the term of the entry at index; false if the index is not in the log, or too old to be known.
func (r *Raft) TermAt(index uint64) (uint64, bool) { return r.log.term(index) }
