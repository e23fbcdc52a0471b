package raft

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	membershipVersion = 1
	maxMembers        = 64
	maxMemberString   = 1 << 10
)

// ErrMembership says that bytes are no encoded Membership, or that a Membership breaks its own rules.
var ErrMembership = errors.New("malformed membership")

// NodeIDFromName derives the id of a node from its name: FNV-1a 64, never 0.
func NodeIDFromName(name string) NodeID {
	h := uint64(14695981039346656037)
	for i := 0; i < len(name); i++ {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	if h == 0 {
		return 1
	}
	return NodeID(h)
}

// Bits of a member's flags on the wire; the upper four are its priority.
const (
	flagLearner = 1 << iota
	flagPromote
	flagLeaving
	flagIncarnation // eight bytes follow
	shiftPriority   = 4
)

// AppendMembership appends the encoding of m to dst: a version, the members, the old voters.
func AppendMembership(dst []byte, m Membership) []byte {
	dst = append(dst, membershipVersion)
	dst = binary.AppendUvarint(dst, uint64(len(m.Members)))
	for i := range m.Members {
		dst = appendMember(dst, &m.Members[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.OldVoters)))
	for _, id := range m.OldVoters {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
	}
	return dst
}

func appendMember(dst []byte, p *Member) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.ID))
	flags := p.Priority << shiftPriority
	for _, f := range [...]struct {
		set bool
		bit byte
	}{{p.Learner, flagLearner}, {p.Promote, flagPromote}, {p.Leaving, flagLeaving}, {p.Incarnation != 0, flagIncarnation}} {
		if f.set {
			flags |= f.bit
		}
	}
	dst = append(dst, flags)
	if p.Incarnation != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, p.Incarnation)
	}
	for _, s := range [...]string{p.Name, p.PeerAddr, p.ClientAddr} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// DecodeMembership reads what AppendMembership wrote. Any other input gives an error that is ErrMembership.
func DecodeMembership(b []byte) (Membership, error) {
	d := decoder{b: b}
	var m Membership
	if v := d.byte(); v != membershipVersion {
		d.fail()
	}
	if n := d.count(); n > 0 {
		m.Members = make([]Member, n)
	}
	for i := range m.Members {
		m.Members[i] = d.member()
	}
	if n := d.count(); n > 0 {
		m.OldVoters = make([]NodeID, n)
	}
	for i := range m.OldVoters {
		m.OldVoters[i] = NodeID(d.uint64())
	}
	if d.bad || len(d.b) != 0 {
		return Membership{}, fmt.Errorf("%w: %d bytes", ErrMembership, len(b))
	}
	if err := m.valid(); err != nil {
		return Membership{}, err
	}
	return m, nil
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) member() Member {
	p := Member{ID: NodeID(d.uint64())}
	flags := d.byte()
	p.Learner, p.Promote, p.Leaving = flags&flagLearner != 0, flags&flagPromote != 0, flags&flagLeaving != 0
	p.Priority = flags >> shiftPriority
	if flags&flagIncarnation != 0 {
		if p.Incarnation = d.uint64(); p.Incarnation == 0 {
			d.fail()
		}
	}
	p.Name, p.PeerAddr, p.ClientAddr = d.string(), d.string(), d.string()
	return p
}

