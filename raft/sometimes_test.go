package raft

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// situations counts how often a corpus of random clusters got into the corners where bugs live. A corner that is never
// reached is not tested.
type situations map[string]int

// corners are those that TestSeededClusters must reach.
var corners = []string{
	"a write under way for a slot that was overwritten", "a log cut over several terms", "a membership cut off",
	"a snapshot installed", "an old snapshot ignored", "a snapshot stream failed",
	"committed without the own disk", "window full", "a fetch from the journal", "a fetch failed",
	"a read waits for the no-op", "a read by the lease", "a read by a round", "a read asked of the leader", "a read refused",
	"a vote refused near a leader", "a pre-vote refused", "stepped down without a quorum", "a vote asked twice", "a vote in joint membership",
	"elected in joint membership", "commit in joint membership", "an old term told off", "a late refusal ignored", "a probe refused",
	"a torn batch: hard state only", "a torn batch: part of the entries", "a crash lost entries", "a crash lost a vote",
	"a learner promoted", "a joint membership left by another leader", "a leader removed", "a removed node told", "an own change refused",
	"a change asked of the leader", "a transfer done", "a transfer given up", "a lease given up for a transfer",
	"state machine behind while leased", "follower told to probe after a loss", "uncommitted limit reached", "a message of an old term replayed",
	"a snapshot rotted", "a snapshot adopted", "a snapshot taken for a stateless node", "a lost state left to the leader",
	"a stateless node votes", "a commit by a stateless node",
}

func (s situations) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "\n%9d %s", s[name], name)
	}
	return b.String()
}

// moment is what a step is compared with.
type moment struct {
	role                 Role
	term, last, commit   uint64
	durable, snap, first uint64
	runs, members        int
	inWrite              uint64 // highest index under way to the disk
	vote, heir           NodeID
	joint                uint64 // index of the joint membership in effect
	departed, promote    int
}

func (h *host) moment() moment {
	r := h.core
	m := moment{
		role: r.role, term: r.term, last: r.log.last, commit: r.commit, durable: r.dur.index, snap: r.snap.Index, first: r.first,
		runs: len(r.log.runs), members: len(r.members), vote: r.vote, heir: r.transfer.to,
	}
	if r.joint {
		m.joint = r.members[len(r.members)-1].index
	}
	for i := range r.peers {
		if r.peers[i].departed != nil {
			m.departed++
		}
		if r.peers[i].promote {
			m.promote++
		}
	}
	for i := range r.dur.appends {
		m.inWrite = max(m.inWrite, r.dur.appends[i].index)
	}
	return m
}

