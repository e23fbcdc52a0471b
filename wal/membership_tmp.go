package wal

import (
	"encoding/binary"
	"errors"

	"kvapp/raft"
)

func appendMembership(dst []byte, m raft.Membership) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m.Members)))
	for i := range m.Members {
		n := &m.Members[i]
		dst = binary.LittleEndian.AppendUint64(dst, uint64(n.ID))
		learner := byte(0)
		if n.Learner {
			learner = 1
		}
		dst = append(dst, learner)
		dst = appendString(appendString(appendString(dst, n.Name), n.PeerAddr), n.ClientAddr)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.OldVoters)))
	for _, id := range m.OldVoters {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
	}
	return dst
}

func decodeMembership(b []byte) (raft.Membership, error) {
	var m raft.Membership
	d := decoder{b: b}
	n := d.uvarint()
	for ; n > 0 && !d.failed; n-- {
		x := raft.Member{ID: raft.NodeID(d.u64()), Learner: d.u8() == 1}
		x.Name, x.PeerAddr, x.ClientAddr = string(d.bytes(maxRecord)), string(d.bytes(maxRecord)), string(d.bytes(maxRecord))
		m.Members = append(m.Members, x)
	}
	for n = d.uvarint(); n > 0 && !d.failed; n-- {
		m.OldVoters = append(m.OldVoters, raft.NodeID(d.u64()))
	}
	if d.failed || len(d.b) != 0 {
		return raft.Membership{}, errors.New("malformed membership")
	}
	return m, nil
}