// uvarint accepts the shortest form only, so that every Membership has one encoding.
func (d *decoder) uvarint(limit uint64) int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit || (n > 1 && v < 1<<(7*(n-1))) {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

func (d *decoder) count() int { return d.uvarint(maxMembers) }

func (d *decoder) string() string { return string(d.take(d.uvarint(maxMemberString))) }

// valid checks the rules that Membership documents, and the limits of the encoding.
func (m *Membership) valid() error {
	if len(m.Members) > maxMembers || len(m.OldVoters) > maxMembers {
		return fmt.Errorf("%w: more than %d members", ErrMembership, maxMembers)
	}
	for i := range m.Members {
		p := &m.Members[i]
		if p.ID == 0 || (i > 0 && p.ID <= m.Members[i-1].ID) {
			return fmt.Errorf("%w: ids are not ascending", ErrMembership)
		}
		if !p.fits() {
			return fmt.Errorf("%w: a name, an address or a priority is out of range", ErrMembership)
		}
		if (p.Promote || p.Leaving) && !p.Learner || p.Promote && p.Leaving || p.Leaving && len(m.OldVoters) == 0 {
			return fmt.Errorf("%w: the part of %s contradicts itself", ErrMembership, p.Name)
		}
	}
	for i, id := range m.OldVoters {
		if id == 0 || (i > 0 && id <= m.OldVoters[i-1]) {
			return fmt.Errorf("%w: old voters are not ascending", ErrMembership)
		}
	}
	return nil
}

// fits checks the limits of the encoding.
func (p *Member) fits() bool {
	return max(len(p.Name), len(p.PeerAddr), len(p.ClientAddr)) <= maxMemberString && p.Priority <= MaxPriority
}

// decodeEntry reads the membership of a log entry, which must be able to decide something.
func decodeEntry(b []byte) (Membership, error) {
	m, err := DecodeMembership(b)
	if err != nil {
		return m, err
	}
	for i := range m.Members {
		if !m.Members[i].Learner {
			return m, nil
		}
	}
	return m, fmt.Errorf("%w: no voter", ErrMembership)
}

// memberAt is a membership and the index of the log from which it holds.
type memberAt struct {
	index uint64
	m     Membership
}

// Membership returns the membership in effect: the newest in the log, committed or not. It must not be changed; a
// later membership does not change it either.
func (r *Raft) Membership() *Membership { return &r.members[len(r.members)-1].m }

// MembershipAt returns the membership in effect at index, which must be at or behind the newest snapshot: what belongs
// into the SnapshotMeta of a snapshot taken there.
func (r *Raft) MembershipAt(index uint64) Membership {
	i := len(r.members) - 1
	for i > 0 && r.members[i].index > index {
		i--
	}
	return r.members[i].m
}

// pushMembership lets m hold from index on.
func (r *Raft) pushMembership(index uint64, m Membership) {
	before := r.Membership()
	// Nothing is ever written over an old element, so what Membership returned stays as it was.
	r.members = append(r.members, memberAt{index: index, m: m})
	r.rebuildPeers()
	if r.role == Leader {
		r.depart(index, before)
	}
}

// popMemberships rolls back what was appended at or above index.
func (r *Raft) popMemberships(index uint64) {
	n := len(r.members)
	for n > 1 && r.members[n-1].index >= index {
		n--
	}
	if n < len(r.members) {
		r.members = slices.Clone(r.members[:n])
		r.rebuildPeers()
	}
}

// dropMemberships forgets what was replaced at or below index.
func (r *Raft) dropMemberships(index uint64) {
	n := 0
	for n+1 < len(r.members) && r.members[n+1].index <= index {
		n++
	}
	if n > 0 {
		r.members = slices.Clone(r.members[n:])
	}
}

// rebuildPeers makes the peers follow the membership; what is known of those that stay is kept.
func (r *Raft) rebuildPeers() {
	m := r.Membership()
	old := r.peers
	peers := make([]peer, 0, len(m.Members)+len(m.OldVoters))
	for i := range m.Members {
		peers = append(peers, peer{id: m.Members[i].ID, voter: !m.Members[i].Learner, promote: m.Members[i].Promote})
	}
	for _, id := range m.OldVoters {
		i := slices.IndexFunc(peers, func(p peer) bool { return p.id == id })
		if i < 0 {
			i = len(peers)
			peers = append(peers, peer{id: id})
		}
		peers[i].oldVoter = true
	}
	members := len(peers)
	for i := range old {
		if old[i].departed != nil && !slices.ContainsFunc(peers[:members], func(p peer) bool { return p.id == old[i].id }) {
			peers = append(peers, old[i])
		}
	}
	slices.SortFunc(peers, func(a, b peer) int { return cmp.Compare(a.id, b.id) })
	for i := range peers {
		p := &peers[i]
		if p.departed != nil {
			continue
		}
		voter, oldVoter, promote := p.voter, p.oldVoter, p.promote
		// One that is on its way out and comes back is somebody else: nothing that is known of its disk counts.
		if j := slices.IndexFunc(old, func(o peer) bool { return o.id == p.id && o.departed == nil }); j >= 0 {
			*p = old[j]
			p.voter, p.oldVoter, p.promote = voter, oldVoter, promote
			p.caughtUp = p.caughtUp && promote
			continue
		}
		p.next, p.addedAt = r.log.last+1, r.now
		if p.id != r.cfg.ID {
			p.flight.msgs = make([]flight, r.cfg.MaxInflightMsgs)
		}
	}
	r.peers = peers
	r.setPreferred()
	r.joint = len(m.OldVoters) > 0
	r.version++
}

// peer finds a member by its id; nil if it is none.
func (r *Raft) peer(id NodeID) *peer {
	for i := range r.peers {
		if r.peers[i].id == id {
			return &r.peers[i]
		}
	}
	return nil
}

// votes says whether id is a voter of either half.
func (m *Membership) votes(id NodeID) bool {
	for i := range m.Members {
		if m.Members[i].ID == id && !m.Members[i].Learner {
			return true
		}
	}
	return slices.Contains(m.OldVoters, id)
}

// mayLead says whether the node may campaign: it is a voter of the membership in effect, or was one of the committed
// membership that this one will replace. Until the change is committed the node may be the only one that has it in its
// log, and the others may need its vote under the old membership, which they cannot get (thesis 4.2.2). A node without a
// state may not.
func (r *Raft) mayLead() bool {
	if r.stateless {
		return false
	}
	for i := len(r.members) - 1; i >= 0; i-- {
		if r.members[i].m.votes(r.cfg.ID) {
			return true
		}
		if r.members[i].index <= r.commit {
			break
		}
	}
	return false
}

// soleVoter says whether the node decides alone.
func (r *Raft) soleVoter() bool {
	return r.Alone() && r.Membership().votes(r.cfg.ID)
}

// kth returns the highest value that a majority of values has reached; zero for no values. It reorders values.
func kth[T cmp.Ordered](values []T) T {
	for i := 1; i < len(values); i++ { // insertion sort: a handful of values, descending
		v := values[i]
		j := i
		for ; j > 0 && values[j-1] < v; j-- {
			values[j] = values[j-1]
		}
		values[j] = v
	}
	if len(values) == 0 {
		var zero T
		return zero
	}
	return values[len(values)/2]
}

// measure names a number that peers have reached.
type measure uint8

const (
	byMatch   measure = iota // last index on the peer's disk
	byRead                   // newest read round answered
	bySentAt                 // newest send time that was answered
	byContact                // newest time of an answer
)

func (r *Raft) value(p *peer, by measure) uint64 {
	self := p.id == r.cfg.ID
	switch by {
	case byMatch:
		if self {
			return r.dur.index
		}
		return p.match
	case byRead:
		if self {
			return r.readCtx
		}
		return p.readCtx
	case bySentAt:
		if self {
			return uint64(r.now)
		}
		return uint64(p.sentAt)
	default:
		if self {
			return uint64(r.now)
		}
		return uint64(p.contact)
	}
}

// reached returns the highest value that a quorum has reached: a majority of the voters and, in a joint membership,
// also of the old voters.
func (r *Raft) reached(by measure) uint64 {
	var buf [maxMembers]uint64
	values := buf[:0]
	for i := range r.peers {
		if r.peers[i].voter {
			values = append(values, r.value(&r.peers[i], by))
		}
	}
	v := kth(values)
	if !r.joint {
		return v
	}
	values = buf[:0]
	for i := range r.peers {
		if r.peers[i].oldVoter {
			values = append(values, r.value(&r.peers[i], by))
		}
	}
	return min(v, kth(values))
}

// votes counts: won if a quorum granted, lost if no quorum can any more.
func (r *Raft) countVotes() (won, lost bool) {
	won = true
	for half := range 2 {
		if half == 1 && !r.joint {
			break
		}
		n, yes, no := 0, 0, 0
		for i := range r.peers {
			p := &r.peers[i]
			if (half == 0 && !p.voter) || (half == 1 && !p.oldVoter) {
				continue
			}
			n++
			switch p.vote {
			case voteYes:
				yes++
			case voteNo:
				no++
			}
		}
		won = won && yes > n/2
		lost = lost || n-no <= n/2
	}
	return won, lost
}