// watch notes which corners a step turned. h.eff still holds what the core asked for; earlier effects are gone.
func (c *cluster) watch(h *host, ev *Event, was moment) {
	r, e := h.core, &h.eff
	note := func(when bool, name string) {
		if when {
			c.seen[name]++
		}
	}
	m := &ev.Msg
	installed := e.Persist.Install != nil
	if ev.Kind == EvMessage && m.Type == MsgAppend && !installed && len(e.Persist.Entries) > 0 && e.Persist.Entries[0].Index <= was.last {
		note(was.inWrite >= e.Persist.Entries[0].Index, "a write under way for a slot that was overwritten")
		note(len(r.log.runs) < was.runs, "a log cut over several terms")
		note(len(r.members) < was.members, "a membership cut off")
	}
	if ev.Kind == EvSnapshotReceived {
		note(installed, "a snapshot installed")
		note(installed && was.last > ev.Snapshot.Index, "a snapshot installed over a longer log")
		note(!installed && r.commit > was.commit, "a snapshot that the log already holds")
		note(!installed && r.commit == was.commit, "an old snapshot ignored")
	}
	note(ev.Kind == EvSnapshotSent && ev.Failed, "a snapshot stream failed")
	note(r.role == Leader && r.commit > r.dur.index, "committed without the own disk")
	note(ev.Kind == EvFetched && !ev.Failed, "a fetch from the journal")
	note(ev.Kind == EvFetched && ev.Failed, "a fetch failed")
	if r.role == Leader {
		for i := range r.peers {
			note(r.peers[i].id != r.cfg.ID && r.peers[i].full(&r.cfg), "window full")
		}
		note(len(r.reads) > 0 && r.commit < r.noop, "a read waits for the no-op")
		note(r.now < r.lease() && h.handed > h.applied, "state machine behind while leased")
		note(r.joint && r.commit > was.commit, "commit in joint membership")
		note(r.joint && was.role != Leader, "elected in joint membership")
	}
	for i := range e.Reads {
		note(e.Reads[i].Err != nil, "a read refused")
		note(e.Reads[i].Err == nil && ev.Kind == EvReadIndex, "a read by the lease")
		note(e.Reads[i].Err == nil && ev.Kind == EvMessage && m.Type == MsgAppendResp, "a read by a round")
		note(e.Reads[i].Err == nil && ev.Kind == EvMessage && m.Type == MsgReadIndexResp, "a read asked of the leader")
	}
	for i := range e.Proposed {
		note(e.Proposed[i].Err == ErrBusy, "uncommitted limit reached")
	}
	note(ev.Kind == EvTick && was.role == Leader && r.role == Follower, "stepped down without a quorum")
	note(ev.Kind == EvUnreachable && r.role == Leader && r.peer(ev.To) != nil && r.peer(ev.To).state == stateProbe, "follower told to probe after a loss")
	now := h.moment()
	if was.role == Leader && r.role == Leader {
		note(now.promote < was.promote && now.joint != 0, "a learner promoted")
		note(was.joint != 0 && now.joint == 0 && was.joint < r.noop, "a joint membership left by another leader")
		note(now.departed < was.departed, "a removed node told")
		note(was.heir != 0 && now.heir == 0, "a transfer given up")
		note(was.heir != 0 && r.handedOver, "a lease given up for a transfer")
	}
	note(was.role == Leader && r.role == Follower && r.term > was.term && was.heir != 0, "a transfer done")
	note(was.role == Leader && r.role == Follower && !r.Membership().votes(h.id), "a leader removed")
	note(ev.Kind == EvMessage && m.Type == MsgAnswer && len(e.Answers) > 0, "a change asked of the leader")
	for i := range e.Answers {
		note(e.Answers[i].Err == ErrPending, "an own change refused")
	}
	if ev.Kind == EvMessage {
		c.watchMessage(h, m, was, note)
	}
}

func (c *cluster) watchMessage(h *host, m *Message, was moment, note func(bool, string)) {
	r, e := h.core, &h.eff
	note(m.Type == MsgVote && m.Term > was.term && r.term == was.term, "a vote refused near a leader")
	note(m.Type == MsgVote && m.Term == was.term && was.vote == m.From, "a vote asked twice")
	note(m.Type == MsgVote && r.joint && r.vote == m.From && was.vote != m.From, "a vote in joint membership")
	note(m.Type == MsgVote && r.stateless && r.vote == m.From && was.vote != m.From, "a stateless node votes")
	note(m.Type == MsgAppendResp && m.Commit > 0 && r.role == Leader && r.commit > was.commit, "a commit by a stateless node")
	note(m.Type == MsgPreVote && len(e.Send) > 0 && e.Send[len(e.Send)-1].Reject, "a pre-vote refused")
	note(m.Type == MsgAppend && m.Term < was.term, "an old term told off")
	if m.Type == MsgAppendResp && m.Reject && m.Term == r.term && r.role == Leader && r.peer(m.From) != nil {
		note(m.Index <= r.peer(m.From).match, "a late refusal ignored")
		note(m.Index > r.peer(m.From).match && r.peer(m.From).next <= m.Index, "a probe refused")
	}
}
