package recovery

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kvapp/raft"
	"kvapp/wal"
)

// maxPosition bounds the numbers of a position: no log has come so far.
const maxPosition = 1 << 60

// Position is where a node's log ends: what survivors are compared by.
type Position struct {
	Name       string
	Term       uint64 // the highest the node has seen
	LastTerm   uint64 // of the last entry
	Last       uint64 // its index
	CommitTerm uint64 // of the last entry that the node knows to be committed
	Commit     uint64 // its index
}

func (p Position) String() string {
	return fmt.Sprintf("%s:%d/%d/%d/%d/%d", p.Name, p.Term, p.LastTerm, p.Last, p.CommitTerm, p.Commit)
}

// sameLog says that two logs end at the same entry, which makes them the same.
func (p Position) sameLog(o Position) bool { return p.LastTerm == o.LastTerm && p.Last == o.Last }

// behind says that o's log may hold more that was committed.
func (p Position) behind(o Position) bool {
	return p.LastTerm < o.LastTerm || p.LastTerm == o.LastTerm && p.Last < o.Last
}

// ParsePosition is the inverse of String.
func ParsePosition(text string) (p Position, err error) {
	name, rest, ok := strings.Cut(text, ":")
	parts := strings.Split(rest, "/")
	if !ok || name == "" || len(parts) != 5 {
		return p, fmt.Errorf("%q is not name:term/term/index/term/index, as kvapp recover prints it", text)
	}
	p.Name = name
	for i, to := range []*uint64{&p.Term, &p.LastTerm, &p.Last, &p.CommitTerm, &p.Commit} {
		if *to, err = strconv.ParseUint(parts[i], 10, 64); err != nil {
			return p, fmt.Errorf("%q: %w", text, err)
		}
	}
	if p.Term > maxPosition || p.Last > maxPosition || p.LastTerm > p.Term || p.CommitTerm > p.LastTerm || p.Commit > p.Last {
		return p, fmt.Errorf("%q is where no log ends", text)
	}
	return p, nil
}

// Recovery is the plan for one node.
type Recovery struct {
	rec        wal.Recovered
	membership raft.Membership
	self       Position
	left       []Position // all nodes that are left, self among them, by name
	survivors  []Position // those of them that form the new cluster: with the same log, the best
}

// New returns the plan for the node whose log holds rec, up to the entry last. line names the positions of all nodes that are
// left, with commas; without it this node is alone.
func New(rec wal.Recovered, last uint64, line string) (*Recovery, error) {
	m, err := rec.Membership()
	if err != nil {
		return nil, err
	}
	r := &Recovery{
		rec: rec, membership: m,
		self: Position{Name: rec.Identity.Name, Term: rec.Hard.Term, Last: last, Commit: rec.Hard.Commit},
	}
	r.self.LastTerm, r.self.CommitTerm = r.termOf(last), r.termOf(rec.Hard.Commit)
	if line == "" {
		r.left = []Position{r.self}
		r.survivors = r.left
		return r, nil
	}
	for _, part := range strings.Split(line, ",") {
		p, err := ParsePosition(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("--survivors: %w", err)
		}
		r.left = append(r.left, p)
	}
	slices.SortFunc(r.left, func(a, b Position) int { return cmp.Compare(a.Name, b.Name) })
	best := r.left[0]
	for _, p := range r.left {
		if best.behind(p) {
			best = p
		}
	}
	for _, p := range r.left {
		if p.sameLog(best) {
			r.survivors = append(r.survivors, p)
		}
	}
	return r, nil
}

// termOf is the term of an entry that is the last of the snapshot or behind it, 0 if it is not in the log.
func (r *Recovery) termOf(index uint64) uint64 {
	s := r.rec.Snapshot.Meta
	switch {
	case index == s.Index:
		return s.Term
	case index < s.Index || index > s.Index+uint64(len(r.rec.Entries)):
		return 0
	}
	return r.rec.Entries[index-s.Index-1].Term
}

// holds says whether what p knows to be committed is in this log. What a snapshot covers is committed, and so the same.
func (r *Recovery) holds(p Position) bool {
	return p.Commit < r.rec.Snapshot.Meta.Index || r.termOf(p.Commit) == p.CommitTerm
}

