package raft

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ChangeKind says what a Change does to the membership.
type ChangeKind uint8

// The changes. Each asks for a state rather than a step: one that is already so changes nothing and succeeds.
const (
	// ChangeAdd makes Member known. It begins as a learner; unless Member.Learner is set the leader promotes it when it
	// has caught up. For a member that is known already, in the same incarnation, it updates the addresses.
	ChangeAdd ChangeKind = 1 + iota
	// ChangePromote lets the learner Member.ID become a voter as soon as it has caught up.
	ChangePromote
	// ChangeDemote makes the voter Member.ID a learner.
	ChangeDemote
	// ChangeRemove drops the member Member.ID.
	ChangeRemove
	// ChangeSet replaces addresses and priority of the member Member.ID.
	ChangeSet
)

// Change is one wish about one member; several in one request take effect together (thesis 4.3).
type Change struct {
	Kind   ChangeKind
	Member Member
}

// maxChanges bounds the changes of one request.
const maxChanges = 16

// voters returns the ids of the voting members, ascending; the new half of a joint membership.
func (m *Membership) voters() []NodeID {
	var ids []NodeID
	for i := range m.Members {
		if !m.Members[i].Learner {
			ids = append(ids, m.Members[i].ID)
		}
	}
	return ids
}

// find returns the position of a member and whether there is one.
func (m *Membership) find(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(m.Members, id, func(p Member, id NodeID) int { return cmp.Compare(p.ID, id) })
}

// With returns the membership that changes ask for. m must not be joint. An error says why they make no sense:
// ErrNoMember, ErrIncarnation, ErrLastVoter or ErrMembership.
func (m *Membership) With(changes []Change) (Membership, error) {
	t := Membership{Members: slices.Clone(m.Members)}
	for i := range changes {
		if err := t.change(&changes[i]); err != nil {
			return Membership{}, err
		}
	}
	if len(t.voters()) == 0 {
		return Membership{}, ErrLastVoter
	}
	return t, t.valid()
}

func (m *Membership) change(c *Change) error {
	want := c.Member
	i, ok := m.find(want.ID)
	switch {
	case ok:
	case c.Kind == ChangeAdd:
		want.Learner, want.Promote, want.Leaving = true, !want.Learner, false
		m.Members = slices.Insert(m.Members, i, want)
		return nil
	case c.Kind == ChangeRemove:
		return nil
	default:
		return ErrNoMember
	}
	p := &m.Members[i]
	switch c.Kind {
	case ChangeAdd:
		if p.Incarnation != want.Incarnation || p.Name != want.Name {
			return ErrIncarnation
		}
		p.PeerAddr, p.ClientAddr = want.PeerAddr, want.ClientAddr
		p.Promote = p.Learner && !want.Learner
	case ChangePromote:
		p.Promote = p.Learner
	case ChangeDemote:
		p.Learner, p.Promote = true, false
	case ChangeRemove:
		m.Members = slices.Delete(m.Members, i, i+1)
	case ChangeSet:
		p.PeerAddr, p.ClientAddr, p.Priority = want.PeerAddr, want.ClientAddr, want.Priority
	default:
		return fmt.Errorf("%w: change of kind %d", ErrMembership, c.Kind)
	}
	return nil
}

// toward returns the next membership on the way from m, which is not joint, to target: the target itself when the voters
// stay the same, otherwise the joint membership of both (thesis 4.3). Voters that are to go stay members of it, because
// their votes are needed until it is left.
func (m *Membership) toward(target Membership) Membership {
	old := m.voters()
	if slices.Equal(old, target.voters()) {
		return target
	}
	joint := Membership{Members: slices.Clone(target.Members), OldVoters: old}
	for _, id := range old {
		at, ok := joint.find(id)
		if ok {
			continue
		}
		i, _ := m.find(id)
		p := m.Members[i]
		p.Learner, p.Promote, p.Leaving = true, false, true
		joint.Members = slices.Insert(joint.Members, at, p)
	}
	return joint
}

// left returns the membership that follows the joint membership m.
func (m *Membership) left() Membership {
	var t Membership
	for i := range m.Members {
		if !m.Members[i].Leaving {
			t.Members = append(t.Members, m.Members[i])
		}
	}
	return t
}

// Has says whether the membership is what changes ask for, with nothing left to do.
func (m *Membership) Has(changes []Change) bool {
	if len(m.OldVoters) > 0 {
		return false
	}
	for i := range changes {
		c := &changes[i]
		at, ok := m.find(c.Member.ID)
		if c.Kind == ChangePromote && (!ok || m.Members[at].Learner) {
			return false
		}
	}
	t, err := m.With(changes)
	return err == nil && slices.Equal(t.Members, m.Members)
}

// AppendChanges appends the encoding of changes to dst: their number, then kind and member of each.
func AppendChanges(dst []byte, changes []Change) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(changes)))
	for i := range changes {
		dst = append(dst, byte(changes[i].Kind))
		dst = appendMember(dst, &changes[i].Member)
	}
	return dst
}

// DecodeChanges reads what AppendChanges wrote. Any other input gives an error that is ErrMembership.
func DecodeChanges(b []byte) ([]Change, error) {
	d := decoder{b: b}
	n := d.uvarint(maxChanges)
	var changes []Change
	for i := 0; i < n && !d.bad; i++ {
		c := Change{Kind: ChangeKind(d.byte())}
		c.Member = d.member()
		if c.Kind == 0 || c.Kind > ChangeSet || c.Member.ID == 0 || !c.Member.fits() {
			d.fail()
		}
		changes = append(changes, c)
	}
	if d.bad || len(d.b) != 0 || n == 0 {
		return nil, fmt.Errorf("%w: changes of %d bytes", ErrMembership, len(b))
	}
	return changes, nil
}

// answers are the errors that a leader gives to a request of another node, by their number on the wire.
var answers = [...]error{
	nil, ErrNotLeader, ErrBusy, ErrPending, ErrMembership, ErrNoMember, ErrIncarnation, ErrLastVoter, ErrNotVoter, ErrNoTarget,
	ErrStateless,
}

// answerCode returns the number of err on the wire.
func answerCode(err error) uint64 {
	for i, known := range answers {
		if errors.Is(err, known) {
			return uint64(i)
		}
	}
	return answerCode(ErrMembership)
}
