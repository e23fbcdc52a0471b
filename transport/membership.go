package transport

import (
	"encoding/binary"

	"kvapp/raft"
)

// appendMembership appends what decodeMembership reads: counts, members, old voters.
func appendMembership(b []byte, m *raft.Membership) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.Members)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.OldVoters)))
	for i := range m.Members {
		x := &m.Members[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(x.ID))
		learner := byte(0)
		if x.Learner {
			learner = 1
		}
		b = append(b, learner)
		for _, s := range [...]string{x.Name, x.PeerAddr, x.ClientAddr} {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(s)))
			b = append(b, s...)
		}
	}
	for _, id := range m.OldVoters {
		b = binary.LittleEndian.AppendUint64(b, uint64(id))
	}
	return b
}

func decodeMembership(p []byte) (raft.Membership, error) {
	var m raft.Membership
	if len(p) < 4 {
		return m, malformed("membership of %d bytes", len(p))
	}
	members, voters := int(binary.LittleEndian.Uint16(p)), int(binary.LittleEndian.Uint16(p[2:]))
	p = p[4:]
	if members*15+voters*8 > len(p) {
		return m, malformed("%d members and %d old voters in %d bytes", members, voters, len(p))
	}
	for range members {
		var x raft.Member
		if len(p) < 9 || p[8] > 1 {
			return m, malformed("member is cut off")
		}
		x.ID, x.Learner = raft.NodeID(binary.LittleEndian.Uint64(p)), p[8] == 1
		p = p[9:]
		for _, s := range [...]*string{&x.Name, &x.PeerAddr, &x.ClientAddr} {
			if len(p) < 2 || len(p)-2 < int(binary.LittleEndian.Uint16(p)) {
				return m, malformed("member is cut off")
			}
			n := int(binary.LittleEndian.Uint16(p))
			*s, p = string(p[2:2+n]), p[2+n:]
		}
		m.Members = append(m.Members, x)
	}
	if len(p) != voters*8 {
		return m, malformed("%d old voters in %d bytes", voters, len(p))
	}
	for range voters {
		m.OldVoters = append(m.OldVoters, raft.NodeID(binary.LittleEndian.Uint64(p)))
		p = p[8:]
	}
	return m, nil
}