// Check refuses what would lose more than is lost already.
func (r *Recovery) Check() error {
	if r.self.Last == 0 || len(r.membership.Members) == 0 {
		return fmt.Errorf("the log of %s holds no data: there is nothing to recover", r.self.Name)
	}
	if r.majority() {
		return fmt.Errorf("nothing is to be recovered: with %s there is a majority of %s; start what is left", nodeNames(r.left), r.rec.Identity.Cluster)
	}
	own := false
	for i, p := range r.left {
		if i > 0 && r.left[i-1].Name == p.Name {
			return fmt.Errorf("--survivors names %s twice", p.Name)
		}
		if r.member(p.Name) == nil {
			return fmt.Errorf("%s is no member of the cluster, as this node knows it", p.Name)
		}
		switch {
		case p.Name != r.self.Name:
		case p != r.self:
			return fmt.Errorf("--survivors says %s, but this node is at %s", p, r.self)
		default:
			own = true
		}
	}
	switch {
	case !own:
		return errors.New("--survivors does not name this node")
	case r.self.behind(r.survivors[0]):
		return fmt.Errorf("%s may hold writes that this node does not: recover there, and start this one with an empty directory and --join",
			nodeNames(r.survivors))
	}
	for _, p := range r.left {
		if !r.holds(p) {
			return fmt.Errorf("%s knows that entry %d of term %d is committed, and it is not in this log: recover without %s, which comes back "+
				"with an empty directory and --join", p.Name, p.Commit, p.CommitTerm, nodeNames(r.survivors))
		}
	}
	return nil
}

func (r *Recovery) member(name string) *raft.Member {
	for i := range r.membership.Members {
		if m := &r.membership.Members[i]; m.Name == name {
			return m
		}
	}
	return nil
}

// learnersOnly says that no survivor has voted: then nothing that was acknowledged had to reach any of them.
func (r *Recovery) learnersOnly() bool {
	return !slices.ContainsFunc(r.survivors, func(p Position) bool {
		m := r.member(p.Name)
		return !m.Learner || m.Leaving
	})
}

// majority says whether what is left can elect a leader as it is.
func (r *Recovery) majority() bool {
	survives := func(id raft.NodeID) bool {
		return slices.ContainsFunc(r.left, func(p Position) bool {
			m := r.member(p.Name)
			return m != nil && m.ID == id
		})
	}
	most := func(voters []raft.NodeID) bool {
		n := 0
		for _, id := range voters {
			if survives(id) {
				n++
			}
		}
		return n > len(voters)/2
	}
	var voters []raft.NodeID
	for _, m := range r.membership.Members {
		if !m.Learner {
			voters = append(voters, m.ID)
		}
	}
	return most(voters) && (len(r.membership.OldVoters) == 0 || most(r.membership.OldVoters))
}

func nodeNames(list []Position) string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// Names are the nodes that form the new cluster.
func (r *Recovery) Names() string { return nodeNames(r.survivors) }

// Position is where the node's own log ends.
func (r *Recovery) Position() Position { return r.self }

// Plan is what is to be written: the same on every survivor.
func (r *Recovery) Plan() (cluster string, hard raft.HardState, e raft.Entry) {
	h := sha256.New()
	fmt.Fprintf(h, "recovered from %s\n", r.rec.Identity.Cluster)
	term := uint64(0)
	for _, p := range r.survivors {
		fmt.Fprintln(h, p)
		term = max(term, p.Term, p.LastTerm)
	}
	var m raft.Membership
	for _, old := range r.membership.Members {
		if slices.ContainsFunc(r.survivors, func(p Position) bool { return p.Name == old.Name }) {
			old.Learner, old.Promote, old.Leaving = false, false, false
			m.Members = append(m.Members, old)
		}
	}
	hard = raft.HardState{Term: term + 1, Commit: r.self.Commit}
	e = raft.Entry{Index: r.self.Last + 1, Term: term + 1, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, m)}
	return hex.EncodeToString(h.Sum(nil)[:16]), hard, e
}
