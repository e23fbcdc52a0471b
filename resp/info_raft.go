package resp

import (
	"fmt"
	"strconv"
	"strings"

	"kvapp/node"
	"kvapp/raft"
)

func infoReplication(r *infoReport) {
	st, v := &r.status, r.view
	offset := st.Applied
	if v.Role == raft.Leader {
		// A follower's offset is what it has on disk: the leader's own is the end of its log.
		offset = st.LastIndex
		r.str("role", "master")
		near := connectedPeers(st)
		r.int("connected_slaves", int64(len(near)))
		for i, p := range near {
			host, port := memberAddr(v, p.ID)
			state := "online"
			if p.State == "snapshot" {
				state = "send_bulk"
			}
			r.str("slave"+strconv.Itoa(i), fmt.Sprintf("ip=%s,port=%s,state=%s,offset=%d,lag=%d",
				host, port, state, p.Match, contactMs(st.Now, p.LastContact)/1000))
		}
	} else {
		r.infoFollower()
	}
	r.str("master_failover_state", "no-failover")
	r.str("master_replid", r.srv.groupID())
	r.str("master_replid2", strings.Repeat("0", 40))
	r.uint("master_repl_offset", offset)
	r.int("second_repl_offset", -1)
	r.int("repl_backlog_active", 1)
	r.int("repl_backlog_size", st.LogBytes)
	r.uint("repl_backlog_first_byte_offset", st.FirstIndex)
	r.int("repl_backlog_histlen", lag(st.LastIndex+1, st.FirstIndex))
}

// infoFollower tells of the link to the leader. A follower that hears none for an election timeout knows no leader, so
// a link that is up has brought something within the second.
func (r *infoReport) infoFollower() {
	st, v := &r.status, r.view
	host, port := memberAddr(v, v.Last)
	up := v.Leader != 0
	r.str("role", "slave")
	r.str("master_host", host)
	r.str("master_port", port)
	if up {
		r.str("master_link_status", "up")
		r.int("master_last_io_seconds_ago", 0)
	} else {
		r.str("master_link_status", "down")
		r.int("master_last_io_seconds_ago", -1)
	}
	r.zeros("master_sync_in_progress")
	r.uint("slave_read_repl_offset", st.LastIndex)
	r.uint("slave_repl_offset", st.Applied)
	if !up {
		r.int("master_link_down_since_seconds", max(0, st.Now-st.LeaderSeen)/1e9)
	}
	r.int("slave_priority", 100)
	r.int("slave_read_only", 1)
	r.int("replica_announced", 1)
	r.int("connected_slaves", 0)
}

// peerGone is the silence in ms after which a peer counts as disconnected. Followers answer a heartbeat many times a
// second.
const peerGone = 3000

// connectedPeers are the peers of a leader that have answered lately.
func connectedPeers(st *node.Status) (near []*raft.PeerStatus) {
	for i := range st.Peers {
		if p := &st.Peers[i]; p.LastContact != 0 && contactMs(st.Now, p.LastContact) <= peerGone {
			near = append(near, p)
		}
	}
	return near
}

func infoRaft(r *infoReport) {
	st, v := &r.status, r.view
	voters, learners := census(v)
	r.str("raft_role", roleName(st.Role, v.Self.Learner))
	r.str("raft_node_id", v.Self.Name)
	r.str("raft_cluster_id", st.Cluster)
	r.uint("raft_term", st.Term)
	r.str("raft_leader_id", memberName(v, st.Leader))
	r.str("raft_leader_addr", leaderAddr(v, st.Leader))
	r.int("raft_voters", voters)
	r.int("raft_learners", learners)
	r.uint("raft_commit_index", st.Commit)
	r.uint("raft_applied_index", st.Applied)
	r.uint("raft_last_log_index", st.LastIndex)
	r.uint("raft_first_log_index", st.FirstIndex)
	r.uint("raft_durable_index", st.Durable)
	r.str("raft_state_hash", fmt.Sprintf("%016x", st.StateHash))
	r.uint("raft_state_hash_index", st.HashIndex)
	r.uint("raft_state_hash_compared_index", st.HashCompared)
	r.bool("raft_state_missing", st.Stateless)
	r.uint("raft_snapshot_index", st.SnapshotIndex)
	r.bool("raft_snapshot_in_progress", st.SnapshotBusy)
	r.int("raft_log_bytes", st.LogBytes)
	r.int("raft_log_segments", int64(st.LogSegments))
	r.int("raft_proposals_pending", int64(st.Pending))
	r.int("raft_reads_pending", int64(st.PendingReads))
	r.infoFlow()
	r.uint("raft_refused_other_cluster", st.Refusals.OtherCluster)
	r.uint("raft_refused_old_incarnation", st.Refusals.OldIncarnation)
	r.uint("raft_refused_otherwise", st.Refusals.Otherwise)
	r.uint("raft_refused_messages", st.Refusals.Messages)
	r.uint("raft_leader_changes", st.LeaderChanges)
	r.bool("raft_quorum_ok", v.Healthy)
	r.int("raft_lease_valid_ms", leaseMs(st.LeaseUntil, st.Now))
	r.uint("raft_fsync_count", st.FsyncCount)
	if st.FsyncCount > 0 {
		r.uint("raft_fsync_usec_avg", st.FsyncNs/st.FsyncCount/1000)
	}
	r.uint("raft_fsync_usec_max", st.FsyncMaxNs/1000)
	r.int("raft_clock_ms", st.AppliedClock)
	for i := range st.Peers {
		p := &st.Peers[i]
		r.str("raft_peer"+strconv.Itoa(i), fmt.Sprintf("id=%s,addr=%s,state=%s,match=%d,next=%d,lag_entries=%d,last_contact_ms=%d,inflight_msgs=%d,inflight_bytes=%d",
			memberName(v, p.ID), leaderAddr(v, p.ID), p.State, p.Match, p.Next, lag(st.LastIndex, p.Match), contactMs(st.Now, p.LastContact),
			p.InflightMsgs, p.InflightBytes))
	}
}

// infoFlow tells how full the queues are.
func (r *infoReport) infoFlow() {
	f := &r.status.Flow
	r.str("raft_back_pressure", string(f.Pressure))
	r.int("raft_uncommitted_bytes", r.status.Uncommitted)
	r.int("raft_uncommitted_limit", f.UncommittedMax)
	r.int("raft_waiting_batches", int64(f.Waiting))
	r.int("raft_waiting_bytes", f.WaitingBytes)
	r.int("raft_inbox_events", int64(f.InboxEvents))
	r.int("raft_inbox_bytes", f.InboxBytes)
	r.int("raft_inbox_limit", f.InboxMax)
	r.uint("raft_inbox_waits", f.InboxWaits)
	r.int("raft_apply_bytes", f.ApplyBytes)
	r.int("raft_apply_limit", f.ApplyMax)
	r.int("raft_inflight_msgs_limit", int64(f.InflightMsgs))
	r.int("raft_inflight_bytes_limit", int64(f.InflightBytes))
}
